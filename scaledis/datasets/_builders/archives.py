"""Archives and arrays in files: opened, and refused in one sentence if they hold something else."""

import contextlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core import UserError

ROWS = 20_000  # of an HDF5 array, read at once: 0.25 GB of 64x64x3


def mismatch(file: str | Path, what: str, found: object, expected: object) -> UserError:
    """The error for a file of other content than expected."""
    return UserError(f"{file}: {what} is {found}, expected {expected}.")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns the errors of archive readers for damaged content into a UserError that names the file."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


@contextlib.contextmanager
def hdf5(path: Path, expected: dict[str, tuple[type[np.generic], tuple[int, ...]]]) -> Iterator[Any]:
    """An open HDF5 file that holds the arrays {key: (kind, shape)}. Raises UserError for one that does not."""
    import h5py  # a prepared set opens without it

    with reading(path), h5py.File(path) as file:
        for key, (kind, shape) in expected.items():
            array = file.get(key)
            if not isinstance(array, h5py.Dataset):
                raise mismatch(path, "list of keys", sorted(file), sorted(expected))
            if not np.issubdtype(array.dtype, kind) or array.shape != shape:
                raise mismatch(path, key, f"{array.dtype} {array.shape}", f"{kind.__name__} {shape}")
        yield file


def blocks(array: Any) -> Iterator[slice]:
    """The rows of an HDF5 array in blocks of whole chunks, so that no chunk is inflated twice."""
    chunk = array.chunks[0] if array.chunks else 1
    rows = chunk * max(1, ROWS // chunk)
    return (slice(start, start + rows) for start in range(0, len(array), rows))
