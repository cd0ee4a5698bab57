"""`arrays`: your own images and labels in a file, a full grid of factors or not; --config.data.path=FILE.

The file is one of these (`_readers` has one module each):
    my.npz      the arrays below, read into memory
    images.npy  the images, memory-mapped; beside it factors.csv, whose header has the names, or factors.npy
    my.h5       the arrays below, or others by data.images and data.labels; memory-mapped if they are contiguous

Its arrays are
    images   uint8 [N, H, W, C] or [N, H, W], 0 to 255; C is 1 or 3; others with data.scale, data.bits and
             data.resolution
    factors  numbers, bools or strings [N, F] or [N], optional; NaN where one is missing
    names    F strings, optional: factor_0, factor_1, ... without them
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.datasets import Dataset, Options, _readers
from scaledis.datasets._builders import archives, labels, listing, pixels, stream
from scaledis.datasets._readers.npz import EXPECTED

OPTIONS = ("path", "scale", "bits", "resolution", "images", "labels")


def load(directory: Path, options: Options) -> Dataset:
    """The images [H, W, C] of the file `options.path`, with factors if it has any.

    Images of 0 to 1 need `options.scale`, images of more than 8 bits `options.bits`, and images of another size
    `options.resolution` (`_builders.pixels`). Of a file that is not read into memory, such images are written once, in
    a stream, to a memory-mapped file below `directory`.

    The index of a factor is the rank of its value among those that occur, strings in the order of the numbers in them
    (`ordering`); `factor_values` has these values. If the factors are a full grid, the last one varying fastest, the
    data set is a full grid too; otherwise it has a table. Factors with fractions or missing labels are measured.

    Raises:
      UserError: there is no such file.
      UserError: the file, or an array in it, has another content than the module says; the error names the remedy.
    """
    path = options.images_path
    with _readers.reader_of(path)(path, options) as (images, own):
        source, change = _squares(path, images, directory, options)
        factors = _as_grid(labels.ranked(path, own, len(images)))
    return labels.make_dataset(f"arrays: {path.stem}" + (f", {change}" if change else ""), source, factors)


def _squares(path: Path, images: Any, directory: Path, options: Options) -> tuple[np.ndarray, str]:
    """The images as uint8 [N, H, W, C] of one side: in memory or mapped, as they came; and what was done to them."""
    where, shape = f"{path}: images", _shape(path, images)
    in_memory = isinstance(images, np.ndarray) and not isinstance(images, np.memmap)
    if in_memory:
        found = pixels.to_bytes(where, images.reshape(shape), options.scale, options.bits)
        found, change = pixels.to_squares(where, found, options.resolution)
        return np.ascontiguousarray(found), change
    is_bytes = isinstance(images, np.memmap) and images.dtype == np.uint8 and not (options.scale or options.bits)
    if is_bytes and images.flags.c_contiguous and pixels.are_squares(shape[1], shape[2], options.resolution):
        return images.reshape(shape), ""
    source = [str(path.resolve()), options.images], listing.signature(path, time.time_ns())
    return stream.kept(where, shape, _blocks(images, shape), options, directory / "arrays", source)


def _blocks(images: Any, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The images [n, H, W, C] in order, in blocks of whole chunks of their file."""
    chunks = getattr(images, "chunks", None)
    chunk = chunks[0] if chunks else 1
    rows = chunk * max(1, stream.rows_of_block(shape[1:]) // chunk)
    for start in range(0, shape[0], rows):
        yield np.asarray(images[start : start + rows]).reshape(-1, *shape[1:])


def _shape(path: Path, images: Any) -> tuple[int, ...]:
    """The shape of the images as [N, H, W, C]."""
    shape: tuple[int, ...] = (*images.shape, 1) if images.ndim == 3 else images.shape
    if len(shape) == 4 and images.size and shape[3] in (1, 3):
        return shape
    remedy = ""
    if images.ndim == 4 and shape[1] in (1, 3):
        remedy = "; images.transpose(0, 2, 3, 1) brings the channels to the end"
    elif images.ndim == 4 and shape[3] == 4:
        remedy = "; images[..., :3] leaves the transparency out"
    raise archives.mismatch(path, "images", f"{images.dtype} {images.shape}", EXPECTED["images"] + remedy)


def _as_grid(factors: labels.Factors) -> labels.Factors:
    """The factors without their table if they count through all their combinations, the last one fastest."""
    sizes, table = tuple(map(len, factors.values)), factors.table
    if table is None or factors.measured or not sizes or math.prod(sizes) != len(table):
        return factors
    is_grid = np.array_equal(np.ravel_multi_index(tuple(table.T), sizes), range(len(table)))
    return factors._replace(table=None) if is_grid else factors
