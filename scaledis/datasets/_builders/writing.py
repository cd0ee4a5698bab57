"""Writes a prepared data set: records and manifest from the published files, then arrays from the records."""

import contextlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core.progress import shown
from scaledis.datasets._builders import archives, disk, download, records
from scaledis.datasets._builders.source import Source

# (source, paths of its files) -> its images and factors.
Read = Callable[[Source, list[Path]], records.Blocks]
Check = Callable[[Source, list[Path]], None]


def record(
    source: Source, read: Read, check: Check, places: dict[Path, download.File], folder: Path, accept: bool
) -> None:
    """Writes the records and the manifest of `folder`, whole or not at all. The caller holds the lock."""
    paths, missing = list(places), {path: file for path, file in places.items() if not path.is_file()}
    size = math.prod(source.shape)  # bytes of the arrays; the records take half of it, or less
    disk.demand(folder.parent, 1.5 * size + sum(file.size or 0 for file in missing.values()))
    for path, file in missing.items():
        download.fetch(file, path)
    check(source, paths)
    digests = {file.name: download.verify(file, path, accept) for path, file in places.items()}
    published = all(digests[file.name] == file.digest for file in source.files)
    manifest = source.verified() if published else {**source.content(), "origin": digests}
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


def cache(source: Source, folder: Path, copy: Path | None) -> None:
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
            _write_manifest(folder, {**source.content(), "origin": str(copy)})
        partial.rename(folder / "images.npy")  # last: its presence says that all is there
    finally:
        partial.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty


def _checked(source: Source, origin: str | Path, blocks: records.Blocks) -> records.Blocks:
    """The same blocks, each checked as it passes.

    Raises UserError for images of another shape or number, for factors that differ from those of their images on a grid
    or are out of range in a table, and for images of 0 and 1, which would be nearly black.
    """
    total, start, largest = source.shape[0], 0, 0
    for images, factors in shown(blocks, source.name, total, size=lambda block: len(block[0])):
        index = np.arange(start, start + len(images))
        start += len(images)
        if start > total:
            break
        if images.shape[1:] != source.image_shape:
            raise archives.mismatch(origin, "shape of an image", images.shape[1:], source.image_shape)
        limits = np.subtract(source.factor_sizes, 1)
        expected = source.grid(index) if source.count is None else factors.clip(0, limits)
        if (wrong := (factors != expected).any(axis=-1)).any():
            row = wrong.argmax()
            raise archives.mismatch(origin, f"factor index of image {index[row]}", factors[row], expected[row])
        largest = max(largest, images.max())
        yield images, factors
    if start != total:
        raise archives.mismatch(origin, "number of images", start, total)
    if largest <= 1:
        raise archives.mismatch(origin, "largest pixel", largest, "a value up to 255")


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    with disk.synced(folder / "manifest.json") as file:
        file.write((json.dumps(manifest, indent=2) + "\n").encode())
