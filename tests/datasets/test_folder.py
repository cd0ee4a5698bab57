"""The user's own folder of images."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import scaledis
from scaledis import datasets, metrics
from scaledis.config import Data
from scaledis.core.errors import UserError
from scaledis.datasets import folder
from scaledis.datasets._builders import disk, listing, pictures
from scaledis.datasets.base import sampling


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def faces(tmp_path) -> Path:
    """A folder of four images, in the order of their paths, and of other things."""
    path = tmp_path / "my faces"
    for number, name in enumerate(["Z.png", "a/deep/0.PNG", "a/x.bmp", "b.webp"]):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(path / name, lossless=True)
    for name in ("notes.txt", ".hidden.png", ".thumbnails/0.png", "__MACOSX/a/._x.png", "a/._x.png", "@eaDir/x.png"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("no image")
    return path


def prepared(directory: Path) -> list[str]:
    """The kinds of files in the cache."""
    return sorted(path.name.split("-")[0] for path in (directory / "folder").glob("*/*"))


def load(directory: Path, path: Path, **options) -> datasets.Dataset:
    return datasets.load("folder", directory, path=path, **options)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the files that are read, as they are read."""
    names, read = [], pictures.read
    monkeypatch.setattr(pictures, "read", lambda file, *options: (names.append(file.name), read(file, *options))[1])
    return names


def test_folder_has_all_images_in_order_and_no_factors(faces, tmp_path, capsys):
    data = load(tmp_path / "data", faces)
    assert (data.name, data.size, data.image_shape) == ("folder: my faces", 4, (64, 64, 3))
    assert data.factor_names == () and data.factor_values == () and data.factor_sizes == ()
    assert data.table.shape == (4, 0) and data.table.dtype == np.int32
    assert data.factors(np.array([2, 0])).shape == (2, 0)
    expected = np.stack([picture(number) for number in range(4)])
    np.testing.assert_array_equal(data.images(np.array([3, 0, 1, 2, 3])), expected[[3, 0, 1, 2, 3]])
    sampled = np.asarray(jax.jit(data.gather)(data.source, np.arange(16) % data.size))
    assert (sampled[:, None] == expected).all(axis=(2, 3, 4)).any(axis=1).all()
    assert isinstance(data.source, np.memmap) and not data.source.flags.writeable and data.source.dtype == np.uint8
    placed = jax.device_put(data.source, jax.devices("cpu")[0])
    assert placed.unsafe_buffer_pointer() == data.source.ctypes.data  # a CPU device shares the memory map
    assert prepared(tmp_path / "data") == [".lock", "files.json", "images"]
    assert "left out: 1 .txt" in capsys.readouterr().err


def test_another_resolution(faces, tmp_path):
    data = load(tmp_path, faces, resolution=32)
    small = Image.fromarray(picture(2)).resize((32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(data.images([2])[0], np.asarray(small))
    assert data.name == "folder: my faces at 32x32"
    assert load(tmp_path, faces).image_shape == (64, 64, 3)  # beside it


def test_only_what_is_new_is_read_again(faces, tmp_path, reads, monkeypatch):
    for _ in range(2):
        before = load(tmp_path, faces)
    assert len(reads) == 4
    Image.fromarray(picture(9)).save(faces / "Z.png")
    os.utime(faces / "Z.png", ns=(1, 1))  # a clock may be too coarse for a test
    Image.fromarray(picture(7)).save(faces / "a" / "new.png")
    after = load(tmp_path, faces)
    assert sorted(reads[4:]) == ["Z.png", "new.png"]
    expected = np.stack([picture(number) for number in (9, 1, 7, 2, 3)])
    np.testing.assert_array_equal(after.images(range(5)), expected)
    np.testing.assert_array_equal(before.images(range(4)), [picture(number) for number in range(4)])  # still open
    (faces / "b.webp").rename(faces / "c.webp")
    load(tmp_path, faces)
    assert reads[6:] == ["c.webp"]
    (faces / "c.webp").unlink()
    assert load(tmp_path, faces).size == 4
    monkeypatch.chdir(faces.parent)
    load(tmp_path, faces.name)  # the same folder by a relative path
    assert len(reads) == 7 and prepared(tmp_path) == [".lock", "files.json", "images"]


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 1000)])
def test_a_damaged_cache_is_made_again(faces, tmp_path, damage):
    before = load(tmp_path, faces).images(range(4))
    for pattern in ("images-*.npy", "files.json"):
        damage(next((tmp_path / "folder").glob(f"*/{pattern}")))
        np.testing.assert_array_equal(load(tmp_path, faces).images(range(4)), before)


def test_folder_of_many_blocks(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "BLOCK", 3)
    np.testing.assert_array_equal(load(tmp_path, faces).images(range(4)), [picture(number) for number in range(4)])


def test_two_loads_at_once_prepare_once(faces, tmp_path, reads):
    load(tmp_path, faces)
    (cache,) = (tmp_path / "folder").iterdir()
    (cache / "files.json").unlink()
    reads.clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(load(tmp_path, faces))) for _ in range(2)]
    with disk.lock(cache):  # both arrive before either can begin
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 4 and [data.size for data in found] == [4, 4]


def test_links_to_folders_are_followed_and_loops_found(faces, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(picture(5)).save(elsewhere / "far.png")
    (faces / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(faces)
    (faces / "a" / "self").symlink_to(faces / "a")
    data = load(tmp_path / "data", faces)
    assert data.size == 5
    np.testing.assert_array_equal(data.images([4])[0], picture(5))
    said = capsys.readouterr().err
    assert f"{faces}/a/self leads back" in said and f"{faces}/link/back leads back" in said


def test_images_that_are_there_twice_are_told(faces, tmp_path, capsys):
    load(tmp_path / "data", faces)
    assert "copies" not in capsys.readouterr().err
    (faces / "z").mkdir()
    (faces / "z" / "copy.png").write_bytes((faces / "Z.png").read_bytes())
    (faces / "z" / "link.bmp").symlink_to(faces / "a" / "x.bmp")
    assert load(tmp_path / "data", faces).size == 6
    assert f"2 of 6 images of {faces} are copies, such as z/copy.png of Z.png; each" in capsys.readouterr().err


def test_hidden_folders_work_directories_and_environments_are_left_out(faces, tmp_path):
    """As in --config.data.path=. where runs/ and .venv lie, whose pictures are no data."""
    for place, files in {
        ".git": [],
        "runs/one": ["config.json", "plan.json"],
        "venv": ["pyvenv.cfg"],
        "runs": ["config.json"],  # one of the two files is no work directory
    }.items():
        (faces / place).mkdir(parents=True, exist_ok=True)
        for file in files:
            (faces / place / file).write_text("{}")
        Image.fromarray(picture(6)).save(faces / place / "report.png")
    data = load(tmp_path / "data", faces)
    assert data.size == 5  # the four, and that of runs/
    assert load(tmp_path / "data", faces / "runs" / "one").size == 1  # it was asked for


def test_a_config_says_how_many_images_were_found_and_where_once(faces, tmp_path, capsys):
    data = Data(name="folder", path=str(faces), directory=str(tmp_path / "data"))
    for _ in range(2):
        sampling.load_dataset(data)
    assert capsys.readouterr().err.count(f"folder: 4 images of 64x64x3 found in {faces}\n") == 1


def test_sub_folders_are_a_factor(faces, tmp_path):
    data = load(tmp_path, faces, folder_factor=True)
    assert data.factor_names == ("folder",) and data.factor_values[0].tolist() == [".", "a"]
    np.testing.assert_array_equal(data.factors(np.arange(4)), [[0], [1], [1], [0]])
    assert data.fingerprint != load(tmp_path, faces).fingerprint
    with pytest.raises(UserError, match="data.folder_factor: all images of .*deep are in one folder"):
        load(tmp_path, faces / "a" / "deep", folder_factor=True)


def test_sub_folders_that_are_numbers_are_in_their_order(tmp_path):
    for number in range(12):
        (tmp_path / "views" / str(number)).mkdir(parents=True)
        for name in ("a", "b"):
            Image.fromarray(picture(number)).save(tmp_path / "views" / str(number) / f"{name}.png")
    data = load(tmp_path / "data", tmp_path / "views", folder_factor=True, resolution=16)
    assert data.factor_values[0].tolist() == [str(number) for number in range(12)]
    factors = data.factors(np.arange(24))
    numbers = [int(name.split("/")[0]) for name in sorted(f"{number}/{name}" for number in range(12) for name in "ab")]
    assert factors[:, 0].tolist() == numbers  # the images lie in the order of their paths
    scores = metrics.compute(["mcc"], np.array(numbers, float)[:, None], factors)
    assert [scores["mcc/pearson"], scores["mcc/spearman"]] == pytest.approx([1, 1])


def test_the_folder_that_holds_an_image_is_its_group(faces, tmp_path):
    for options in ({}, {"folder_factor": True}):
        assert load(tmp_path, faces, **options).folders.tolist() == [0, 2, 1, 0]  # Z.png, a/deep/0.PNG, a/x.bmp, b.webp


def test_a_name_that_is_not_utf_8(faces, tmp_path):
    os.mkdir(os.fsencode(faces) + b"/\xff")
    os.rename(faces / "Z.png", os.fsencode(faces) + b"/\xff/\xfe.png")
    assert load(tmp_path, faces).size == 4  # of a file it stands nowhere
    with pytest.raises(UserError, match=r"folder: my faces.*: the name '\\udcff' is no UTF-8 text; rename it"):
        load(tmp_path, faces, folder_factor=True)


@pytest.mark.parametrize("replace", [os.replace, lambda new, old: old.write_bytes(new.read_bytes())])
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path, replace, monkeypatch):
    monkeypatch.setattr(listing, "CLOCK", 0)
    file, new = tmp_path / "mine" / "a.bmp", tmp_path / "new.bmp"
    file.parent.mkdir()
    for seed, path in enumerate((file, new)):
        Image.fromarray(picture(seed)).save(path)
        os.utime(path, ns=(10**18, 10**18))
    before = load(tmp_path, file.parent).fingerprint
    time.sleep(0.02)  # longer than the clock of a file system takes for a step
    replace(new, file)
    os.utime(file, ns=(10**18, 10**18))
    after = load(tmp_path, file.parent)
    np.testing.assert_array_equal(after.images([0])[0], picture(1))
    assert after.fingerprint != before


def test_a_file_that_has_just_changed_has_a_signature_of_this_moment_alone(faces, monkeypatch):
    """It may change once more within the same step of the clock."""
    (first, _), (second, _) = listing.find(faces), listing.find(faces)
    assert all(first[name] != second[name] for name in first)
    later = time.time_ns() + listing.CLOCK
    monkeypatch.setattr(listing.time, "time_ns", lambda: later)
    assert listing.find(faces) == listing.find(faces)


def test_a_copy_of_the_same_files_is_not_read_again(faces, tmp_path, reads, monkeypatch):
    before = load(tmp_path, faces)
    (images,) = (tmp_path / "folder").glob("*/images-*.npy")
    for keep_times in (True, False):  # as cp -a, or as a checkout
        inode = images.stat().st_ino
        shutil.copytree(faces, tmp_path / "copy", copy_function=shutil.copy2 if keep_times else shutil.copy)
        shutil.rmtree(faces)
        (tmp_path / "copy").rename(faces)
        assert load(tmp_path, faces).fingerprint == before.fingerprint
        assert len(reads) == 4 and images.stat().st_ino == inode
    (faces / "b.webp").touch()
    Image.fromarray(picture(9)).save(faces / "Z.png")
    assert load(tmp_path, faces).size == 4 and reads[4:] == ["Z.png"]
    (faces / "b.webp").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # a cache that another user has prepared
    monkeypatch.setattr(disk, "lock", lambda _: 1 / 0)
    np.testing.assert_array_equal(load(tmp_path, faces).images([0])[0], picture(9))


def deep(path: Path, name: str, bits: int) -> np.ndarray:
    path.mkdir(exist_ok=True)
    pixels = np.random.default_rng(bits).integers(0, 2**bits, (64, 64), np.uint16)
    Image.fromarray(pixels).save(path / name)
    return pixels


def test_16_bits_of_which_fewer_are_used_are_refused_or_scaled(tmp_path, reads):
    path = tmp_path / "microscope"
    pixels = deep(path, "a.png", 12)
    deep(path, "b.png", 9)
    for _ in range(2):
        with pytest.raises(
            UserError, match="data.bits: the 16-bit images of .*microscope use 12 bits.*data.bits=12, or"
        ):
            load(tmp_path, path)
    assert len(reads) == 2  # and they are kept
    for bits in (12, 14, 16):
        found = load(tmp_path, path, bits=bits).images([0])[0, ..., 0]
        np.testing.assert_array_equal(found, pixels >> (bits - 8))
    with pytest.raises(
        UserError, match="1 of 2 files.*\n.*a.png: pixels: range is .*, expected 0 to 1023 by data.bits=10"
    ):
        load(tmp_path, path, bits=10)
    whole = deep(path, "c.png", 16)
    data = load(tmp_path, path)  # over the folder all 16 are used
    np.testing.assert_array_equal(data.images([2])[0, ..., 0], whole >> 8)
    np.testing.assert_array_equal(data.images([0])[0, ..., 0], pixels >> 8)


def test_bits_of_images_that_have_8_are_refused(faces, tmp_path):
    with pytest.raises(UserError, match="data.bits: 12 is for images of more than 8 bits, and .*my faces holds none"):
        load(tmp_path, faces, bits=12)


def test_folder_that_is_missing_or_has_no_image(tmp_path):
    with pytest.raises(UserError, match="data.path: the folder .*/nowhere cannot be read"):
        load(tmp_path, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(UserError, match="data.path: the folder .*notes.txt cannot be read: .*Not a directory"):
        load(tmp_path, tmp_path / "empty" / "notes.txt")
    with pytest.raises(UserError, match="empty holds no image; expected files that end in .png, .jpg"):
        load(tmp_path, tmp_path / "empty")
    with pytest.raises(UserError, match="data.path: missing; --config.data.path=PLACE"):
        datasets.load("folder", tmp_path)


def break_some(faces: Path) -> None:
    whole = (faces / "a" / "deep" / "0.PNG").read_bytes()
    bad = {"a/empty.png": b"", "a/text.jpg": b"text", "cut.png": whole[: len(whole) // 2], "late.png": whole[:-30]}
    for name, content in bad.items():
        (faces / name).write_bytes(content)
    (faces / "nowhere.png").symlink_to(faces / "removed.png")
    (faces / "itself").symlink_to(faces / "itself")
    os.mkfifo(faces / "pipe.png")  # reading it would wait for ever


def test_all_unreadable_images_are_listed_and_the_others_stay_converted(faces, tmp_path, reads):
    break_some(faces)
    with pytest.raises(UserError, match="data.path: 5 of 9 files .* data.skip_unreadable=True goes on") as error:
        load(tmp_path, faces)
    lines = str(error.value).splitlines()[1:]
    bad = ["a/empty.png", "a/text.jpg", "cut.png", "late.png", "nowhere.png"]
    assert [line.split(": ")[0].strip() for line in lines] == [f"{faces}/{name}" for name in bad]
    reads.clear()
    for name in bad:
        (faces / name).unlink()
    np.testing.assert_array_equal(load(tmp_path, faces).images(range(4)), [picture(number) for number in range(4)])
    assert reads == []


def test_many_unreadable_images_are_counted(faces, tmp_path, monkeypatch):
    break_some(faces)
    monkeypatch.setattr(folder, "LISTED", 2)
    with pytest.raises(UserError, match="and 3 more, see .*files.json"):
        load(tmp_path, faces)


def test_unreadable_images_are_skipped_with_a_count(faces, tmp_path, reads, capsys):
    break_some(faces)
    for _ in range(2):
        data = load(tmp_path, faces, skip_unreadable=True)
        np.testing.assert_array_equal(data.images(range(4)), [picture(number) for number in range(4)])
        assert "5 of 9 files" in capsys.readouterr().err
    assert len(reads) == 9
    with pytest.raises(UserError, match="5 of 9 files"):
        load(tmp_path, faces)
    for name in ("Z.png", "a/deep/0.PNG", "a/x.bmp", "b.webp"):
        (faces / name).unlink()
    with pytest.raises(UserError, match="5 of 5 files"):
        load(tmp_path, faces, skip_unreadable=True)


def test_images_of_0_and_1_are_refused_or_scaled(tmp_path):
    path = tmp_path / "masks"
    path.mkdir()
    mask = picture(0) % 2
    Image.fromarray(mask).save(path / "a.png")
    with pytest.raises(UserError, match="folder: masks: the largest pixel is 1, .* data.scale=True multiplies"):
        load(tmp_path, path)
    np.testing.assert_array_equal(load(tmp_path, path, scale=True).images([0])[0], 255 * mask)
    Image.fromarray(picture(1)).save(path / "b.png")
    with pytest.raises(UserError, match="1 of 2 files.*\\n.*b.png: .*data.scale=True is for pixels from 0 to 1"):
        load(tmp_path, path, scale=True)


def test_a_killed_preparation_is_done_again(faces, tmp_path):
    code = "from scaledis import datasets; from scaledis.datasets import folder; import os; folder.BLOCK = 1; "
    code += f"from scaledis.datasets._builders import pictures; read = pictures.read; die = {signal.SIGKILL.value}; "
    code += "pictures.read = lambda f, *o: os.kill(os.getpid(), die) if f.suffix == '.bmp' else read(f, *o); "
    code += f"datasets.load('folder', {str(tmp_path)!r}, path={str(faces)!r})"
    env = os.environ | {"PYTHONPATH": str(Path(scaledis.__file__).parents[1])}
    process = subprocess.run([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
    assert process.returncode == -signal.SIGKILL
    assert prepared(tmp_path) == [".lock", "images.partial"]
    np.testing.assert_array_equal(load(tmp_path, faces).images([2])[0], picture(2))
    assert prepared(tmp_path) == [".lock", "files.json", "images"]


def test_a_full_disk_is_named_and_nothing_is_left(faces, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)
    with pytest.raises(UserError, match="data.directory: .*folder/.* could not be written: .*No space left"):
        load(tmp_path, faces)
    assert prepared(tmp_path) == [".lock"]
