"""`arrays`: your own images and factors in one .npz file, a full grid or not; --config.data.path=FILE.

The file, as numpy.savez writes it, holds
    images   uint8 [N, H, W, C] or [N, H, W], 0 to 255; H = W, a multiple of 16; C is 1 or 3
    factors  integers [N, F], optional
    names    F strings, optional: factor_0, factor_1, ... without them
"""

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scaledis import datasets, registry
from scaledis.datasets import Dataset, _published
from scaledis.errors import UserError

EXPECTED = {
    "images": "uint8 [N, H, W, C] or [N, H, W] with H = W a multiple of 16 and C 1 or 3",
    "factors": "integers [N, F]",
    "names": "F strings",
}


def load(directory: Path, path: Path) -> Dataset:
    """The images [H, W, C] of the file `path`, with factors if it has any. Neither reads nor writes `directory`.

    The index of a factor is the rank of its value among those that occur. Where the factors are a full grid, the last
    one varying fastest, so is the data set; otherwise it has a table.

    Raises:
      UserError: there is no such file.
      UserError: the file, or an array in it, is not what it must be.
    """
    arrays = _read(path)
    images = _images(path, arrays["images"])
    factors = _factors(path, arrays.get("factors", np.zeros((len(images), 0), int)), len(images))
    names = _names(path, arrays["names"], factors.shape[1]) if "names" in arrays else _numbered(factors.shape[1])
    columns = [np.unique(column, return_inverse=True) for column in factors.T]
    values = tuple(distinct for distinct, _ in columns)
    table = np.array([ranks for _, ranks in columns], np.int32).reshape(len(columns), len(images)).T
    return Dataset(
        name=f"arrays: {path.stem}",
        factor_names=names,
        factor_values=values,
        image_shape=images.shape[1:],
        source=images,
        gather=datasets.rows,
        table=None if _is_grid(table, tuple(map(len, values))) else table,
    )


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """All arrays of the file by their keys."""
    if not path.is_file():
        raise UserError(f"data.path: there is no file {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        raise _published.mismatch(path, "content", "no archive of arrays", "a file of numpy.savez") from error
    for key in keys:
        registry.check(f"{path}: key", key, EXPECTED)
    if "images" not in keys:
        raise _published.mismatch(path, "list of keys", keys, "images, and perhaps factors and names")
    with np.load(path, allow_pickle=False) as archive:
        return {key: _array(path, archive, key) for key in keys}


def _array(path, archive, key):
    try:
        return np.asarray(archive[key])  # what is no array is given as bytes, and refused for its dtype
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        found = "an object array, which could run code" if "allow_pickle" in str(error) else f"unreadable ({error})"
        raise _published.mismatch(path, key, found, EXPECTED[key]) from error


def _images(path, images):
    """The images as [N, H, W, C]."""
    found = f"{images.dtype} {images.shape}"
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or not _is_drawable(*images.shape):
        raise _published.mismatch(path, "images", found, EXPECTED["images"])
    return np.ascontiguousarray(images)


def _is_drawable(n, height, width, channels):
    return n > 0 and height == width > 0 and height % 16 == 0 and channels in (1, 3)


def _factors(path, factors, count):
    if factors.dtype.kind not in "iu" or factors.ndim != 2 or len(factors) != count:
        found = f"{factors.dtype} {factors.shape}"
        raise _published.mismatch(path, "factors", found, f"{EXPECTED['factors']} with N = {count}, as of images")
    return factors


def _names(path, names, count):
    if names.dtype.kind != "U" or names.shape != (count,) or len(set(names)) != count:
        found = f"{names.dtype} {names.tolist()}"
        raise _published.mismatch(path, "names", found, f"{count} different strings, one for each column of factors")
    return tuple(names.tolist())


def _numbered(count):
    return tuple(f"factor_{number}" for number in range(count))


def _is_grid(table, sizes):
    """Whether row i of the table [N, F] is the mixed-radix number i, for all N combinations."""
    if not sizes or math.prod(sizes) != len(table):
        return False
    return bool((np.ravel_multi_index(tuple(table.T), sizes) == np.arange(len(table))).all())
