"""Writes files under a temporary name, then renames them; reads them, and raises UserError for a damaged one.

A sealed file holds the SHA-256 of all its bytes, with zeros in the place of the checksum itself.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import re
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from scaledis.core import UserError

SEAL, DIGITS = "seal (sha256)", 64  # the key of a checksum, which is no name of a run, and its length
BLANK, MARK = {SEAL: "0" * DIGITS}, f'"{SEAL}": "'.encode()
LEFT = re.compile(r"\.(?P<host>.+)-(?P<process>\d+)\.partial")  # in a temporary name, see `writing`
EXPERIMENT = ("config.json", "plan.json")  # the files that tell a work directory from other folders
WRITING = 3600  # seconds beyond which nobody writes one file
T = TypeVar("T")


def directory(key: str, path: str | Path) -> Path:
    """Returns the directory at `path`, which need not exist. Raises UserError, naming `key`, if it cannot be one."""
    try:
        found = Path(path).expanduser()
        str(found).encode()  # the checkpoints' library takes UTF-8 alone
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found.lstat()
    except (RuntimeError, ValueError, OSError) as error:  # no such user, or no possible name
        raise UserError(f"{key}: {str(path)[:80]!r} cannot be a directory: {error}.") from error
    return found


def write_json(path: Path, value: object) -> None:
    """Writes a value as JSON. Raises ValueError for NaN and infinity, which JSON lacks."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_sealed(path: Path, value: Mapping[str, object]) -> None:
    """Writes an object as JSON; its checksum is the last entry."""
    write_bytes(path, sealed((json.dumps({**value, **BLANK}, indent=1, allow_nan=False) + "\n").encode()))


def write_lines(path: Path, value: Mapping[str, object]) -> None:
    """Writes the content of `write_sealed` with one entry per line, three times as fast, for the files of a sweep."""
    entries = [f"{json.dumps(key)}: {json.dumps(each, allow_nan=False)}" for key, each in {**value, **BLANK}.items()]
    write_bytes(path, sealed(("{\n" + ",\n".join(entries) + "\n}\n").encode()))


def read_json(path: Path, *keys: str, needs_seal: bool = False) -> Any:
    """Returns the content without its checksum.

    Raises UserError, naming the file, if its checksum differs, or is missing and needed; if it is not JSON; or if it
    lacks one of the keys.
    """
    data = read_bytes(path, needs_seal)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged or cannot be read: {error}.") from error
    if isinstance(value, dict):
        value.pop(SEAL, None)
    return with_keys(path, value, keys)


def with_keys(path: Path, value: T, keys: Iterable[str]) -> T:
    """Returns `value`, which was read from `path`. Raises UserError, naming the file, if it lacks one of the keys."""
    missing = [key for key in keys if not isinstance(value, Mapping) or key not in value]
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(missing)}.")
    return value


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes a .npz file."""
    write_bytes(path, packed(**arrays))


def packed(**arrays: np.ndarray) -> bytes:
    """Returns the content of a .npz file; its checksum is the comment of the archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = json.dumps(BLANK).encode()
    return sealed(buffer.getvalue())


def read_arrays(path: Path, *keys: str, needs_seal: bool = False) -> dict[str, np.ndarray]:
    """Returns all arrays of a .npz file. Raises what `read_json` raises."""
    data = read_bytes(path, needs_seal)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a forged archive raises a dozen kinds
        raise UserError(f"{path} is damaged: {error}.") from error
    return with_keys(path, arrays, keys)


def sealed(data: bytes) -> bytes:
    """Returns `data` with its checksum in the place of its last `BLANK`."""
    start = data.rindex(MARK) + len(MARK)
    return data[:start] + _checksum(data, start) + data[start + DIGITS :]


def has_seal(data: bytes) -> bool:
    """Returns whether `data` holds a checksum; `read_bytes` checks it."""
    return MARK in data


def read_bytes(path: Path, needs_seal: bool = False) -> bytes:
    """Returns the content of a file.

    Raises UserError, naming the file, if its checksum differs, or is missing and needed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} is damaged or cannot be read: {error}.") from error
    if has_seal(data):
        start = data.rindex(MARK) + len(MARK)
        if data[start : start + DIGITS] != _checksum(data, start):
            raise UserError(f"{path} is damaged: its checksum differs.")
    elif needs_seal:
        raise UserError(f"{path} is damaged: it has no checksum.")
    return data


def _checksum(data: bytes, start: int) -> bytes:
    view = memoryview(data)
    found = hashlib.sha256(view[:start])
    found.update(b"0" * DIGITS)
    found.update(view[start + DIGITS :])
    return found.hexdigest().encode()


def write_bytes(path: Path, data: bytes) -> None:
    with writing(path) as temporary:
        temporary.write_bytes(data)


def clear(folder: Path) -> None:
    """Deletes the half-written files that killed processes left in a folder."""
    for left in folder.glob("*.partial*"):
        with contextlib.suppress(OSError):
            if _is_left(left):
                left.unlink()


def _is_left(path: Path) -> bool:
    """Returns whether a temporary file is left over: its writer has ended, or wrote it too long ago to be at work."""
    found = LEFT.search(path.name)
    if found and found["host"] == platform.node():
        try:
            os.kill(int(found["process"]), 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass
    return time.time() - path.stat().st_mtime > WRITING


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yields a temporary name that becomes `path` at the end. Raises UserError if `path` cannot be written."""
    temporary = path.with_name(f"{path.stem}.{platform.node()}-{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
