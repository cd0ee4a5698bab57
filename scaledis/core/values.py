"""Values in plain Python: what a config holds, whatever framework or command line they come from."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

PLAIN = (str, int, float, bool, type(None))


def plain(value: Any) -> Any:
    """Numbers and arrays of numpy, JAX or any framework with `tolist`, paths and lists as Python's values and tuples.

    A float32 becomes the shortest decimal that gives it, 0.1 and not 0.10000000149011612, since a run carries float32.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist") and not isinstance(value, type):
        numbers = plain(value.tolist())
        return over(_shortest, numbers) if str(getattr(value, "dtype", "")) == "float32" else numbers
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def over(change: Callable[[Any], Any], value: Any) -> Any:
    """`change` of a value, or of every value in a tuple, all the way down."""
    return tuple(over(change, each) for each in value) if isinstance(value, tuple) else change(value)


def whole(value: Any) -> Any:
    """A float without a fraction as an int; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shortest(value: Any) -> Any:
    return float(str(np.float32(value))) if isinstance(value, float) else value
