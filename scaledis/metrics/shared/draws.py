"""Rows that share the value of a factor, drawn many at once."""

import numpy as np

PAIRS = 64  # rows or pairs a vote
TRAIN_VOTES, TEST_VOTES = 10_000, 5_000


class SharedValues:
    """For every factor of int [N, F], the rows of each of its values."""

    def __init__(self, factors: np.ndarray):
        self._order = np.argsort(factors, axis=0, kind="stable")
        values = [np.unique(column, return_inverse=True, return_counts=True) for column in factors.T]
        self._classes = np.stack([classes for _, classes, _ in values], axis=1)
        self._counts = [counts for *_, counts in values]
        self._starts = [np.cumsum(counts) - counts for counts in self._counts]

    def draw(self, rng: np.random.Generator, factor: int, rows: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Rows that have the value of `factor` that `rows` have, drawn with replacement: int, of shape `size`.

        `rows` broadcasts to `size`.
        """
        classes = self._classes[rows, factor]
        starts, counts = self._starts[factor][classes], self._counts[factor][classes]
        return self._order[starts + (rng.random(size) * counts).astype(np.int64), factor]
