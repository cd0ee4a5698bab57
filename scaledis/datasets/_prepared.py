"""Published data sets: verified source files become, through TFDS records, one memory-mapped uint8 array, once.

Below the data directory, for a set NAME:

    manual/FILE                the published file, placed there by the user or by `download=True`
    NAME/VERSION/images.npy    uint8 [N, H, W, C]; on a full grid row = mixed-radix factor index, last factor fastest
    NAME/VERSION/factors.npy   int32 [N, F], for a set that is no full grid
    NAME/VERSION/manifest.json what it was made from

The folder VERSION is renamed into place when complete. TFDS's records are then deleted: images.npy holds all that they
hold, and the published file, which is smaller, can make them again.
"""

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from scaledis import datasets
from scaledis.datasets import Dataset, _published
from scaledis.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """What a published data set must hold.

    Attributes:
      name: of the data set.
      version: of the prepared form, `major.minor.patch`; raise it when the bytes to be written change.
      files: the published files.
      factor_names, factor_values, image_shape: as in `Dataset`.
      count: N for a set with a table of factors; None for one on a full grid.
    """

    name: str
    version: str
    files: tuple[_published.File, ...]
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]
    count: int | None = None

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return (math.prod(self.factor_sizes) if self.count is None else self.count, *self.image_shape)

    def grid(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> factor indices int32 [n, F], on the full grid."""
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=-1).astype(np.int32)


# (source, paths of its files) -> blocks (images uint8 [n, H, W, C], factor indices int32 [n, F]), in index order.
Read = Callable[[Source, list[Path]], Iterator[tuple[np.ndarray, np.ndarray]]]
Check = Callable[[Source, list[Path]], None]


def load(
    source: Source, read: Read, directory: Path, download: bool = False, check: Check = lambda source, paths: None
) -> Dataset:
    """The data set below `directory`, prepared first if it is not yet; another process that prepares it is waited for.

    The images are a read-only memory map, aligned so that `jax.device_put` on a CPU shares it with every device.
    `read` raises `mismatch` for files that hold something else; `download` fetches those not in `directory`/manual.
    `check` raises UserError for files of which more can be said than that their checksums are wrong.

    Raises:
      UserError: a published file is not in `directory`/manual, and cannot be fetched or is not to be.
      UserError: a published file or the prepared array is not what it must be.
      UserError: a download failed, or the disk is full or cannot be written.
    """
    folder = directory / source.name / source.version
    if not folder.exists():
        places = {directory / "manual" / file.name: file for file in source.files}
        missing = _missing(places)
        if missing and not (download and all(file.fetchable for file in missing.values())):
            raise _published.absent(source.name, missing)
        with lock(folder.parent):
            if not folder.exists():
                _prepare(source, read, check, places, folder)
    images, table = _open(source, folder)
    names, values = source.factor_names, source.factor_values
    return Dataset(source.name, names, values, source.image_shape, images, datasets.rows, table)


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [n, H, W] or [n, H, W, 3] -> uint8 [n, *size] or [n, *size, 3], by the antialiasing Lanczos filter."""
    from PIL import Image  # a prepared set opens without it

    filter_ = Image.Resampling.LANCZOS
    return np.stack([np.asarray(Image.fromarray(image).resize(size[::-1], filter_)) for image in images])


def _missing(places: dict[Path, _published.File]) -> dict[Path, _published.File]:
    return {path: file for path, file in places.items() if not path.is_file()}


def _open(source: Source, folder: Path) -> tuple[np.memmap, np.ndarray | None]:
    """The prepared images, read-only [N, H, W, C], and their table of factors [N, F] if they are no full grid.

    Raises UserError if they are damaged or of another source.
    """
    table = None
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        if (found := (manifest, images.shape)) != (expected := (_manifest(source), source.shape)):
            raise _published.mismatch(folder, "content", found, expected)
        if source.count is not None:
            table = np.load(folder / "factors.npy", allow_pickle=False)
            if table.shape != (expected := (source.count, len(source.factor_sizes))):
                raise _published.mismatch(folder / "factors.npy", "shape", table.shape, expected)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{source.name}: delete {folder} to prepare it again, it is damaged: {error}") from error
    return images, table


def _manifest(source: Source) -> dict[str, Any]:
    digests: dict[str, dict[str, str]] = {}
    for file in source.files:
        digests.setdefault(file.algorithm, {})[file.name] = file.digest
    factors = dict(zip(source.factor_names, source.factor_sizes, strict=True))
    return {"version": source.version, **digests, "shape": list(source.shape), "factors": factors}


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on `folder`; the kernel releases it when this process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that prepares {folder}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare(source: Source, read: Read, check: Check, places: dict[Path, _published.File], folder: Path) -> None:
    """Writes `folder`, whole or not at all. The caller holds the lock."""
    paths, missing = list(places), _missing(places)
    needed = 1.5 * math.prod(source.shape) + sum(file.size or 0 for file in missing.values())  # the records take 0.5
    if (free := shutil.disk_usage(folder.parent).free) < needed:
        raise UserError(f"{folder.parent} has {free / 1e9:.1f} GB free, preparing takes {needed / 1e9:.1f} GB.")
    for path, file in missing.items():
        _published.fetch(file, path)
    check(source, paths)
    for path, file in places.items():
        if path not in missing:  # what was fetched is verified
            _published.verify(file, path)
    print(f"{source.name}: preparing {source.shape[0]:,} images in {folder}, once", file=sys.stderr, flush=True)
    building = folder.with_name("building")
    shutil.rmtree(building, ignore_errors=True)  # what a killed process left
    try:
        _write(source, _records(source, read, paths, building / "records"), building)
        with _synced(building / "manifest.json") as file:
            file.write((json.dumps(_manifest(source), indent=2) + "\n").encode())
        shutil.rmtree(building / "records")
        building.rename(folder)
    except (OSError, RuntimeError) as error:  # array_record reports a full disk as a RuntimeError
        raise UserError(f"{source.name} could not be prepared in {folder}: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _records(source: Source, read: Read, paths: list[Path], directory: Path) -> Any:
    """TFDS records {image, factors} in index order, written to `directory`, as a random-access source."""
    import tensorflow_datasets as tfds  # takes longer to import than a prepared set takes to open

    image = tfds.features.Tensor(shape=source.image_shape, dtype=np.uint8, encoding="bytes")
    factors = tfds.features.Tensor(shape=(len(source.factor_sizes),), dtype=np.int32)
    directory.mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.dataset_info.DatasetIdentity(source.name, source.version, str(directory), __name__),
        features=tfds.features.FeaturesDict({"image": image, "factors": factors}),
        disable_shuffling=True,
    )
    # Not a builder: that gathers all records before it writes one, and beyond 1 GB of them it needs TensorFlow.
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=20_000, file_format="array_record")
    writer.initialize_splits(["train"])
    try:
        with tqdm(desc=f"{source.name}: reading", total=source.shape[0], disable=None) as bar:
            for block in read(source, paths):
                rows = zip(*block, strict=True)
                writer.add_examples({"train": [{"image": image, "factors": factors} for image, factors in rows]})
                bar.update(len(block[0]))
    finally:
        writer.close_all()
    return tfds.builder_from_directory(directory).as_data_source("train")


def _write(source: Source, records: Any, folder: Path) -> None:
    """Writes the images of all records, in order, and their table. Raises UserError if factors are wrong."""
    origin, total, block = source.files[0].name, source.shape[0], 1000
    if len(records) != total:
        raise _published.mismatch(origin, "number of images", len(records), total)
    table = []
    header = {"descr": "|u1", "fortran_order": False, "shape": source.shape}
    with _synced(folder / "images.npy") as file:
        np.lib.format.write_array_header_1_0(file, header)  # padded to 64 bytes, the alignment that JAX can share
        for start in tqdm(range(0, total, block), f"{source.name}: writing", unit="k", disable=None):
            index = np.arange(start, min(start + block, total))
            rows = records.__getitems__(index.tolist())
            factors = np.stack([record["factors"] for record in rows])
            _check_factors(source, index, factors)
            table.append(factors)
            file.write(np.stack([record["image"] for record in rows]))
    if source.count is not None:
        with _synced(folder / "factors.npy") as file:
            np.save(file, np.concatenate(table))


def _check_factors(source: Source, index: np.ndarray, factors: np.ndarray) -> None:
    """Raises UserError if factors [n, F] are not those of the images [n] of a grid, or out of range in a table."""
    expected = source.grid(index) if source.count is None else factors.clip(0, np.subtract(source.factor_sizes, 1))
    if (wrong := (factors != expected).any(axis=-1)).any():
        row, name = wrong.argmax(), source.files[0].name
        raise _published.mismatch(name, f"factor index of image {index[row]}", factors[row], expected[row])


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """A new file, on the disk when it is closed."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
