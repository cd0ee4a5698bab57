"""`folder`: your own folder of images, any number and size, without factors; --config.data.path=FOLDER.

It is prepared once, below the data directory. folder/DIGEST, where DIGEST stands for the folder's path and the options,
holds

    images-CONTENT.npy  uint8 [N, R, R, 3]
    files.json          the files in it, with what tells whether they have changed, and those that could not be read

When files come, go or change, only the new ones are read again. A file that was copied, or touched, is known by a hash.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.core.ordering import ranked
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import disk, pictures, pixels

OPTIONS = ("path", "scale", "bits", "resolution", "folder_factor", "skip_unreadable")
VERSION = 3  # of the prepared form: raise it when the bytes to be written change
PIXELS = 64  # side of the images where no resolution is given
LITTER = ("__MACOSX", "@eaDir")  # folders that archives and network drives leave behind
BLOCK = 1000  # images held in memory
LISTED = 20  # unreadable files that an error lists


CLOCK = 2 * 10**9  # nanoseconds between two changes that every file system tells apart

Entry = list[Any]  # [signature, hash of the content, what `Prepared` says]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What the cache holds.

    Attributes:
      images: uint8 [N, R, R, 3], a read-only memory map.
      rows: name -> [signature, hash, largest number of more than 8 bits] of the file of each image, in order; None in
        place of an entry whose file is another one now.
      unreadable: name -> [signature, hash, reason] of the others.
    """

    images: np.ndarray
    rows: Mapping[str, Entry | None]
    unreadable: Mapping[str, Entry | None]


NOTHING = Prepared(np.empty((0, 0, 0, 3), np.uint8), {}, {})


def load(directory: Path, options: Options) -> Dataset:
    """The images below the folder `options.path`, sorted by their path in it; images [R, R, 3], R = 64 by default.

    Every image is cut to its largest central square and resized (`_builders.pictures.read`). Links are followed, hidden
    files and what archivers leave behind are not looked at. With `options.folder_factor` the sub-folder, the first
    one on the way to an image, is a factor; its values are in the order of the numbers in their names. The images are a
    read-only memory map of a file below `directory`.

    Raises:
      UserError: `options.path` is not a folder, or holds no image.
      UserError: files cannot be read as images, and `options.skip_unreadable` is False. All are listed. Those that can
        be read are not read again the next time.
      UserError: all images of 16 bits are dark, since they use fewer, and `options.bits` is 0; or none has more than 8,
        and it is not.
      UserError: there are no sub-folders to make a factor from.
      UserError: the disk is full or cannot be written.
    """
    path, side = options.images_path.resolve(), options.resolution or PIXELS
    files, others = find(path)
    if not files:
        raise UserError(f"data.path: {path} holds no image; expected files that end in {', '.join(pictures.SUFFIXES)}.")
    folder = directory / "folder" / _digest([VERSION, str(path), side, options.scale, options.bits])
    prepared = _prepared(folder)
    if not _is_current(prepared, files, options.skip_unreadable):
        read_only = folder.exists() and not os.access(folder, os.W_OK)
        with contextlib.nullcontext() if read_only else disk.lock(folder):
            prepared = _verified(path, files, _prepared(folder))
            if _is_whole(prepared, files, options.skip_unreadable):
                with contextlib.suppress(OSError):  # where they cannot be written, hashes are taken again
                    _write_list(folder, prepared)
            else:
                if others:
                    print(f"folder: {path} also holds files that are left out: {_counts(others)}", file=sys.stderr)
                prepared = _prepare(path, files, folder, prepared, side, options)
    if prepared.unreadable:
        _report(path, prepared, folder, options.skip_unreadable)
    _check_bits(path, prepared, options.bits)
    images = prepared.images
    names, values, table = _folder_factor(path, prepared.rows) if options.folder_factor else ((), (), [])
    table = np.array(table, np.int32).reshape(len(images), len(names))
    name = f"folder: {path.name}" + (f" at {side}x{side}" if side != PIXELS else "")
    _, folders = ranked(np.array([os.path.dirname(name) for name in prepared.rows]))
    return Dataset(
        name, names, values, images.shape[1:], images, datasets.rows, table, folders=folders.astype(np.int32)
    )


def find(path: Path) -> tuple[dict[str, list[int]], list[str]]:
    """The images in `path` and its sub-folders, name -> signature, sorted by name; and the names of other files.

    A signature is [size, time of the content, time of the change, inode], and differs from that of any other content of
    the file; it is [] for a link that leads nowhere. After a change within the last two seconds another one could have
    the same times, so that the present time is added, and no later signature is the same.
    """
    images, others, now = {}, [], time.time_ns()
    for file in _walk(path):
        if file.suffix.lower() not in pictures.SUFFIXES:
            others.append(file.name)
            continue
        name = file.relative_to(path).as_posix()
        try:
            about = file.stat()
            recent = [now] if now - about.st_ctime_ns < CLOCK else []
            images[name] = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, *recent]
        except OSError:
            images[name] = []
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
        rows, unreadable = found["rows"], found["unreadable"]
        images = np.load(folder / found["images"], mmap_mode="r", allow_pickle=False)
        entries = all(len(entry) == 3 for entry in [*rows.values(), *unreadable.values()])
        return Prepared(images, rows, unreadable) if entries and len(images) == len(rows) else NOTHING
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return NOTHING


def _is_current(prepared: Prepared, files: Mapping[str, list[int]], skip_unreadable: bool) -> bool:
    """Whether all files were read and have not been touched since."""
    held = {name: entry and entry[0] for name, entry in {**prepared.rows, **prepared.unreadable}.items()}
    return held == files and (skip_unreadable or not prepared.unreadable)


def _is_whole(verified: Prepared, files: Mapping[str, list[int]], skip_unreadable: bool) -> bool:
    """Whether all files were read as they are now. Those that could not be are tried again, unless they are skipped."""
    held = {**verified.rows, **verified.unreadable}
    return held.keys() == files.keys() and all(held.values()) and (skip_unreadable or not verified.unreadable)


def _verified(path: Path, files: Mapping[str, list[int]], before: Prepared) -> Prepared:
    """`before` with new signatures of the files that were touched or copied, and None for those that are other ones."""

    def entry(item: tuple[str, Entry | None]) -> Entry | None:
        name, (signature, content, said) = item[0], item[1] or ([], "", "")
        same = name in files and (files[name] == signature or _hash(path / name) == content)
        return [files[name], content, said] if same else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows, unreadable = (
            dict(zip(held, pool.map(entry, held.items()), strict=True)) for held in (before.rows, before.unreadable)
        )
    return Prepared(before.images, rows, unreadable)


def _hash(file: Path) -> str:
    """32 hex digits of a file's content, "" where it cannot be read."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ""


def _prepare(
    path: Path, files: Mapping[str, list[int]], folder: Path, before: Prepared, side: int, options: Options
) -> Prepared:
    """Writes all images that can be read, whole or not at all; takes from `before`, which is verified, what it has.

    The caller holds the lock of `folder`.
    """
    print(f"folder: preparing {len(files):,} images of {path} in {folder}, once", file=sys.stderr, flush=True)
    places = {name: row for row, (name, entry) in enumerate(before.rows.items()) if entry}
    rows: dict[str, Entry] = {}
    unreadable: dict[str, Entry] = {}

    def image(name: str) -> tuple[np.ndarray | None, Entry]:
        if name in places:
            return before.images[places[name]], before.rows[name] or []
        content = _hash(
            path / name
        )  # before the pixels are read: of a file that is changed in between, they are not kept
        try:
            picture = pictures.read(path / name, side, options.scale, options.bits)
        except UserError as error:
            return None, [files[name], content, str(error)]
        return picture.pixels, [files[name], content, picture.largest]

    partial = folder / "images.partial"
    try:
        with open(partial, "wb") as output, ThreadPoolExecutor(os.cpu_count()) as pool:
            _write_header(output, (len(files), side, side, 3))
            for name, (found, entry) in zip(files, _in_blocks(pool, image, files), strict=True):
                (unreadable if found is None else rows)[name] = entry
                if found is not None:
                    output.write(found)
            output.seek(0)
            _write_header(output, (len(rows), side, side, 3))  # as long as the first one
            output.flush()
            os.fsync(output.fileno())
        name = _images_name(rows)
        partial.rename(folder / name)
        _write_list(folder, Prepared(NOTHING.images, rows, unreadable))
        for old in {file.name for file in folder.glob("images-*.npy")} - {name}:
            (folder / old).unlink()
    except OSError as error:
        raise UserError(f"data.directory: {folder} could not be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return _prepared(folder)


def _images_name(rows: Mapping[str, Entry | None]) -> str:
    """The file of the images that come from `rows`, which knows them by their names and contents."""
    return f"images-{_digest([[name, entry and entry[1]] for name, entry in rows.items()])}.npy"


def _write_list(folder: Path, prepared: Prepared) -> None:
    content = {"images": _images_name(prepared.rows), "rows": prepared.rows, "unreadable": prepared.unreadable}
    (folder / "files.partial").write_text(json.dumps(content, indent=0))
    (folder / "files.partial").rename(folder / "files.json")


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
    reasons = [str(entry and entry[-1]) for entry in prepared.unreadable.values()]
    more = [f"and {count - LISTED:,} more, see {folder / 'files.json'}"] if count > LISTED else []
    lines = "\n  ".join(["", *reasons[:LISTED], *more])
    raise UserError(f"data.path: {what}; data.skip_unreadable=True goes on without them:{lines}")


def _check_bits(path: Path, prepared: Prepared, bits: int) -> None:
    """Raises UserError for images of 16 bits that are all dark, and for `bits` that no image has."""
    largest = max(entry[-1] for entry in prepared.rows.values() if entry)
    if bits and largest < 0:
        raise UserError(f"data.bits: {bits} is for images of more than 8 bits, and {path} holds none.")
    if not bits and 0 <= largest < 1 << 15:
        few = pixels.used(largest)
        raise UserError(
            f"data.bits: the 16-bit images of {path} use {few} bits, and would be dark; data.bits={few}, or what their "
            "camera has, brightens them, and data.bits=16 takes them as they are."
        )


def _folder_factor(path: Path, names: Iterable[str]) -> tuple[tuple[str], tuple[np.ndarray], np.ndarray]:
    """The factor `folder`: its name, its values, and its index for every image; "." is the folder `path` itself."""
    values, ranks = ranked(np.array([name.split("/")[0] if "/" in name else "." for name in names]))
    if len(values) < 2:
        raise UserError(f"data.folder_factor: all images of {path} are in one folder, expected sub-folders.")
    return ("folder",), (values,), ranks


def _counts(names: Iterable[str]) -> str:
    counts = collections.Counter(Path(name).suffix.lower() or "no suffix" for name in names)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common(5))


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
