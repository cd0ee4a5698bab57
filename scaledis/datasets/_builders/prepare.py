"""Published data sets: verified files become a TFDS data set, and that becomes one memory-mapped array of images.

Below the data directory, for a set NAME:

    manual/FILE                 the published file, placed there by the user or fetched
    NAME/VERSION/               the TFDS data set: array_record, in index order
    NAME/VERSION/manifest.json  what it was made from
    NAME/VERSION/images.npy     uint8 [N, H, W, C]; on a full grid row = mixed-radix factor index, last factor fastest
    NAME/VERSION/factors.npy    int32 [N, F], for a set with a table of factors

The two arrays are a cache: they are written again from the records when they are deleted, without the published file.
Where the user has the set from TFDS, its records are read where they lie, and only the arrays and the manifest are
written.
"""

import contextlib
import dataclasses
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import disk, download, records
from scaledis.datasets._builders.archives import mismatch

OPTIONS = ("accept_checksum",)  # what every published set understands
OPTIONS_WITH_COPY = (*OPTIONS, "path")  # and what those understand that TFDS has too


@dataclasses.dataclass(frozen=True)
class Source:
    """What a published data set must hold.

    Attributes:
      name: of the data set.
      version: of the prepared form, `major.minor.patch`; raise it when the bytes to be written change.
      files: the published files.
      factor_names, factor_values, image_shape: as in `Dataset`.
      count: N for a set with a table of factors; None for one on a full grid.
      copy: how TFDS stores the set; None where TFDS does not have it.
    """

    name: str
    version: str
    files: tuple[download.File, ...]
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]
    count: int | None = None
    copy: records.Copy | None = None

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


# (source, paths of its files) -> its images and factors.
Read = Callable[[Source, list[Path]], records.Blocks]
Check = Callable[[Source, list[Path]], None]


def load(
    source: Source, read: Read, directory: Path, options: Options, check: Check = lambda source, paths: None
) -> Dataset:
    """The data set below `directory`, prepared first if it is not yet; another process that prepares it is waited for.

    The images are a read-only memory map, aligned so that `jax.device_put` on a CPU shares it with every device.
    They come from what is there first: the prepared records, the user's TFDS copy (`options.path`), the published files
    in `directory`/manual, a TFDS copy in TFDS's own directory, and with `options.download` from the network.
    `read` raises `mismatch` for files that hold something else. `check` raises UserError for files of which more can be
    said than that their checksums are wrong.

    Raises:
      UserError: a published file is not in `directory`/manual, and cannot be fetched or is not to be.
      UserError: a published file has another checksum, and `options.accept_checksum` is False.
      UserError: a published file, the user's copy or the prepared array is not what it must be.
      UserError: a download failed, or the disk is full or cannot be written.
    """
    folder = directory / source.name / source.version
    if not _is_whole(source, folder):
        places = {directory / "manual" / file.name: file for file in source.files}
        copy = None if records.are_in(folder) else _copy(source, places, options)
        missing = {} if copy or records.are_in(folder) else _missing(places)
        if missing and not (options.download and all(file.fetchable for file in missing.values())):
            raise download.absent(source.name, missing, _other_way(source))
        with disk.lock(folder.parent), _writing(source, folder):
            if not _is_whole(source, folder):
                if not copy and not records.are_in(folder):
                    _record(source, read, check, places, folder, options.accept_checksum)
                _cache(source, folder, copy)
    origin = _check_manifest(source, folder)
    if options.path and isinstance(origin, str) and options.path not in (Path(origin), *Path(origin).parents):
        print(
            f"{source.name}: {folder} was prepared from {origin}, and data.path={options.path} is not read; delete the "
            "first to prepare it from the second.",
            file=sys.stderr,
        )
    images, table = _open(source, folder)
    names, values = source.factor_names, source.factor_values
    return Dataset(source.name, names, values, source.image_shape, images, datasets.rows, table)


def _copy(source: Source, places: dict[Path, download.File], options: Options) -> Path | None:
    """The folder of the user's TFDS copy: below `options.path`, or TFDS's own directory if a published file lacks."""
    if source.copy is None or (options.path is None and not _missing(places)):
        return None
    return records.find(source.copy, options.path)


def _other_way(source: Source) -> str:
    if source.copy is None:
        return ""
    return f"or set data.path to a directory in which TFDS has prepared {source.copy.name} as array_record"


def _missing(places: dict[Path, download.File]) -> dict[Path, download.File]:
    return {path: file for path, file in places.items() if not path.is_file()}


def _open(source: Source, folder: Path) -> tuple[np.memmap, np.ndarray | None]:
    """The images, a read-only memory map [N, H, W, C], and the table [N, F] of a set that has one."""
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    table = None if source.count is None else np.load(folder / "factors.npy", allow_pickle=False)
    if images.shape != source.shape or (table is not None and table.shape != (source.count, len(source.factor_sizes))):
        raise mismatch(folder, "shape of the images", images.shape, source.shape)
    return images, table


def _is_whole(source: Source, folder: Path) -> bool:
    """Whether the arrays of `folder` are there, and not cut short."""
    try:
        _open(source, folder)
    except (OSError, ValueError, EOFError):
        return False
    return True


def _check_manifest(source: Source, folder: Path) -> Any:
    """What `folder` was made from: a copy, files by their digests, or None for verified ones.

    Raises UserError if it was made from something else.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        accepted = {**_content(source), "origin": manifest.get("origin")}  # the user vouched for it
        expected = accepted if "origin" in manifest else _verified(source)
        if manifest != expected:
            raise mismatch(folder / "manifest.json", "content", manifest, expected)
        return manifest.get("origin")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{source.name}: delete {folder} to prepare it again, it is damaged: {error}") from error


def _content(source: Source) -> dict[str, Any]:
    factors = dict(zip(source.factor_names, source.factor_sizes, strict=True))
    return {"version": source.version, "shape": list(source.shape), "factors": factors}


def _verified(source: Source) -> dict[str, Any]:
    """The manifest of a set whose published files have their checksums."""
    digests: dict[str, dict[str, str]] = {}
    for file in source.files:
        digests.setdefault(file.algorithm, {})[file.name] = file.digest
    return {**_content(source), **digests}


@contextlib.contextmanager
def _writing(source: Source, folder: Path) -> Iterator[None]:
    """Turns what the disk, and array_record, raise into a UserError that names the folder."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # array_record reports a full disk as a RuntimeError
        raise UserError(f"{source.name} could not be prepared in {folder}: {error}") from error


def _record(
    source: Source, read: Read, check: Check, places: dict[Path, download.File], folder: Path, accept: bool
) -> None:
    """Writes the records and the manifest of `folder`, whole or not at all. The caller holds the lock."""
    paths, missing = list(places), _missing(places)
    size = math.prod(source.shape)  # of the arrays; the records take half of it, or less
    disk.demand(folder.parent, 1.5 * size + sum(file.size or 0 for file in missing.values()))
    for path, file in missing.items():
        download.fetch(file, path)
    check(source, paths)
    digests = {file.name: download.verify(file, path, accept) for path, file in places.items()}
    published = all(digests[file.name] == file.digest for file in source.files)
    manifest = _verified(source) if published else {**_content(source), "origin": digests}
    print(f"{source.name}: preparing {source.shape[0]:,} images in {folder}, once", file=sys.stderr, flush=True)
    building = folder.with_name("building")
    shutil.rmtree(building, ignore_errors=True)  # what a killed process left
    try:
        blocks = _checked(source, source.files[0].name, read(source, paths))
        records.write(building, source.name, source.version, blocks, source.image_shape, len(source.factor_sizes))
        _write_manifest(building, manifest)
        shutil.rmtree(folder, ignore_errors=True)  # it has neither records nor images
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _cache(source: Source, folder: Path, copy: Path | None) -> None:
    """Writes the arrays of `folder` from its records, or from the user's TFDS copy. The caller holds the lock."""
    disk.demand(folder.parent, math.prod(source.shape))
    if copy:
        print(f"{source.name}: reading the TFDS copy in {copy}, once, into {folder}", file=sys.stderr, flush=True)
    folder.mkdir(exist_ok=True)
    partial, table = folder / "images.partial", []
    blocks = records.read_copy(copy, source.copy, source.shape[0]) if copy and source.copy else records.read(folder)
    header = {"descr": "|u1", "fortran_order": False, "shape": source.shape}
    try:
        with disk.synced(partial) as file:
            np.lib.format.write_array_header_1_0(file, header)  # padded to 64 bytes, the alignment that JAX can share
            for images, factors in _checked(source, copy or folder, blocks):
                file.write(images.data)
                table.append(factors)
        if source.count is not None:
            with disk.synced(folder / "factors.npy") as file:
                np.save(file, np.concatenate(table))
        if copy:
            _write_manifest(folder, {**_content(source), "origin": str(copy)})
        partial.rename(folder / "images.npy")  # last: where it is, all is
    finally:
        partial.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if nothing has come of it


def _checked(source: Source, origin: str | Path, blocks: records.Blocks) -> records.Blocks:
    """The same blocks, each looked at as it passes.

    Raises UserError for images of another shape or number, for factors that are not those of their images on a grid or
    out of range in a table, and for images of 0 and 1, which would be nearly black.
    """
    total, start, largest = source.shape[0], 0, 0
    with tqdm(desc=source.name, total=total, disable=None) as bar:
        for images, factors in blocks:
            index = np.arange(start, start + len(images))
            start += len(images)
            if start > total:
                break
            if images.shape[1:] != source.image_shape:
                raise mismatch(origin, "shape of an image", images.shape[1:], source.image_shape)
            _check_factors(source, origin, index, factors)
            largest = max(largest, images.max())
            yield images, factors
            bar.update(len(images))
    if start != total:
        raise mismatch(origin, "number of images", start, total)
    if largest <= 1:
        raise mismatch(origin, "largest pixel", largest, "a value up to 255")


def _check_factors(source: Source, origin: str | Path, index: np.ndarray, factors: np.ndarray) -> None:
    expected = source.grid(index) if source.count is None else factors.clip(0, np.subtract(source.factor_sizes, 1))
    if (wrong := (factors != expected).any(axis=-1)).any():
        row = wrong.argmax()
        raise mismatch(origin, f"factor index of image {index[row]}", factors[row], expected[row])


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    with disk.synced(folder / "manifest.json") as file:
        file.write((json.dumps(manifest, indent=2) + "\n").encode())
