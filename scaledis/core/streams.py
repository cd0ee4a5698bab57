"""Random numbers: a key for each thing that is drawn, by its name or its number. A key is drawn from once, or split."""

import zlib

import jax
import numpy as np
from jax import Array


def stream(key: Array, name: str) -> Array:
    """Returns the key of what `name` draws, independent of the keys of other names."""
    return jax.random.fold_in(key, np.uint32(zlib.crc32(name.encode())))


def each(key: Array, numbers: Array | np.ndarray) -> Array:
    """Returns a key for each of the numbers [n], int32; the key of a number does not depend on the other numbers."""
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
