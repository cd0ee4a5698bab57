"""Rows through a compiled function: in chunks of one shape, so that it is compiled once, and memory is bounded."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

ROWS = 32  # of a chunk of images or codes: the fastest on a CPU, and a single image takes no longer than 20 ms


def chunked(rows: np.ndarray, size: int = ROWS) -> Iterator[np.ndarray]:
    """`rows` [n, ...] as arrays [size, ...]: the last one is filled up with its own rows, and none are one of zeros."""
    for start in range(0, max(len(rows), 1), size):
        yield np.resize(rows[start : start + size], (size, *rows.shape[1:]))


def joined(parts: Iterable[Any], count: int) -> np.ndarray:
    """What a function made of each chunk, as one array [count, ...] without what filled up the last chunk."""
    return np.concatenate([np.asarray(part) for part in parts])[:count]
