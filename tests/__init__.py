"""What several tests share. `tests.tiny` has a data set and a config so small that a test trains in seconds."""

from typing import Any

import jax
import numpy as np


def assert_same(one: Any, other: Any) -> None:
    """Two pytrees are equal, bit for bit."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
