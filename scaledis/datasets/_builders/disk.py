"""Folders that several processes prepare, on disks that may be full or not writable."""

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scaledis.core import UserError


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on `folder`; the kernel releases it when this process ends, however it ends.

    On a network file system without locks it prints a warning and locks nothing. Raises UserError if the folder cannot
    be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that prepares {folder}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            print(f"{folder} cannot be locked ({error}): no other process may prepare it now", file=sys.stderr)
        yield


def demand(folder: Path, size: float) -> None:
    """Raises UserError if the disk of `folder` has less than `size` bytes free."""
    if (free := shutil.disk_usage(folder).free) < size:
        raise UserError(f"{folder} has {free / 1e9:.1f} GB free, preparing takes {size / 1e9:.1f} GB.")


@contextlib.contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """A new file, on the disk when it is closed."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_header(output: BinaryIO, shape: tuple[int, ...]) -> None:
    """Writes the header of an .npy file of bytes, padded to 64 bytes, the alignment that JAX can share."""
    np.lib.format.write_array_header_1_0(output, {"descr": "|u1", "fortran_order": False, "shape": shape})
