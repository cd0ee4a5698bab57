"""The user's own images: a folder of files, and an archive of arrays."""

import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import scaledis
from scaledis import datasets
from scaledis.datasets import _prepared, arrays, folder

GRID = np.stack(np.unravel_index(np.arange(24), (2, 3, 4)), axis=-1)


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
    with pytest.raises(FileNotFoundError, match="data.path: there is no folder .*/nowhere"):
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
    with pytest.raises(OSError, match="data.directory: .*images.npy could not be written: .*No space left"):
        datasets.load("folder", tmp_path, str(faces))
    assert prepared(tmp_path) == [".lock"]


def archive(tmp_path, **content) -> str:
    np.savez(tmp_path / "my set.npz", **content)
    return str(tmp_path / "my set.npz")


def images(count: int = 24, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *(shape or (32, 32, 3))), np.uint8)


def test_arrays_on_a_full_grid(tmp_path):
    names = ["colour", "size", "side"]
    data = datasets.load("arrays", tmp_path, archive(tmp_path, images=images(), factors=GRID, names=names))
    assert (data.name, data.size, data.image_shape) == ("arrays: my set", 24, (32, 32, 3))
    assert data.table is None and data.factor_names == tuple(names) and data.factor_sizes == (2, 3, 4)
    np.testing.assert_array_equal(data.factors(np.arange(24)), GRID)
    np.testing.assert_array_equal(data.index(GRID), np.arange(24))
    np.testing.assert_array_equal(data.images([5, 0]), images()[[5, 0]])
    gathered = jax.jit(data.gather)(data.source, np.array([5, 0]))
    np.testing.assert_array_equal(gathered, images()[[5, 0]])
    assert os.listdir(tmp_path) == ["my set.npz"]


@pytest.mark.parametrize(
    "rows", [np.arange(24)[::-1], np.arange(23), np.r_[np.arange(23), 22], np.r_[np.arange(24), np.arange(24)]]
)
def test_arrays_that_are_no_full_grid_have_a_table(tmp_path, rows):
    content = {"images": images()[rows], "factors": GRID[rows].astype(np.uint8)}
    data = datasets.load("arrays", tmp_path, archive(tmp_path, **content))
    assert data.size == len(rows) and data.factor_names == ("factor_0", "factor_1", "factor_2")
    assert data.table.dtype == np.int32
    np.testing.assert_array_equal(data.factors(np.arange(len(rows))), GRID[rows])
    chosen = data.matching(np.random.default_rng(0), 50, factor_1=2)
    assert (data.factors(chosen)[:, 1] == 2).all()


def test_factor_values_become_ranks(tmp_path):
    values = (np.array([-7, 2]), np.array([10, 15, 90]), np.array([1, 2, 4, 8]))
    factors = np.stack([column[ranks] for column, ranks in zip(values, GRID.T, strict=True)], axis=-1)
    data = datasets.load("arrays", tmp_path, archive(tmp_path, images=images(), factors=factors))
    assert data.table is None
    np.testing.assert_array_equal(data.factors(np.arange(24)), GRID)
    for found, expected in zip(data.factor_values, values, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(48, 48), (16, 16, 1)])
def test_arrays_without_factors_and_in_grey(tmp_path, shape):
    data = datasets.load("arrays", tmp_path, archive(tmp_path, images=images(5, *shape)))
    assert data.image_shape == (*shape[:2], 1) and data.size == 5
    assert data.factor_names == data.factor_values == () and data.table.shape == (5, 0)
    np.testing.assert_array_equal(data.images([4])[0, ..., 0], images(5, *shape)[4].reshape(shape[:2]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pictures": images()}, "key: 'pictures' is unknown. Choices: factors, images, names"),
        ({"images": images(), "factor": GRID}, "key: 'factor' is unknown. Did you mean 'factors'?"),
        ({"factors": GRID}, r"list of keys is \['factors'\], expected images"),
        ({"images": images().astype(float)}, r"images is float64 \(24, 32, 32, 3\), expected uint8 \[N, H, W, C\]"),
        ({"images": images()[0, 0]}, r"images is uint8 \(32, 3\), expected"),
        ({"images": images(24, 32, 48, 3)}, r"images is uint8 \(24, 32, 48, 3\), expected .* H = W"),
        ({"images": images(24, 40, 40)}, r"images is uint8 \(24, 40, 40\), expected .* multiple of 16"),
        ({"images": images(24, 3, 32, 32)}, r"images is uint8 \(24, 3, 32, 32\), expected"),
        ({"images": images(24, 32, 32, 4)}, r"images is uint8 \(24, 32, 32, 4\), expected .* C 1 or 3"),
        ({"images": images()[:0]}, r"images is uint8 \(0, 32, 32, 3\), expected"),
        ({"images": images(), "factors": GRID[:20]}, r"factors is int64 \(20, 3\), expected integers .* N = 24"),
        ({"images": images(), "factors": GRID[:, 0]}, r"factors is int64 \(24,\), expected integers \[N, F\]"),
        ({"images": images(), "factors": GRID / 2}, r"factors is float64 \(24, 3\), expected integers"),
        ({"images": images(), "factors": GRID, "names": ["a", "b"]}, r"names is <U1 \['a', 'b'\], expected 3 diff"),
        (
            {"images": images(), "factors": GRID, "names": ["a", "b", "a"]},
            r"names is .*\['a', 'b', 'a'\], expected 3 different strings",
        ),
        ({"images": images(), "factors": GRID, "names": [1, 2, 3]}, r"names is int64 \[1, 2, 3\], expected 3 diff"),
        ({"images": images(), "names": ["a"]}, "names is .*, expected 0 different strings, one for each column"),
        ({"images": images(), "factors": GRID.astype(object)}, "factors is an object array.*, expected integers"),
        ({"images": np.array([None])}, "images is an object array.*, expected uint8"),
    ],
)
def test_an_archive_that_holds_something_else(tmp_path, content, message):
    path = archive(tmp_path, **content)
    with pytest.raises(ValueError, match=f"{path}: {message}") as error:
        datasets.load("arrays", tmp_path, path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match="data.path: there is no file .*/nowhere.npz"):
        datasets.load("arrays", tmp_path, str(tmp_path / "nowhere.npz"))
    np.save(tmp_path / "images.npy", images())
    with pytest.raises(ValueError, match="images.npy: content is no archive of arrays, expected a file of numpy.savez"):
        datasets.load("arrays", tmp_path, str(tmp_path / "images.npy"))


def test_an_archive_of_something_but_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "my.npz", "w") as file:
        file.writestr("images.npy", "text")
    with pytest.raises(ValueError, match=r"my.npz: images is \|S4 \(\), expected uint8"):
        datasets.load("arrays", tmp_path, str(tmp_path / "my.npz"))


def test_arrays_in_columns_are_brought_in_rows(tmp_path):
    content = {"images": np.asfortranarray(images()), "factors": np.asfortranarray(GRID)}
    data = datasets.load("arrays", tmp_path, archive(tmp_path, **content))
    assert data.table is None and data.source.flags.c_contiguous
    np.testing.assert_array_equal(data.images(range(24)), images())


def test_a_damaged_archive_is_named(tmp_path):
    path = Path(archive(tmp_path, images=images(), factors=GRID))
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="my set.npz: images is unreadable .*CRC"):
        datasets.load("arrays", tmp_path, str(path))


def test_every_key_is_documented():
    assert all(f"\n    {key} " in arrays.__doc__ for key in arrays.EXPECTED)
