"""The natural order of names that hold numbers: 2 before 10, -1 before 0, scale_0.5 before scale_1."""

import re
from decimal import Decimal

import numpy as np

# A sign belongs to the number unless a letter or a digit stands before it: x=-1, but run-1.
NUMBER = re.compile(r"((?:(?<![^\W_])[-+])?(?:\d+(?:\.\d+)?|(?<![^\W_])\.\d+)(?:[eE][-+]?\d{1,3}(?![^\W_]))?)")


def natural(name: str) -> tuple[list[str | Decimal], str]:
    """Returns a sorting key: the texts and numbers of a name in turn, then the name itself, which orders 1 and 01.

    >>> sorted(["b10", "b9", "a", "-1", "-2"], key=natural)
    ['-2', '-1', 'a', 'b9', 'b10']
    """
    parts = NUMBER.split(name)
    return [Decimal(part) if place % 2 else part for place, part in enumerate(parts)], name


def ranked(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct values [V] of a column [N], sorted, and the rank int [N] of each entry among them.

    Numbers and bools are sorted as numpy sorts them, strings in their natural order.
    """
    values, ranks = np.unique(column, return_inverse=True)
    if values.dtype.kind != "U":
        return values, ranks
    order = np.array(sorted(range(len(values)), key=lambda place: natural(str(values[place]))), np.intp)
    return values[order], np.argsort(order)[ranks]
