"""Files are written to a temporary name and renamed, and a damaged one is a sentence that names it."""

import contextlib
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.errors import UserError


def write_json(path: Path, value: Any) -> None:
    """Raises ValueError for NaN and infinity, which are not JSON."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_lines(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    """`write_json` with a line an entry, which Python writes three times as fast; for what a sweep has very many of."""
    entries = [json.dumps(each, allow_nan=False) for each in (value.values() if isinstance(value, Mapping) else value)]
    if isinstance(value, Mapping):
        entries = [f"{json.dumps(key)}: {entry}" for key, entry in zip(value, entries, strict=True)]
    first, last = "{}" if isinstance(value, Mapping) else "[]"
    write_bytes(path, (first + "\n" + ",\n".join(entries) + "\n" + last + "\n").encode())


def read_json(path: Path, *keys: str) -> Any:
    """Raises UserError, naming the file, where it is not JSON or lacks a key."""
    try:
        value = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged or cannot be read: {error}.") from error
    return with_keys(path, value, keys)


def with_keys(path: Path, value: Any, keys: Iterable[str]) -> Any:
    """`value`, which was read from `path`. Raises UserError, naming the file, where it lacks a key."""
    missing = [key for key in keys if not isinstance(value, Mapping) or key not in value]
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(missing)}.")
    return value


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    with writing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def write_bytes(path: Path, data: bytes) -> None:
    with writing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary name, which becomes `path` at the end. Raises UserError, naming the path, where the disk is full."""
    temporary = path.with_name(f"{path.stem}.{platform.node()}-{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
