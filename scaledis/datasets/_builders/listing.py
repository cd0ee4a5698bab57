"""The image files of a folder, each with a signature that differs if the file changes."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from scaledis.core import UserError
from scaledis.core.files import EXPERIMENT
from scaledis.datasets._builders import pictures

LITTER = ("__MACOSX", "@eaDir")  # folders that archives and network drives leave behind
FOREIGN = (EXPERIMENT, ("pyvenv.cfg",))  # files of folders whose images are not the user's: work directories, Python's
CLOCK = 2 * 10**9  # nanoseconds between two changes that every file system tells apart


def find(path: Path) -> tuple[dict[str, list[int]], list[str]]:
    """The images in `path` and its sub-folders, {name: signature}, sorted by name; and the names of other files.

    A signature is [size, time of the content, time of the change, inode]; no other content of the file has the same. It
    is [] for a link that leads nowhere. A file that changed within the last two seconds could change again at the same
    times, so the present time is added to its signature.
    """
    images, others, now = {}, [], time.time_ns()
    for file in _walk(path):
        if file.suffix.lower() not in pictures.SUFFIXES:
            others.append(file.name)
            continue
        images[file.relative_to(path).as_posix()] = signature(file, now)
    return dict(sorted(images.items())), others


def signature(file: Path, now: int) -> list[int]:
    """[size, time of the content, time of the change, inode] of a file, see `find`; `now` is the present time."""
    try:
        about = file.stat()
    except OSError:
        return []
    recent = [now] if now - about.st_ctime_ns < CLOCK else []
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, *recent]


def warn_of_copies(path: Path, contents: Mapping[str, str]) -> None:
    """Prints a warning if images, {name: hash of the file}, have the same content, by a link or as a copy."""
    first: dict[str, str] = {}
    copies = [(name, first[content]) for name, content in contents.items() if first.setdefault(content, name) != name]
    if copies:
        count, example = f"{len(copies):,} of {len(contents):,} images of {path}", " of ".join(copies[0])
        what = f"{count} are copies, such as {example}"
        print(f"folder: {what}; each counts, and a held out image may have a copy that trains.", file=sys.stderr)


def _walk(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """The files below `folder`, without those of hidden, littered and foreign folders.

    `above` identifies the folders on the way, to find a link into one of them.
    """
    try:
        about = folder.stat()
        names = os.listdir(folder)
    except OSError as error:
        raise UserError(f"data.path: the folder {folder} cannot be read: {error}") from error
    here = (about.st_dev, about.st_ino)
    if here in above:
        print(f"folder: {folder} leads back to a folder above it, and is left out", file=sys.stderr)
        return
    if above and any({*files} <= {*names} for files in FOREIGN):
        return
    for name in names:
        path = folder / name
        if name.startswith(".") or name in LITTER:
            continue
        if os.path.isdir(path):
            yield from _walk(path, (*above, here))
        elif os.path.isfile(path) or not os.path.exists(path):  # the latter is a link that leads nowhere
            yield path
