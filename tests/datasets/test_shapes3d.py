"""3DShapes, from a small HDF5 file of the published layout to batches in a compiled step."""

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import jax
import numpy as np
import pytest

import scaledis
from scaledis import datasets, sampling
from scaledis.config import Data
from scaledis.datasets import _prepared, _published, shapes3d
from scaledis.errors import UserError

SIZES, COUNT = (2, 3, 2, 2, 2, 2), 96
VALUES = tuple(values[:size] for values, size in zip(shapes3d.SOURCE.factor_values, SIZES, strict=True))


def content() -> dict[str, np.ndarray]:
    """The arrays of the small file; every image differs."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 64, 64, 3), np.uint8)
    labels = np.stack([grid.ravel() for grid in np.meshgrid(*VALUES, indexing="ij")], axis=-1).astype(np.float64)
    return {"images": images, "labels": labels}


def write(directory: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = directory / "manual" / "3dshapes.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, chunks=(16, 4, 64, 1)[: array.ndim], compression="gzip")
    return path


def source_of(path: Path) -> _prepared.Source:
    """The specification of the small file at `path`."""
    data = path.read_bytes()
    file = _published.File(path.name, path.as_uri(), len(data), hashlib.sha256(data).hexdigest())
    return dataclasses.replace(shapes3d.SOURCE, files=(file,), factor_values=VALUES)


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "shapes3d").glob("*"))


def spawn(function: str, directory: Path) -> subprocess.Popen:
    """Another process that runs a function of this module on `directory`."""
    paths = [str(Path(__file__).parent), str(Path(scaledis.__file__).parents[1])]
    code = f"import {Path(__file__).stem} as tests, pathlib; tests.{function}(pathlib.Path({str(directory)!r}))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True)


def reader_that_ends(end):
    """A reader that yields 16 images, then calls `end`."""

    def read(source, paths):
        images, factors = next(shapes3d.read(source, paths))
        yield images[:16], factors[:16]
        end()

    return read


def load_and_die(directory: Path) -> None:
    read = reader_that_ends(lambda: signal.raise_signal(signal.SIGKILL))
    _prepared.load(source_of(directory / "manual" / "3dshapes.h5"), read, directory)


def load_and_count(directory: Path) -> None:
    def read(source, paths):
        with open(directory / "builds", "a") as file:
            file.write("built\n")
        yield from shapes3d.read(source, paths)

    data = _prepared.load(source_of(directory / "manual" / "3dshapes.h5"), read, directory)
    np.testing.assert_array_equal(data.source, content()["images"])


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """A directory with the small file, prepared."""
    directory = tmp_path_factory.mktemp("a directory")
    _prepared.load(source_of(write(directory, content())), shapes3d.read, directory)
    return directory


@pytest.fixture(scope="module")
def data(directory) -> datasets.Dataset:
    return _prepared.load(source_of(directory / "manual" / "3dshapes.h5"), None, directory)  # needs no reader now


def test_specification_of_the_published_file():
    source = shapes3d.SOURCE
    assert source.shape == (480_000, 64, 64, 3)
    assert source.factor_sizes == (10, 10, 10, 8, 4, 15)
    assert len(source.factor_names) == len(source.factor_sizes)
    assert all((np.diff(values) > 0).all() for values in source.factor_values)
    assert (source.files[0].size, len(bytes.fromhex(source.files[0].digest))) == (267_573_662, 32)


def test_images_and_factors_equal_the_rows_of_the_file(data):
    index, expected = np.random.default_rng(1).permutation(COUNT), content()
    np.testing.assert_array_equal(data.images(index), expected["images"][index])
    factors = data.factors(index)
    labels = np.stack([values[column] for values, column in zip(data.factor_values, factors.T, strict=True)], axis=-1)
    np.testing.assert_array_equal(labels, expected["labels"][index])


def test_samples_inside_a_compiled_step(data):
    arrays = sampling.sampling(data, Data())
    sample = jax.jit(lambda source, key: data.gather(source, sampling.draw(arrays, key, 32)))
    images = np.asarray(sample(data.source, jax.random.key(0)))
    rows = (images[:, None] == content()["images"][None]).all(axis=(2, 3, 4))
    assert images.dtype == np.uint8
    assert (rows.sum(axis=1) == 1).all() and len(np.unique(rows.argmax(axis=1))) > 16


def test_a_cpu_device_shares_the_memory_map(data):
    assert isinstance(data.source, np.memmap) and not data.source.flags.writeable
    placed = jax.device_put(data.source, jax.devices("cpu")[0])
    assert placed.unsafe_buffer_pointer() == data.source.ctypes.data


def test_blocks_of_whole_chunks_with_the_ranks_of_the_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(_published, "ROWS", 40)
    arrays = content()
    arrays["labels"] = arrays["labels"] ** 3 / 7 - 1  # increasing, so that ranks stay
    source = source_of(write(tmp_path, arrays))
    images, factors = zip(*shapes3d.read(source, [tmp_path / "manual" / "3dshapes.h5"]), strict=True)
    assert [len(block) for block in images] == [32, 32, 32]
    np.testing.assert_array_equal(np.concatenate(images), arrays["images"])
    np.testing.assert_array_equal(np.concatenate(factors), np.stack(np.unravel_index(np.arange(COUNT), SIZES), axis=-1))


def test_a_missing_file_names_itself_its_size_its_checksum_and_its_place(tmp_path):
    (file,) = shapes3d.SOURCE.files
    with pytest.raises(UserError) as error:
        datasets.load("shapes3d", tmp_path / "my data")
    for part in ("267,573,662 bytes", file.digest, f"-o '{tmp_path}/my data/manual/3dshapes.h5' {file.url}"):
        assert part in str(error.value)
    assert not (tmp_path / "my data").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [(lambda data: data[:1000], "size in bytes is 1000"), (lambda data: data[:-1] + b"?", "sha256 is")],
)
def test_a_file_that_is_not_the_published_one(tmp_path, damage, message):
    source = source_of(path := write(tmp_path, content()))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        _prepared.load(source, shapes3d.read, tmp_path)
    assert str(path) in str(error.value) and "expected" in str(error.value)
    assert leftovers(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"images": a["images"]}, r"list of keys is \['images'\], expected \['images', 'labels'\]"),
        (lambda a: a | {"images": a["images"][:, :32]}, r"images is uint8 \(96, 32, 64, 3\), expected uint8 \(96, 64"),
        (lambda a: a | {"images": a["images"][:90]}, r"images is uint8 \(90, 64, 64, 3\), expected uint8 \(96, 64"),
        (lambda a: a | {"labels": a["labels"][:, :5]}, r"labels is float64 \(96, 5\), expected float64 \(96, 6\)"),
        (lambda a: a | {"labels": a["labels"].round()}, r"number of distinct labels per factor is \(1, 1,"),
        (lambda a: a | {"labels": a["labels"][::-1]}, r"3dshapes.h5: factor index of image 0 is \[1 2 1 1 1 1\]"),
    ],
)
def test_a_file_that_holds_something_else(tmp_path, change, message):
    source = source_of(write(tmp_path, change(content())))
    with pytest.raises(ValueError, match=message):
        _prepared.load(source, shapes3d.read, tmp_path)
    assert leftovers(tmp_path) == [".lock"]


def test_a_full_disk(tmp_path, monkeypatch):
    source = source_of(write(tmp_path, content()))
    monkeypatch.setattr(_prepared.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match="GB free"):
        _prepared.load(source, shapes3d.read, tmp_path)
    assert leftovers(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    ("end", "error", "message"),
    [
        (lambda: 1 / 0, ZeroDivisionError, "division"),
        (lambda: open("/no such file"), UserError, "could not be prepared in .*no such file"),
        (lambda: None, ValueError, "number of images is 16, expected 96"),
    ],
)
def test_a_reader_that_ends_half_way_leaves_nothing(tmp_path, end, error, message):
    with pytest.raises(error, match=message):
        _prepared.load(source_of(write(tmp_path, content())), reader_that_ends(end), tmp_path)
    assert leftovers(tmp_path) == [".lock"]


def test_killed_half_way_then_again_gives_the_same_bytes(tmp_path, directory):
    source = source_of(write(tmp_path, content()))
    assert spawn("load_and_die", tmp_path).wait() == -signal.SIGKILL
    assert leftovers(tmp_path) == [".lock", "building"]
    _prepared.load(source, shapes3d.read, tmp_path)
    assert leftovers(tmp_path) == [".lock", "1.0.0"]
    files = [{p.name: p.read_bytes() for p in (d / "shapes3d" / "1.0.0").iterdir()} for d in (tmp_path, directory)]
    assert files[0] == files[1] and sorted(files[0]) == ["images.npy", "manifest.json"]


def test_two_processes_at_once_prepare_once(tmp_path):
    write(tmp_path, content())
    with _prepared.lock(tmp_path / "shapes3d"):  # both arrive before either can begin
        processes = [spawn("load_and_count", tmp_path) for _ in range(2)]
        for process in processes:
            assert any("waiting for another" in line for line in process.stderr)
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert (tmp_path / "builds").read_text() == "built\n"


def test_download_takes_the_same_path(tmp_path, directory):
    source = source_of(directory / "manual" / "3dshapes.h5")  # its URL is that file
    data = _prepared.load(source, shapes3d.read, tmp_path, download=True)
    np.testing.assert_array_equal(data.source, content()["images"])
    assert os.listdir(tmp_path / "manual") == ["3dshapes.h5"]


@pytest.mark.parametrize(("change", "error"), [({"digest": "0" * 64}, ValueError), ({"url": "file:///no"}, UserError)])
def test_a_failed_download_leaves_nothing(tmp_path, directory, monkeypatch, change, error):
    monkeypatch.setattr(_published, "WAITS", ())
    source = source_of(directory / "manual" / "3dshapes.h5")
    source = dataclasses.replace(source, files=(dataclasses.replace(source.files[0], **change),))
    with pytest.raises(error, match="3dshapes.h5"):
        _prepared.load(source, shapes3d.read, tmp_path, download=True)
    assert os.listdir(tmp_path / "manual") == [] and leftovers(tmp_path) == [".lock"]


def test_a_prepared_set_that_was_damaged_or_is_of_another_file(tmp_path):
    source = source_of(write(tmp_path, content()))
    other = dataclasses.replace(source, files=(dataclasses.replace(source.files[0], digest="0" * 64),))
    _prepared.load(source, shapes3d.read, tmp_path)
    with pytest.raises(ValueError, match="delete .* to prepare it again.*0000"):
        _prepared.load(other, shapes3d.read, tmp_path)
    for name in ("images.npy", "manifest.json"):
        os.truncate(tmp_path / "shapes3d" / "1.0.0" / name, 100)
        with pytest.raises(ValueError, match="delete .* to prepare it again"):
            _prepared.load(source, shapes3d.read, tmp_path)
