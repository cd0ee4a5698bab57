"""The user's own folder of images."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import scaledis
from scaledis import datasets
from scaledis.datasets import _prepared, folder
from scaledis.errors import UserError


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def faces(tmp_path) -> Path:
    """A folder of four images, in the order of their paths, and of other things."""
    path = tmp_path / "my faces"
    for number, name in enumerate(["Z.png", "a/deep/0.PNG", "a/x.bmp", "b.webp"]):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(path / name, lossless=True)
    for name in ("notes.txt", ".hidden.png", ".thumbnails/0.png"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("no image")
    return path


def prepared(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "folder").glob("*/*"))


def test_folder_has_all_images_in_order_and_no_factors(faces, tmp_path):
    data = datasets.load("folder", tmp_path / "data", str(faces))
    assert (data.name, data.size, data.image_shape) == ("folder: my faces", 4, (64, 64, 3))
    assert data.factor_names == () and data.factor_values == () and data.factor_sizes == ()
    assert (
        data.table.shape == (4, 0) and data.table.dtype == np.int32 and data.factors(np.array([2, 0])).shape == (2, 0)
    )
    expected = np.stack([picture(number) for number in range(4)])
    np.testing.assert_array_equal(data.images(np.array([3, 0, 1, 2, 3])), expected[[3, 0, 1, 2, 3]])
    sampled = np.asarray(jax.jit(data.gather)(data.source, np.arange(16) % data.size))
    assert (sampled[:, None] == expected).all(axis=(2, 3, 4)).any(axis=1).all()
    assert isinstance(data.source, np.memmap) and not data.source.flags.writeable and data.source.dtype == np.uint8
    placed = jax.device_put(data.source, jax.devices("cpu")[0])
    assert placed.unsafe_buffer_pointer() == data.source.ctypes.data  # a CPU device shares the memory map
    assert prepared(tmp_path / "data") == [".lock", "images.npy"]


def test_images_are_rgb_squares_of_64_pixels(tmp_path):
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = np.linspace(0, 250, 100, dtype=np.uint8)[None, :, None]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2)).save(tmp_path / "high.png")
    found = folder.read(tmp_path / "wide.png")
    centre = Image.fromarray(wide[:, 100:200]).resize((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(found, np.asarray(centre))
    np.testing.assert_array_equal(folder.read(tmp_path / "high.png"), found.transpose(1, 0, 2))
    for mode in ("L", "P", "RGBA", "CMYK", "1"):
        Image.new(mode, (16, 20)).save(tmp_path / "image.jpg", "PNG" if mode != "CMYK" else "JPEG")
        image = folder.read(tmp_path / "image.jpg")
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    Image.fromarray(np.full((64, 64), 0x80FF, np.uint16)).save(tmp_path / "deep.png")
    assert (folder.read(tmp_path / "deep.png") == 0x80).all()
    Image.new("P", (64, 64)).save(tmp_path / "palette.png", transparency=bytes([0, 255]))
    assert (folder.read(tmp_path / "palette.png") == 0).all()
    turned = Image.Exif()
    turned[274] = 6  # orientation: the camera was turned by a quarter
    Image.fromarray(wide).save(tmp_path / "turned.png", exif=turned)
    np.testing.assert_array_equal(folder.read(tmp_path / "turned.png"), found.transpose(1, 0, 2))


def test_folder_is_prepared_once_and_again_when_it_changes(faces, tmp_path, monkeypatch):
    reads, read = [], folder.read
    monkeypatch.setattr(folder, "read", lambda file: (reads.append(file.name), read(file))[1])
    for _ in range(2):
        datasets.load("folder", tmp_path, str(faces))
    assert len(reads) == 4
    Image.fromarray(picture(9)).save(faces / "Z.png")
    os.utime(faces / "Z.png", ns=(1, 1))  # a clock may be too coarse for a test
    np.testing.assert_array_equal(datasets.load("folder", tmp_path, str(faces)).images([0])[0], picture(9))
    assert len(reads) == 8
    (faces / "b.webp").rename(faces / "c.webp")
    datasets.load("folder", tmp_path, str(faces))
    assert len(reads) == 12
    (faces / "c.webp").unlink()
    assert datasets.load("folder", tmp_path, str(faces)).size == 3
    monkeypatch.chdir(faces.parent)
    datasets.load("folder", tmp_path, faces.name)  # the same folder by a relative path
    assert len(reads) == 15


def test_folder_of_many_blocks(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "BLOCK", 3)
    data = datasets.load("folder", tmp_path, str(faces))
    np.testing.assert_array_equal(data.images(range(4)), [picture(number) for number in range(4)])


def test_two_loads_at_once_prepare_once(faces, tmp_path, monkeypatch):
    reads, read, found = [], folder.read, []
    monkeypatch.setattr(folder, "read", lambda file: (reads.append(file), read(file))[1])
    threads = [threading.Thread(target=lambda: found.append(folder.load(tmp_path, faces))) for _ in range(2)]
    with _prepared.lock(tmp_path / "folder" / folder._digest(faces, folder.find(faces))):  # both arrive first
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 4 and [data.size for data in found] == [4, 4]


def test_folder_that_is_missing_or_has_no_image(tmp_path):
    with pytest.raises(UserError, match="data.path: there is no folder .*/nowhere"):
        datasets.load("folder", tmp_path, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(ValueError, match="empty holds no image; expected files that end in .png, .jpg"):
        datasets.load("folder", tmp_path, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="data.path: is missing"):
        datasets.load("folder", tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", "cut", "cut late"])
def test_an_unreadable_image_is_named_and_nothing_is_left(faces, tmp_path, content):
    whole = (faces / "a" / "deep" / "0.PNG").read_bytes()
    content = {"cut": whole[: len(whole) // 2], "cut late": whole[:-30]}.get(content, content)
    (faces / "a" / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match="data.path: .*/a/bad.png cannot be read as an image: "):
        datasets.load("folder", tmp_path / "data", str(faces))
    assert prepared(tmp_path / "data") == [".lock"]


def test_a_killed_preparation_is_done_again(faces, tmp_path):
    code = "from scaledis.datasets import folder; import os, pathlib; read = folder.read; folder.BLOCK = 1; "
    code += f"folder.read = lambda f: os.kill(os.getpid(), {signal.SIGKILL.value}) if f.suffix == '.bmp' else read(f); "
    code += f"folder.load(pathlib.Path({str(tmp_path)!r}), pathlib.Path({str(faces)!r}))"
    env = os.environ | {"PYTHONPATH": str(Path(scaledis.__file__).parents[1])}
    assert (
        subprocess.run([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
    )
    assert prepared(tmp_path) == [".lock", "images.partial"]
    np.testing.assert_array_equal(datasets.load("folder", tmp_path, str(faces)).images([2])[0], picture(2))
    assert prepared(tmp_path) == [".lock", "images.npy"]


def test_a_full_disk_is_named_and_nothing_is_left(faces, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)
    with pytest.raises(UserError, match="data.directory: .*images.npy could not be written: .*No space left"):
        datasets.load("folder", tmp_path, str(faces))
    assert prepared(tmp_path) == [".lock"]
