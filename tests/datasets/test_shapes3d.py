"""3DShapes, from a small HDF5 file of the published layout to batches in a compiled step."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds

import scaledis
from scaledis import datasets
from scaledis.config import Data
from scaledis.core.errors import UserError
from scaledis.datasets import Options, shapes3d
from scaledis.datasets._builders import archives, disk, download, prepare, writing
from scaledis.datasets.base import sampling

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


def source_of(path: Path) -> prepare.Source:
    """The specification of the small file at `path`."""
    data = path.read_bytes()
    file = download.File(path.name, path.as_uri(), len(data), hashlib.sha256(data).hexdigest())
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
    prepare.load(source_of(directory / "manual" / "3dshapes.h5"), read, directory, Options())


def load_and_count(directory: Path) -> None:
    def read(source, paths):
        with open(directory / "builds", "a") as file:
            file.write("built\n")
        yield from shapes3d.read(source, paths)

    data = prepare.load(source_of(directory / "manual" / "3dshapes.h5"), read, directory, Options())
    np.testing.assert_array_equal(data.source, content()["images"])


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """A directory with the small file, prepared."""
    directory = tmp_path_factory.mktemp("a directory")
    prepare.load(source_of(write(directory, content())), shapes3d.read, directory, Options())
    return directory


@pytest.fixture(scope="module")
def data(directory) -> datasets.Dataset:
    source = source_of(directory / "manual" / "3dshapes.h5")
    return prepare.load(source, None, directory, Options())  # needs no reader now


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
    arrays = sampling.make_sampler(data, Data())
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
    monkeypatch.setattr(archives, "ROWS", 40)
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
    [(lambda data: data[:1000], "size in bytes is 1,000"), (lambda data: data[:-1] + b"?", "sha256 is")],
)
def test_a_file_that_is_not_the_published_one(tmp_path, damage, message):
    source = source_of(path := write(tmp_path, content()))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        prepare.load(source, shapes3d.read, tmp_path, Options())
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
        prepare.load(source, shapes3d.read, tmp_path, Options())
    assert leftovers(tmp_path) == [".lock"]


def test_a_full_disk(tmp_path, monkeypatch):
    source = source_of(write(tmp_path, content()))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match="GB free"):
        prepare.load(source, shapes3d.read, tmp_path, Options())
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
        prepare.load(source_of(write(tmp_path, content())), reader_that_ends(end), tmp_path, Options())
    assert leftovers(tmp_path) == [".lock"]


def test_killed_half_way_then_again_gives_the_same_bytes(tmp_path, directory):
    source = source_of(write(tmp_path, content()))
    assert spawn("load_and_die", tmp_path).wait() == -signal.SIGKILL
    assert leftovers(tmp_path) == [".lock", "building"]
    prepare.load(source, shapes3d.read, tmp_path, Options())
    assert leftovers(tmp_path) == [".lock", "1.0.0"]
    files = [{p.name: p.read_bytes() for p in (d / "shapes3d" / "1.0.0").iterdir()} for d in (tmp_path, directory)]
    assert files[0] == files[1] and {"images.npy", "manifest.json", "dataset_info.json"} < set(files[0])


def test_two_processes_at_once_prepare_once(tmp_path):
    write(tmp_path, content())
    with disk.lock(tmp_path / "shapes3d"):  # both arrive before either can begin
        processes = [spawn("load_and_count", tmp_path) for _ in range(2)]
        for process in processes:
            assert any("waiting for another" in line for line in process.stderr)
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert (tmp_path / "builds").read_text() == "built\n"


def test_download_takes_the_same_path(tmp_path, directory):
    source = source_of(directory / "manual" / "3dshapes.h5")  # its URL is that file
    data = prepare.load(source, shapes3d.read, tmp_path, Options(download=True))
    np.testing.assert_array_equal(data.source, content()["images"])
    assert os.listdir(tmp_path / "manual") == ["3dshapes.h5"]


def changed(source: prepare.Source, **changes) -> prepare.Source:
    return dataclasses.replace(source, files=(dataclasses.replace(source.files[0], **changes),))


def test_a_failed_download_leaves_nothing(tmp_path, directory, monkeypatch):
    monkeypatch.setattr(download, "WAITS", ())
    source = changed(source_of(directory / "manual" / "3dshapes.h5"), url="file:///no")
    with pytest.raises(UserError, match="3dshapes.h5"):
        prepare.load(source, shapes3d.read, tmp_path, Options(download=True))
    assert os.listdir(tmp_path / "manual") == [] and leftovers(tmp_path) == [".lock"]


def test_a_download_with_another_checksum_is_kept_and_can_be_accepted(tmp_path, directory):
    source = changed(source_of(directory / "manual" / "3dshapes.h5"), digest="0" * 64)
    with pytest.raises(UserError, match="3dshapes.h5: sha256 is .*, expected 0000.*data.accept_checksum=True"):
        prepare.load(source, shapes3d.read, tmp_path, Options(download=True))
    assert os.listdir(tmp_path / "manual") == ["3dshapes.h5"] and leftovers(tmp_path) == [".lock"]
    with pytest.raises(UserError, match="data.accept_checksum=True"):
        prepare.load(source, shapes3d.read, tmp_path, Options())
    data = prepare.load(changed(source, url="file:///no"), shapes3d.read, tmp_path, Options(accept_checksum=True))
    np.testing.assert_array_equal(data.source, content()["images"])
    manifest = json.loads((tmp_path / "shapes3d" / "1.0.0" / "manifest.json").read_text())
    digest = hashlib.sha256((tmp_path / "manual" / "3dshapes.h5").read_bytes()).hexdigest()
    assert manifest["origin"] == {"3dshapes.h5": digest} and "sha256" not in manifest
    assert prepare.load(source, None, tmp_path, Options()).size == COUNT  # said once


def test_a_prepared_set_that_is_of_another_file(tmp_path):
    source = source_of(write(tmp_path, content()))
    prepare.load(source, shapes3d.read, tmp_path, Options())
    with pytest.raises(ValueError, match="delete .* to prepare it again.*0000"):
        prepare.load(changed(source, digest="0" * 64), shapes3d.read, tmp_path, Options())
    os.truncate(tmp_path / "shapes3d" / "1.0.0" / "manifest.json", 100)
    with pytest.raises(ValueError, match="delete .* to prepare it again"):
        prepare.load(source, shapes3d.read, tmp_path, Options())


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 10_000)])
def test_the_memory_map_is_made_again_from_the_records(tmp_path, damage):
    path = write(tmp_path, content())
    source = source_of(path)
    images = tmp_path / "shapes3d" / "1.0.0" / "images.npy"
    prepare.load(source, shapes3d.read, tmp_path, Options())
    before = images.read_bytes()
    path.unlink()
    damage(images)
    data = prepare.load(source, None, tmp_path, Options())
    np.testing.assert_array_equal(data.source, content()["images"])
    assert images.read_bytes() == before


def test_a_set_prepared_by_version_0_1_0_still_opens(tmp_path, directory):
    """It has no records: they were deleted."""
    folder = tmp_path / "shapes3d" / "1.0.0"
    folder.mkdir(parents=True)
    for name in ("images.npy", "manifest.json"):
        shutil.copy(directory / "shapes3d" / "1.0.0" / name, folder)
    data = prepare.load(source_of(directory / "manual" / "3dshapes.h5"), None, tmp_path, Options())
    np.testing.assert_array_equal(data.source, content()["images"])


def test_killed_between_records_and_map_goes_on_from_the_records(tmp_path, monkeypatch):
    source = source_of(write(tmp_path, content()))
    monkeypatch.setattr(writing, "cache", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare.load(source, shapes3d.read, tmp_path, Options())
    monkeypatch.undo()
    np.testing.assert_array_equal(prepare.load(source, None, tmp_path, Options()).source, content()["images"])


def test_tfds_opens_the_prepared_set(directory):
    records = tfds.builder_from_directory(directory / "shapes3d" / "1.0.0").as_data_source("train")
    assert len(records) == COUNT and "tensorflow" not in sys.modules
    np.testing.assert_array_equal(records[17]["image"], content()["images"][17])
    np.testing.assert_array_equal(records[17]["factors"], np.unravel_index(17, SIZES))


def test_damaged_records_are_named(tmp_path):
    source = source_of(write(tmp_path, content()))
    prepare.load(source, shapes3d.read, tmp_path, Options())
    folder = tmp_path / "shapes3d" / "1.0.0"
    (folder / "images.npy").unlink()
    (shard,) = folder.glob("*array_record*")
    os.truncate(shard, 1000)
    with pytest.raises(UserError, match=f"{folder} cannot be read: "):
        prepare.load(source, None, tmp_path, Options())
