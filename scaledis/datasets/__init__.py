"""Data sets: one file each, found by name. A module here defines `load(directory) -> Dataset`."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaledis import choices


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images on a full grid of F factors, read by index; the last factor varies fastest.

    Attributes:
      name: the name that every table, plot and result file carries.
      factor_names: F names.
      factor_values: F arrays, the values of each factor in its own unit (degrees, hue in [0, 1), ...).
      image_shape: (H, W, C).
      source: the arrays that the images are made from, a pytree. They are an argument of every compiled function,
        never a constant in it.
      gather: pure function (source, index int32 [n]) -> uint8 [n, H, W, C]; runs inside the compiled step.
    """

    name: str
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]
    source: Any
    gather: Callable[[Any, jax.Array], jax.Array]

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def size(self) -> int:
        """N, the number of images."""
        return int(np.prod(self.factor_sizes))

    def factors(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> factor indices int32 [n, F]."""
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=-1).astype(np.int32)

    def index(self, factors: np.ndarray) -> np.ndarray:
        """Factor indices [n, F] -> image indices int32 [n]. Raises ValueError for a factor outside its range."""
        return np.ravel_multi_index(np.moveaxis(np.asarray(factors), -1, 0), self.factor_sizes).astype(np.int32)

    def images(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> uint8 [n, H, W, C]."""
        return np.asarray(jax.jit(self.gather)(self.source, np.asarray(index, np.int32)))

    def sample(self, source: Any, key: jax.Array, n: int) -> jax.Array:
        """n images uint8 [n, H, W, C], drawn uniformly with replacement inside a compiled step. Consumes `key`."""
        return self.gather(source, jax.random.randint(key, (n,), 0, self.size))


def names() -> list[str]:
    return choices.modules(sys.modules[__name__])


def load(name: str, directory: str | Path) -> Dataset:
    """The data set `name`; whatever it stores lies below `directory`.

    Raises ValueError for an unknown name, FileNotFoundError for a file that the user has to place.
    """
    return choices.module("data.name", sys.modules[__name__], name).load(Path(directory).expanduser())
