"""Data sets: one file each, found by name. A module here defines `load(directory) -> Dataset`.

One whose images are the user's own takes their path as well: `load(directory, path)`.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaledis import registry
from scaledis.errors import UserError


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with their factors, read by index.

    On a full grid of factors the index is the mixed-radix number of the factors, the last one varying fastest. Other
    sets have a table: a row of factors for each image, in which a combination may be missing or stand several times.

    Attributes:
      name: the name that every table, plot and result file carries.
      factor_names: F names; none where nothing is known of the images.
      factor_values: F arrays, the values of each factor in its own unit (degrees, hue in [0, 1), ...).
      image_shape: (H, W, C).
      source: the arrays that the images are made from, a pytree. They are an argument of every compiled function,
        never a constant in it.
      gather: pure function (source, index int32 [n]) -> uint8 [n, H, W, C]; runs inside the compiled step.
      table: int32 [N, F] factor indices where the images are no full grid; None where they are one.
      held_out: int32 [n], the images that the data set's authors hold out; None where they hold out none.
    """

    name: str
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]
    source: Any
    gather: Callable[[Any, jax.Array], jax.Array]
    table: np.ndarray | None = None
    held_out: np.ndarray | None = None

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def size(self) -> int:
        """N, the number of images."""
        return int(np.prod(self.factor_sizes)) if self.table is None else len(self.table)

    def factors(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> factor indices int32 [n, F]."""
        if self.table is not None:
            return self.table[index]
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=-1).astype(np.int32)

    def index(self, factors: np.ndarray) -> np.ndarray:
        """Factor indices [n, F] -> image indices int32 [n], on a full grid.

        Raises UserError for a factor outside its range, and for a set that is no full grid.
        """
        if self.table is not None:
            raise UserError(f"{self.name} is no full grid of its factors; draw images with `matching` instead.")
        return np.ravel_multi_index(np.moveaxis(np.asarray(factors), -1, 0), self.factor_sizes).astype(np.int32)

    def matching(self, rng: np.random.Generator, n: int, **fixed: int) -> np.ndarray:
        """Image indices int32 [n], drawn uniformly with replacement among the images that have the factors `fixed`.

        On a full grid the factors that are not fixed are independent and uniform; with a table they are as they are
        among the images that match. Raises UserError for an unknown factor, and if no image matches.
        """
        for name in fixed:
            registry.check(f"factor of {self.name}", name, self.factor_names)
        columns = {self.factor_names.index(name): value for name, value in fixed.items()}
        if self.table is None:
            factors = rng.integers(0, self.factor_sizes, (n, len(self.factor_sizes)))
            for column, value in columns.items():
                factors[:, column] = value
            return self.index(factors)
        among = np.ones(len(self.table), bool)
        for column, value in columns.items():
            among &= self.table[:, column] == value
        among = np.flatnonzero(among)
        if not len(among):
            raise UserError(f"{self.name} has no image with {fixed}.")
        return rng.choice(among, n).astype(np.int32)

    def at(self, resolution: int) -> "Dataset":
        """The same set with images of `resolution` pixels a side, each the mean over a square of pixels, rounded.

        Raises UserError unless the resolution divides the sides, which must be equal, and is a multiple of 16.
        """
        height, width, channels = self.image_shape
        if height != width or height % resolution or resolution % 16:
            possible = [size for size in range(16, height + 1, 16) if height == width and height % size == 0]
            shape = f"{self.name} of {height}x{width}"
            raise UserError(f"data.resolution: {resolution} is not possible for {shape}; choices: {possible}.")
        side = height // resolution

        def gather(source: Any, index: jax.Array) -> jax.Array:
            images = self.gather(source, index)
            squares = images.reshape(-1, resolution, side, resolution, side, channels).astype("uint32")
            return ((squares.sum((2, 4)) + side**2 // 2) // side**2).astype("uint8")

        name, shape = f"{self.name} at {resolution}x{resolution}", (resolution, resolution, channels)
        return dataclasses.replace(self, name=name, image_shape=shape, gather=gather)

    def images(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> uint8 [n, H, W, C], on the host."""
        index = np.asarray(index, np.int32)
        if isinstance(self.source, np.ndarray):  # an array on disk is read here, not brought to a device whole
            return np.asarray(self.gather(self.source, index))
        return np.asarray(jax.jit(self.gather)(self.source, index))


def rows(source: Any, index: jax.Array) -> jax.Array:
    """The `gather` of a set whose source is the array of its images: on the host for numpy, else in a compiled step."""
    return source[index]


def names() -> list[str]:
    return registry.modules(sys.modules[__name__])


def load(name: str, directory: str | Path, path: str = "", download: bool = False, resolution: int = 0) -> Dataset:
    """The data set `name`; whatever it stores lies below `directory`.

    `path`: of the user's own images. `download`: fetch published files that are not there, where the set allows it.
    `resolution`: pixels a side, 0 for the set's own.

    Raises UserError for an unknown name, and for a path that is missing or not wanted; UserError for a file
    that the user has to place.
    """
    make = registry.module("data.name", sys.modules[__name__], name).load
    known = inspect.signature(make).parameters
    if ("path" in known) != bool(path):
        given = "is missing: where are the images?" if "path" in known else f"{path!r} is not understood by {name}."
        raise UserError(f"data.path: {given}")
    options = {"path": Path(path).expanduser(), "download": download, "resolution": resolution}
    dataset = make(Path(directory).expanduser(), **{key: value for key, value in options.items() if key in known})
    return dataset if resolution in (0, dataset.image_shape[0]) else dataset.at(resolution)
