"""`folder`: your own folder of images, any number and size, without factors; --config.data.path=FOLDER.

It is prepared once, below the data directory. folder/DIGEST, where DIGEST stands for the folder's path and the options,
holds

    images-CONTENT.npy  uint8 [N, R, R, 3]
    files.json          the files in it, with their sizes and times, and those that could not be read

When files come, go or change, only the new ones are read again.
"""

import collections
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scaledis import datasets
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import disk, pictures
from scaledis.errors import UserError

OPTIONS = ("path", "scale", "resolution", "folder_factor", "skip_unreadable")
VERSION = 2  # of the prepared form: raise it when the bytes to be written change
PIXELS = 64  # side of the images where no resolution is given
LITTER = ("__MACOSX", "@eaDir")  # folders that archives and network drives leave behind
BLOCK = 1000  # images held in memory
LISTED = 20  # unreadable files that an error lists


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What the cache holds.

    Attributes:
      images: uint8 [N, R, R, 3], a read-only memory map.
      rows: name -> [size, time] of the file of each image, in order.
      unreadable: name -> [size, time, reason] of the others.
    """

    images: np.ndarray
    rows: Mapping[str, list[int]]
    unreadable: Mapping[str, list[Any]]


NOTHING = Prepared(np.empty((0, 0, 0, 3), np.uint8), {}, {})


def load(directory: Path, options: Options) -> Dataset:
    """The images below the folder `options.path`, sorted by their path in it; images [R, R, 3], R = 64 by default.

    Every image is cut to its largest central square and resized (`_builders.pictures.read`). Links are followed, hidden
    files and what archivers leave behind are not looked at. With `options.folder_factor` the sub-folder, the first
    one on the way to an image, is a factor. The images are a read-only memory map of a file below `directory`.

    Raises:
      UserError: `options.path` is not a folder, or holds no image.
      UserError: files cannot be read as images, and `options.skip_unreadable` is False. All are listed. Those that can
        be read are not read again the next time.
      UserError: there are no sub-folders to make a factor from.
      UserError: the disk is full or cannot be written.
    """
    path, side = options.images_path.resolve(), options.resolution or PIXELS
    files, others = find(path)
    if not files:
        raise UserError(f"data.path: {path} holds no image; expected files that end in {', '.join(pictures.SUFFIXES)}.")
    folder = directory / "folder" / _digest([VERSION, str(path), side, options.scale])
    prepared = _prepared(folder)
    if not _is_current(prepared, files, options.skip_unreadable):
        with disk.lock(folder):
            prepared = _prepared(folder)
            if not _is_current(prepared, files, options.skip_unreadable):
                if others:
                    print(f"folder: {path} also holds files that are left out: {_counts(others)}", file=sys.stderr)
                prepared = _prepare(path, files, folder, prepared, side, options.scale)
    if prepared.unreadable:
        _report(path, prepared, folder, options.skip_unreadable)
    images = prepared.images
    names, values, table = _folder_factor(path, prepared.rows) if options.folder_factor else ((), (), [])
    table = np.array(table, np.int32).reshape(len(images), len(names))
    name = f"folder: {path.name}" + (f" at {side}x{side}" if side != PIXELS else "")
    return Dataset(name, names, values, images.shape[1:], images, datasets.rows, table)


def find(path: Path) -> tuple[dict[str, list[int]], list[str]]:
    """The images in `path` and its sub-folders, name -> [size, time], sorted by name; and the names of other files.

    A link that leads nowhere has size -1.
    """
    images, others = {}, []
    for file in _walk(path):
        if file.suffix.lower() not in pictures.SUFFIXES:
            others.append(file.name)
            continue
        about = file.stat() if os.path.exists(file) else None
        images[file.relative_to(path).as_posix()] = [about.st_size, about.st_mtime_ns] if about else [-1, -1]
    return dict(sorted(images.items())), others


def _walk(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """All files below `folder`; `above` identifies the folders on the way, so that a link into one of them is found."""
    try:
        about = folder.stat()
        names = os.listdir(folder)
    except OSError as error:
        raise UserError(f"data.path: the folder {folder} cannot be read: {error}") from error
    here = (about.st_dev, about.st_ino)
    if here in above:
        print(f"folder: {folder} leads back to a folder above it, and is left out", file=sys.stderr)
        return
    for name in names:
        path = folder / name
        if name.startswith(".") or name in LITTER:
            continue
        if os.path.isdir(path):
            yield from _walk(path, (*above, here))
        elif os.path.isfile(path) or not os.path.exists(path):  # a link that leads nowhere is not passed over
            yield path


def _prepared(folder: Path) -> Prepared:
    """What `folder` holds; nothing where it is missing or damaged, for it can be made again."""
    try:
        found = json.loads((folder / "files.json").read_text())
        images = np.load(folder / found["images"], mmap_mode="r", allow_pickle=False)
        return Prepared(images, found["rows"], found["unreadable"]) if len(images) == len(found["rows"]) else NOTHING
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return NOTHING


def _is_current(prepared: Prepared, files: Mapping[str, list[int]], skip_unreadable: bool) -> bool:
    """Whether all files were read as they are now. Those that could not be are tried again, unless they are skipped."""
    tried = {name: about[:2] for name, about in prepared.unreadable.items()}
    return {**prepared.rows, **tried} == files and (skip_unreadable or not tried)


def _prepare(
    path: Path, files: Mapping[str, list[int]], folder: Path, before: Prepared, side: int, scale: bool
) -> Prepared:
    """Writes all images that can be read, whole or not at all; takes from `before` what has not changed.

    The caller holds the lock of `folder`.
    """
    print(f"folder: preparing {len(files):,} images of {path} in {folder}, once", file=sys.stderr, flush=True)
    places = {name: row for row, (name, about) in enumerate(before.rows.items()) if files.get(name) == about}
    rows, unreadable = {}, {}

    def image(name: str) -> np.ndarray | UserError:
        try:
            return before.images[places[name]] if name in places else pictures.read(path / name, side, scale)
        except UserError as error:
            return error

    partial = folder / "images.partial"
    try:
        with open(partial, "wb") as output, ThreadPoolExecutor(os.cpu_count()) as pool:
            _write_header(output, (len(files), side, side, 3))
            for name, found in zip(files, _in_blocks(pool, image, files), strict=True):
                if isinstance(found, UserError):
                    unreadable[name] = [*files[name], str(found)]
                else:
                    rows[name] = files[name]
                    output.write(found)
            output.seek(0)
            _write_header(output, (len(rows), side, side, 3))  # as long as the first one
            output.flush()
            os.fsync(output.fileno())
        name = f"images-{_digest([rows])}.npy"
        partial.rename(folder / name)
        content = {"images": name, "rows": rows, "unreadable": unreadable}
        (folder / "files.partial").write_text(json.dumps(content, indent=0))
        (folder / "files.partial").rename(folder / "files.json")
        for old in {file.name for file in folder.glob("images-*.npy")} - {name}:
            (folder / old).unlink()
    except OSError as error:
        raise UserError(f"data.directory: {folder} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return _prepared(folder)


def _in_blocks(pool: ThreadPoolExecutor, function: Any, names: Iterable[str]) -> Iterator[Any]:
    """`function` of all names, in order; no more than a block is in memory."""
    names = list(names)
    for start in tqdm(range(0, len(names), BLOCK), "folder: reading", unit="k", disable=None):
        yield from pool.map(function, names[start : start + BLOCK])


def _write_header(output: Any, shape: tuple[int, ...]) -> None:
    # numpy pads it to 64 bytes, the alignment that JAX can share, and leaves room for any number of rows
    np.lib.format.write_array_header_1_0(output, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _report(path: Path, prepared: Prepared, folder: Path, skip: bool) -> None:
    """Says which files cannot be read. Raises UserError unless they are to be skipped, and if there are no others."""
    count, total = len(prepared.unreadable), len(prepared.unreadable) + len(prepared.rows)
    what = f"{count:,} of {total:,} files in {path} cannot be read as images"
    if skip and prepared.rows:
        print(f"folder: {what} and are left out, see {folder / 'files.json'}", file=sys.stderr)
        return
    reasons = [reason for *_, reason in prepared.unreadable.values()]
    more = [f"and {count - LISTED:,} more, see {folder / 'files.json'}"] if count > LISTED else []
    lines = "\n  ".join(["", *reasons[:LISTED], *more])
    raise UserError(f"data.path: {what}; data.skip_unreadable=True goes on without them:{lines}")


def _folder_factor(path: Path, names: Iterable[str]) -> tuple[tuple[str], tuple[np.ndarray], np.ndarray]:
    """The factor `folder`: its name, its values, and its index for every image; "." is the folder `path` itself."""
    tops = [name.split("/")[0] if "/" in name else "." for name in names]
    values, ranks = np.unique(tops, return_inverse=True)
    if len(values) < 2:
        raise UserError(f"data.folder_factor: all images of {path} are in one folder, expected sub-folders.")
    return ("folder",), (values,), ranks


def _counts(names: Iterable[str]) -> str:
    counts = collections.Counter(Path(name).suffix.lower() or "no suffix" for name in names)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common(5))


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
