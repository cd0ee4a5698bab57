"""Reads .npz files of unknown origin: an unreadable one raises UserError, and no pickle is ever loaded."""

import zipfile
from pathlib import Path

import numpy as np

from scaledis.core import UserError

# Damaged, encrypted or forged archives raise a dozen kinds of exceptions in zipfile, zlib, tokenize and numpy, and a
# header that claims petabytes raises MemoryError; every one of them means that the file cannot be read.


def names(path: Path) -> list[str]:
    """Returns the names of the arrays in `path`. Raises UserError, naming the file, if it is missing or not .npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except Exception as error:
        raise UserError(f"{path}: not an .npz file of plain arrays ({error})") from error


def read(path: Path, name: str, expected: str = "a plain array") -> np.ndarray:
    """Returns array `name` of `path`; an entry of the archive that is no array is returned as bytes.

    Raises UserError, naming the file, the array and what is expected, if it cannot be read or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])
    except Exception as error:
        found = f"unreadable ({str(error).partition(chr(10))[0] or type(error).__name__})"
        if "allow_pickle" in str(error):
            found = "an object array, which could run code (numpy.array(..., dtype=str) or dtype=int makes a plain one)"
        raise UserError(f"{path}: {name} is {found}, expected {expected}.") from error
