"""`arrays`: your own images and factors in one .npz file, a full grid or not; --config.data.path=FILE.

The file, as numpy.savez writes it, holds
    images   uint8 [N, H, W, C] or [N, H, W], 0 to 255; C is 1 or 3; others with data.scale, data.bits and
             data.resolution
    factors  whole numbers, bools or strings [N, F] or [N], optional
    names    F strings, optional: factor_0, factor_1, ... without them
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scaledis import datasets
from scaledis.core import UserError, npz, ordering, registry
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, pixels

OPTIONS = ("path", "scale", "bits", "resolution")
EXPECTED = {
    "images": "uint8 [N, H, W, C] or [N, H, W] with C 1 or 3",
    "factors": "whole numbers, bools or strings [N, F] or [N]",
    "names": "F strings",
}


def load(directory: Path, options: Options) -> Dataset:
    """The images [H, W, C] of the file `options.path`, with factors if it has any. `directory` is not used.

    Images of 0 to 1 need `options.scale`, images of more than 8 bits `options.bits`, and images of another size
    `options.resolution` (`_builders.pixels`). The index of a factor is the rank of its value among those that occur,
    strings in the order of the numbers in them (`ordering`); `factor_values` has these values. If the factors are a
    full grid, the last one varying fastest, the data set is a full grid too; otherwise it has a table.

    Raises:
      UserError: there is no such file.
      UserError: the file, or an array in it, has another content than the module says; the error names the remedy.
    """
    path = options.images_path
    arrays = _read(path)
    images = pixels.to_bytes(f"{path}: images", _images(path, arrays["images"]), options.scale, options.bits)
    images, change = pixels.to_squares(f"{path}: images", images, options.resolution)
    factors = _factors(path, arrays.get("factors", np.zeros((len(images), 0), int)), len(images))
    columns = [ordering.ranked(column) for column in factors.T]
    values = tuple(distinct for distinct, _ in columns)
    table = np.array([ranks for _, ranks in columns], np.int32).reshape(len(columns), len(images)).T
    sizes = tuple(map(len, values))
    as_many = sizes and math.prod(sizes) == len(table)
    is_grid = as_many and np.array_equal(np.ravel_multi_index(tuple(table.T), sizes), range(len(table)))
    return Dataset(
        name=f"arrays: {path.stem}" + (f", {change}" if change else ""),
        factor_names=_names(path, arrays.get("names"), factors.shape[1]),
        factor_values=values,
        image_shape=images.shape[1:],
        source=np.ascontiguousarray(images),
        gather=datasets.rows,
        table=None if is_grid else table,
    )


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """All arrays of the file by their keys."""
    try:
        keys = npz.names(path)
    except UserError as error:
        raise UserError(f"data.path: {error}") from error
    for key in keys:
        registry.check(f"{path}: key", key, EXPECTED)
    if "images" not in keys:
        raise archives.mismatch(path, "list of keys", keys, "images, and perhaps factors and names")
    return {key: npz.read(path, key, EXPECTED[key]) for key in keys}


def _images(path: Path, images: np.ndarray) -> np.ndarray:
    """The images as [N, H, W, C]."""
    shape = images.shape
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.size and images.shape[3] in (1, 3):
        return images
    remedy = ""
    if images.ndim == 4 and shape[1] in (1, 3):
        remedy = "; images.transpose(0, 2, 3, 1) brings the channels to the end"
    elif images.ndim == 4 and shape[3] == 4:
        remedy = "; images[..., :3] leaves the transparency out"
    raise archives.mismatch(path, "images", f"{images.dtype} {shape}", EXPECTED["images"] + remedy)


def _factors(path: Path, factors: np.ndarray, count: int) -> np.ndarray:
    """The factors as [N, F]."""
    found = f"{factors.dtype} {factors.shape}"
    if factors.ndim == 1:
        factors = factors[:, None]
    if factors.dtype.kind not in "biufUS" or factors.ndim != 2 or len(factors) != count:
        raise archives.mismatch(path, "factors", found, f"{EXPECTED['factors']} with N = {count}, as of images")
    if factors.dtype.kind == "S":
        try:
            return np.char.decode(factors, "utf-8")
        except UnicodeDecodeError as error:
            raise archives.mismatch(path, "factors", f"{found}, not in UTF-8 ({error})", EXPECTED["factors"]) from error
    if factors.dtype.kind == "f" and not (np.isfinite(factors) & (factors % 1 == 0)).all():
        remedy = "numpy.unique(column, return_inverse=True)[1] ranks a column, numpy.digitize(column, edges) bins it"
        raise archives.mismatch(path, "factors", f"{found} with fractions or NaN", f"{EXPECTED['factors']}; {remedy}")
    return factors


def _names(path: Path, names: np.ndarray | None, count: int) -> tuple[str, ...]:
    """The names of F = `count` factors, numbered where the file has none."""
    if names is None:
        return tuple(f"factor_{number}" for number in range(count))
    names = np.atleast_1d(names)
    if names.dtype.kind != "U" or names.shape != (count,) or len(set(names)) != count:
        found = f"{names.dtype} {names.tolist()}"
        raise archives.mismatch(path, "names", found, f"{count} different strings, one for each column of factors")
    return tuple(names.tolist())
