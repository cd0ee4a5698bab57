"""`folder`: your own folder of images, any number and size; --config.data.path=FOLDER.

Labels are in a CSV file, --config.data.labels=FILE, whose first column has the names of the image files.

It is prepared once, below the data directory. folder/DIGEST holds, for a folder's path and its options,

    images-CONTENT.npy  uint8 [N, R, R, 3]
    files.json          the files of these images with their signatures and hashes, and the files that are unreadable

If files are added, removed or changed, only new ones are read. A file that was copied or touched is known by its hash.
"""

import collections
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scaledis.core import UserError, ordering
from scaledis.core.progress import shown
from scaledis.datasets import Dataset, Options, expanded
from scaledis.datasets._builders import disk, joining, labels, listing, pictures, pixels

OPTIONS = ("path", "scale", "bits", "resolution", "folder_factor", "labels", "skip_unreadable")
VERSION = 3  # of the prepared form: raise it when the bytes to be written change
PIXELS = 64  # side of the images where no resolution is given
BLOCK = 1000  # images held in memory
LISTED = 20  # unreadable files that an error lists

Entry = list[Any]  # [signature, hash of the content, and a third item, see `Prepared`]


class Prepared(NamedTuple):
    """The content of the cache.

    images: uint8 [N, R, R, 3], a read-only memory map.
    rows: name -> [signature, hash, largest number of more than 8 bits] of the file of each image, in order; None if the
      file has changed.
    unreadable: name -> [signature, hash, reason] of the other files; None if the file has changed.
    """

    images: np.ndarray
    rows: Mapping[str, Entry | None]
    unreadable: Mapping[str, Entry | None]

    @property
    def entries(self) -> dict[str, Entry | None]:
        """All files."""
        return {**self.rows, **self.unreadable}


NOTHING = Prepared(np.empty((0, 0, 0, 3), np.uint8), {}, {})


def load(directory: Path, options: Options) -> Dataset:
    """The images below the folder `options.path`, sorted by their path in it; images [R, R, 3], R = 64 by default.

    Each image is cut to its largest central square and resized (`_builders.pictures.read`). Links are followed; hidden
    files and folders, work directories below it, environments of Python and the litter of archivers are left out. With
    `options.folder_factor` the first sub-folder on the way to an image is a factor; its values are in the order of the
    numbers in their names. `options.labels` is a CSV file with more factors. The images are a read-only memory map of a
    file below `directory`.

    Raises:
      UserError: `options.path` is not a folder, or holds no image.
      UserError: files cannot be read as images, and `options.skip_unreadable` is False. The error lists them. The
        readable ones are not read again the next time.
      UserError: `options.bits` is 0 and all images of 16 bits are dark, since they use fewer bits; or it is not 0 and
        no image has more than 8 bits.
      UserError: `options.folder_factor` is True and there are no sub-folders.
      UserError: the rows of `options.labels` cannot be joined to the images (`_builders.joining.read`).
      UserError: the disk is full or cannot be written.
    """
    path, side = options.images_path.resolve(), options.resolution or PIXELS
    folder = directory / "folder" / _digest([VERSION, str(path), side, options.scale, options.bits])
    prepared = _current(path, folder, side, options)
    if prepared.unreadable:
        _report(path, prepared, folder, options.skip_unreadable)
    _check_bits(path, prepared, options.bits)
    listing.warn_of_copies(path, {name: entry[1] for name, entry in prepared.rows.items() if entry})
    images, files = prepared.images, list(prepared.rows)
    named = _sub_folders(path, files) if options.folder_factor else labels.NONE
    if options.labels:
        named = labels.joined(named, joining.read(expanded("data.labels", options.labels), files, path.name))
    factors = labels.ranked(options.labels or path, named, len(files))
    name = f"folder: {path.name}" + (f" at {side}x{side}" if side != PIXELS else "")
    _, folders = ordering.ranked(np.array([os.path.dirname(name) for name in files]))
    return labels.make_dataset(name, images, factors, folders.astype(np.int32))


def _sub_folders(path: Path, files: list[str]) -> labels.Labels:
    """The first sub-folder on the way to each file as a factor; "." is `path` itself."""
    first = np.array([name.split("/")[0] if "/" in name else "." for name in files])
    if len(np.unique(first)) < 2:
        raise UserError(f"data.folder_factor: all images of {path} are in one folder, expected sub-folders.")
    return labels.Labels(("folder",), (first,))


def _current(path: Path, folder: Path, side: int, options: Options) -> Prepared:
    """The content of `folder`, brought up to date with the files in `path`."""
    files, others = listing.find(path)
    if not files:
        raise UserError(f"data.path: {path} holds no image; expected files that end in {', '.join(pictures.SUFFIXES)}.")
    prepared, tries_again = _prepared(folder), not options.skip_unreadable
    held = {name: entry and entry[0] for name, entry in prepared.entries.items()}
    if held == files and not (tries_again and prepared.unreadable):
        return prepared
    read_only = folder.exists() and not os.access(folder, os.W_OK)
    with contextlib.nullcontext() if read_only else disk.lock(folder):
        prepared = _verified(path, files, _prepared(folder))
        read = prepared.entries
        if read.keys() == files.keys() and all(read.values()) and not (tries_again and prepared.unreadable):
            with contextlib.suppress(OSError):  # without the list, the next call takes hashes again
                _write_list(folder, prepared)
            return prepared
        if others:
            suffixes = collections.Counter(Path(name).suffix.lower() or "no suffix" for name in others)
            counts = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(5))
            print(f"folder: {path} also holds files that are left out: {counts}", file=sys.stderr)
        return _prepare(path, files, folder, prepared, side, options)


def _prepared(folder: Path) -> Prepared:
    """The content of `folder`; NOTHING if it is missing or damaged: it can be made again."""
    try:
        found = json.loads((folder / "files.json").read_text())
        rows, unreadable = found["rows"], found["unreadable"]
        images = np.load(folder / found["images"], mmap_mode="r", allow_pickle=False)
        entries = all(len(entry) == 3 for entry in [*rows.values(), *unreadable.values()])
        return Prepared(images, rows, unreadable) if entries and len(images) == len(rows) else NOTHING
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return NOTHING


def _verified(path: Path, files: Mapping[str, list[int]], before: Prepared) -> Prepared:
    """`before` with new signatures of the files that were touched or copied, and None for those that changed."""

    def entry(item: tuple[str, Entry | None]) -> Entry | None:
        name, (signature, content, third) = item[0], item[1] or ([], "", "")
        same = name in files and (files[name] == signature or _hash(path / name) == content)
        return [files[name], content, third] if same else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        both = before.rows, before.unreadable
        rows, unreadable = (dict(zip(held, pool.map(entry, held.items()), strict=True)) for held in both)
    return Prepared(before.images, rows, unreadable)


def _hash(file: Path) -> str:
    """A checksum of a file's content, 32 hex digits; "" if it cannot be read."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ""


def _prepare(
    path: Path, files: Mapping[str, list[int]], folder: Path, before: Prepared, side: int, options: Options
) -> Prepared:
    """Writes all readable images, whole or not at all, the known ones from the verified `before`, under the lock."""
    print(f"folder: preparing {len(files):,} images of {path} in {folder}, once", file=sys.stderr, flush=True)
    places = {name: row for row, (name, entry) in enumerate(before.rows.items()) if entry}
    rows: dict[str, Entry] = {}
    unreadable: dict[str, Entry] = {}

    def image(name: str) -> tuple[np.ndarray | None, Entry]:
        if name in places:
            return before.images[places[name]], before.rows[name] or []
        content = _hash(path / name)  # before the pixels: those of a file that changes in between are not kept
        try:
            picture = pictures.read(path / name, side, options.scale, options.bits)
        except UserError as error:
            return None, [files[name], content, str(error)]
        return picture.pixels, [files[name], content, picture.largest]

    partial = folder / "images.partial"
    try:
        with disk.synced(partial) as output, ThreadPoolExecutor(os.cpu_count()) as pool:
            disk.write_header(output, (len(files), side, side, 3))
            names = list(files)
            blocks = [names[start : start + BLOCK] for start in range(0, len(names), BLOCK)]
            for block in shown(blocks, "folder: reading", len(names), size=len):
                for name, (found, entry) in zip(block, pool.map(image, block), strict=True):
                    (unreadable if found is None else rows)[name] = entry
                    if found is not None:
                        output.write(found.data)
            output.seek(0)
            disk.write_header(output, (len(rows), side, side, 3))  # as long as the first one: numpy leaves room
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
    """The name of the file of the images of `rows`, from their names and contents."""
    return f"images-{_digest([[name, entry and entry[1]] for name, entry in rows.items()])}.npy"


def _write_list(folder: Path, prepared: Prepared) -> None:
    content = {"images": _images_name(prepared.rows), "rows": prepared.rows, "unreadable": prepared.unreadable}
    (folder / "files.partial").write_text(json.dumps(content, indent=0))
    (folder / "files.partial").rename(folder / "files.json")


def _report(path: Path, prepared: Prepared, folder: Path, skip: bool) -> None:
    """Prints that files are unreadable if they are to be skipped and others remain; else raises UserError."""
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
    """Raises UserError if all images of 16 bits are dark, and for `bits` that no image has."""
    largest = max(entry[-1] for entry in prepared.rows.values() if entry)
    if bits and largest < 0:
        raise UserError(f"data.bits: {bits} is for images of more than 8 bits, and {path} holds none.")
    if not bits and 0 <= largest < 1 << 15:
        few = pixels.used(largest)
        raise UserError(
            f"data.bits: the 16-bit images of {path} use {few} bits, and would be dark; data.bits={few}, or the number "
            "of their camera, brightens them, and data.bits=16 takes them as they are."
        )


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
