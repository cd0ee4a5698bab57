"""Published data sets: verified files become a TFDS data set, and that becomes one memory-mapped array of images.

Below the data directory, for a set NAME:

    manual/FILE                 the published file, placed there by the user or fetched
    NAME/VERSION/               the TFDS data set: array_record, in index order
    NAME/VERSION/manifest.json  what it was made from
    NAME/VERSION/images.npy     uint8 [N, H, W, C]; on a full grid row = mixed-radix factor index, last factor fastest
    NAME/VERSION/factors.npy    int32 [N, F], for a set with a table of factors

The two arrays are a cache: if they are deleted, they are written again from the records, without the published file.
If the user has the set from TFDS, its records are read in place, and only the arrays and the manifest are written.
"""

import json
import sys
from pathlib import Path
from typing import Any

from scaledis import datasets
from scaledis.core import UserError
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, disk, download, records, writing
from scaledis.datasets._builders.source import Source

OPTIONS = ("accept_checksum",)  # that every published set understands
OPTIONS_WITH_COPY = (*OPTIONS, "path")  # that those which TFDS has understand


def load(
    source: Source,
    read: writing.Read,
    directory: Path,
    options: Options,
    check: writing.Check = lambda source, paths: None,
) -> Dataset:
    """The data set below `directory`, prepared first if needed. It waits for another process that prepares it.

    The images are a read-only memory map, aligned so that `jax.device_put` on a CPU shares it with every device. They
    come from the first of these that exists: the prepared records, the user's TFDS copy (`options.path`), the published
    files in `directory`/manual, a copy in TFDS's own directory, and with `options.download` the network. `read` raises
    `mismatch` for files of other content. `check` raises UserError for files whose content explains more than their
    checksums do.

    Raises:
      UserError: a published file is not in `directory`/manual, and cannot be fetched or `options.download` is False.
      UserError: a published file has another checksum, and `options.accept_checksum` is False.
      UserError: a published file, the user's copy or a prepared array has another content than `source` says.
      UserError: a download failed, or the disk is full or cannot be written.
    """
    folder = directory / source.name / source.version
    if not source.is_whole(folder):
        places = {directory / "manual" / file.name: file for file in source.files}
        has_records, copy = records.are_in(folder), None
        missing = {} if has_records else {path: file for path, file in places.items() if not path.is_file()}
        if source.copy and not has_records and (options.path or missing):
            copy = records.find(source.copy, options.path)
        if missing and not copy and not (options.download and all(file.fetchable for file in missing.values())):
            way = "or set data.path to a directory in which TFDS has prepared {} as array_record"
            raise download.absent(source.name, missing, way.format(source.copy.name) if source.copy else "")
        try:
            with disk.lock(folder.parent):
                if not source.is_whole(folder):
                    if not copy and not records.are_in(folder):
                        writing.record(source, read, check, places, folder, options.accept_checksum)
                    writing.cache(source, folder, copy)
        except (OSError, RuntimeError) as error:  # array_record reports a full disk as a RuntimeError
            raise UserError(f"{source.name} could not be prepared in {folder}: {error}") from error
    origin = _check_manifest(source, folder)
    if options.path and isinstance(origin, str) and options.path not in (Path(origin), *Path(origin).parents):
        remedy = f"data.path={options.path} is not read; delete the first to prepare it from the second."
        print(f"{source.name}: {folder} was prepared from {origin}, and {remedy}", file=sys.stderr)
    images, table = source.arrays(folder)
    names, values = source.factor_names, source.factor_values
    return Dataset(source.name, names, values, source.image_shape, images, datasets.rows, table)


def _check_manifest(source: Source, folder: Path) -> Any:
    """The origin of `folder`: a copy, files with their digests, or None for verified files.

    Raises UserError if its manifest is damaged, or that of another set.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        accepted = {**source.content(), "origin": manifest.get("origin")}  # the user vouched for it
        expected = accepted if "origin" in manifest else source.verified()
        if manifest != expected:
            raise archives.mismatch(folder / "manifest.json", "content", manifest, expected)
        return manifest.get("origin")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{source.name}: delete {folder} to prepare it again, it is damaged: {error}") from error
