"""Converts values from any framework and from the command line to plain Python, as a config holds them."""

import ast
import itertools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

PLAIN = (str, int, float, bool, type(None))
T = TypeVar("T")


def plain(value: object) -> Any:
    """Returns numbers, arrays of any framework with `tolist`, paths and lists as plain Python values and tuples.

    A float32 becomes the shortest decimal that rounds to it, 0.1 and not 0.10000000149011612: runs carry float32.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist") and not isinstance(value, type):
        numbers = plain(value.tolist())
        if str(getattr(value, "dtype", "")) != "float32":
            return numbers
        return over(lambda each: float(str(np.float32(each))) if isinstance(each, float) else each, numbers)
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def literal(text: str) -> object:
    """Returns the value of a Python literal, or of true and false, as flags spell them; any other word unchanged."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def literals(text: str) -> list[object]:
    """Returns the values of "2,4,8", "(4,6),[5,5]" or "vlae,vae", split at the commas outside of brackets.

    A part without a letter is "".
    """
    depths = itertools.accumulate((letter in "([{") - (letter in ")]}") for letter in text)
    commas = [place for place, depth in enumerate(depths) if text[place] == "," and not depth]
    parts = itertools.pairwise([-1, *commas, len(text)])
    return [literal(text[last + 1 : place].strip()) for last, place in parts]


def over(change: Callable[[Any], object], value: object) -> Any:
    """Returns `change` of a value, or of every value in a tuple, however deep."""
    return tuple(over(change, each) for each in value) if isinstance(value, tuple) else change(value)


def whole(value: T) -> T | int:
    """Returns a float without a fraction as an int; anything else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
