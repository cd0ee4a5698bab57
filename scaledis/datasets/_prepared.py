"""Published data sets: verified source files become, through TFDS records, one memory-mapped uint8 array, once.

Below the data directory, for a set NAME:

    manual/FILE                the published file, placed there by the user or by `download=True`
    NAME/VERSION/images.npy    uint8 [N, H, W, C]; row = mixed-radix factor index, last factor fastest
    NAME/VERSION/manifest.json what it was made from

The folder VERSION is renamed into place when complete. TFDS's records are then deleted: images.npy holds all that they
hold, and the published file, which is smaller, can make them again.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import itertools
import json
import math
import os
import shlex
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from scaledis.datasets import Dataset


@dataclasses.dataclass(frozen=True)
class File:
    """A published file: its name, where it is published, its size in bytes and its SHA-256 in hex."""

    name: str
    url: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Source:
    """What a published data set must hold.

    Attributes:
      name: of the data set.
      version: of the prepared form, `major.minor.patch`; raise it when the bytes to be written change.
      files: the published files.
      factor_names, factor_values, image_shape: as in `Dataset`.
    """

    name: str
    version: str
    files: tuple[File, ...]
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return (math.prod(self.factor_sizes), *self.image_shape)


# (source, paths of its files) -> blocks (images uint8 [n, H, W, C], factor indices int32 [n, F]), in index order.
Read = Callable[[Source, list[Path]], Iterator[tuple[np.ndarray, np.ndarray]]]


def mismatch(file: str | Path, what: str, found: object, expected: object) -> ValueError:
    """The error for a file that does not hold what it must."""
    return ValueError(f"{file}: {what} is {found}, expected {expected}.")


def load(source: Source, read: Read, directory: Path, download: bool = False) -> Dataset:
    """The data set below `directory`, prepared first if it is not yet; another process that prepares it is waited for.

    The images are a read-only memory map, aligned so that `jax.device_put` on a CPU shares it with every device.
    `read` raises `mismatch` for files that hold something else; `download` fetches those not in `directory`/manual.

    Raises:
      FileNotFoundError: a published file is not in `directory`/manual, and `download` is False.
      ValueError: a published file or the prepared array is not what it must be.
      OSError: a download failed, or the disk is full or cannot be written.
    """
    folder = directory / source.name / source.version
    if not folder.exists():
        paths = [directory / "manual" / file.name for file in source.files]
        for file, path in zip(source.files, paths, strict=True):
            if not (download or path.exists()):
                raise FileNotFoundError(
                    f"{source.name} needs {path} ({file.size:,} bytes, sha256 {file.sha256}), which is not there; "
                    f"place it with: curl -fL --create-dirs -o {shlex.quote(str(path))} {shlex.quote(file.url)}"
                )
        with _lock(folder.parent):
            if not folder.exists():
                _prepare(source, read, paths, folder)
    images = _open(source, folder)
    return Dataset(source.name, source.factor_names, source.factor_values, source.image_shape, images, _gather)


def _gather(images: Any, index: jax.Array) -> jax.Array:
    return images[index]


def _open(source: Source, folder: Path) -> np.memmap:
    """The prepared images, read-only [N, H, W, C]. Raises ValueError if they are damaged or of another source."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        if (found := (manifest, images.shape)) != (expected := (_manifest(source), source.shape)):
            raise mismatch(folder, "content", found, expected)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{source.name}: delete {folder} to prepare it again, it is damaged: {error}") from error
    return images


def _manifest(source: Source) -> dict[str, Any]:
    return {
        "version": source.version,
        "sha256": {file.name: file.sha256 for file in source.files},
        "shape": list(source.shape),
        "factors": dict(zip(source.factor_names, source.factor_sizes, strict=True)),
    }


def _download(file: File, path: Path) -> None:
    """Fetches the file to `path`, whole and verified or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with urllib.request.urlopen(file.url, timeout=30) as response, open(partial, "wb") as target:
            with tqdm.wrapattr(response, "read", total=file.size, desc=f"fetching {file.name}", disable=None) as body:
                shutil.copyfileobj(body, target, length=1 << 20)
        _verify(file, partial)
        partial.rename(path)
    except OSError as error:
        raise OSError(f"{file.url} could not be fetched to {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _verify(file: File, path: Path) -> None:
    """Raises ValueError if the file at `path` is not the published one."""
    if path.stat().st_size != file.size:
        raise mismatch(path, "size in bytes", path.stat().st_size, file.size)
    with open(path, "rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if sha256 != file.sha256:
        raise mismatch(path, "sha256", sha256, file.sha256)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on `folder`; the kernel releases it when this process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that prepares {folder}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare(source: Source, read: Read, paths: list[Path], folder: Path) -> None:
    """Writes `folder`, whole or not at all. The caller holds the lock."""
    for file, path in zip(source.files, paths, strict=True):
        if not path.exists():
            _download(file, path)
        _verify(file, path)
    needed, free = (
        1.5 * math.prod(source.shape),
        shutil.disk_usage(folder.parent).free,
    )  # bytes; the records take about 0.5
    if free < needed:
        raise OSError(f"{folder.parent} has {free / 1e9:.1f} GB free, preparing takes {needed / 1e9:.1f} GB.")
    print(f"{source.name}: preparing {source.shape[0]:,} images in {folder}, once", file=sys.stderr, flush=True)
    building = folder.with_name("building")
    shutil.rmtree(building, ignore_errors=True)  # what a killed process left
    try:
        _write_images(source, _records(source, read, paths, building / "records"), building / "images.npy")
        (building / "manifest.json").write_text(json.dumps(_manifest(source), indent=2) + "\n")
        shutil.rmtree(building / "records")
        building.rename(folder)
    except (OSError, RuntimeError) as error:  # array_record reports a full disk as a RuntimeError
        raise OSError(f"{source.name} could not be prepared in {folder}: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _records(source: Source, read: Read, paths: list[Path], directory: Path) -> Any:
    """TFDS records {image, factors} in index order, written below `directory`, as a random-access source."""
    import tensorflow_datasets as tfds  # takes longer to import than a prepared set takes to open

    class Images(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = source.name
        VERSION = tfds.core.Version(source.version)

        def _info(self):
            image = tfds.features.Tensor(shape=source.image_shape, dtype=np.uint8, encoding="bytes")
            factors = tfds.features.Tensor(shape=(len(source.factor_sizes),), dtype=np.int32)
            features = tfds.features.FeaturesDict({"image": image, "factors": factors})
            return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            rows = itertools.chain.from_iterable(itertools.starmap(zip, read(source, paths)))
            rows = tqdm(rows, f"{source.name}: reading", source.shape[0], disable=None)
            for index, (image, factors) in enumerate(rows):
                yield index, {"image": image, "factors": factors}

    tfds.disable_progress_bar()
    builder = Images(data_dir=directory, file_format="array_record")
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download of unknown size
        builder.download_and_prepare()
    return builder.as_data_source("train")


def _write_images(source: Source, records: Any, path: Path) -> None:
    """Writes the images of all records, in order. Raises ValueError if a record is not the one of its factor index."""
    origin, total, block = source.files[0].name, source.shape[0], 1000
    if len(records) != total:
        raise mismatch(origin, "number of images", len(records), total)
    header = {"descr": "|u1", "fortran_order": False, "shape": source.shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)  # padded to 64 bytes, the alignment that JAX can share
        for start in tqdm(range(0, total, block), f"{source.name}: writing", unit="k", disable=None):
            index = range(start, min(start + block, total))
            rows = records.__getitems__(list(index))
            factors = np.stack([record["factors"] for record in rows])
            expected = np.stack(np.unravel_index(index, source.factor_sizes), axis=-1)
            if (wrong := (factors != expected).any(axis=-1)).any():
                row = wrong.argmax()
                raise mismatch(origin, f"factor index of image {index[row]}", factors[row], expected[row])
            file.write(np.stack([record["image"] for record in rows]))
        file.flush()
        os.fsync(file.fileno())
