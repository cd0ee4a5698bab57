"""Votes: draws of rows that share the value of one factor."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scaledis.metrics.shared.resampling import Scores
from scaledis.metrics.shared.spec import VOTES

PAIRS = 64  # rows or pairs of rows per vote
TRAIN_VOTES, TEST_VOTES = 10_000, 5_000


class SharedValues:
    """The rows of each value of each factor, of factors int [N, F]."""

    def __init__(self, factors: np.ndarray):
        self._order = np.argsort(factors, axis=0, kind="stable")
        values = [np.unique(column, return_inverse=True, return_counts=True) for column in factors.T]
        self._classes = np.stack([classes for _, classes, _ in values], axis=1)
        self._counts = [counts for *_, counts in values]
        self._starts = [np.cumsum(counts) - counts for counts in self._counts]

    def draw(self, rng: np.random.Generator, factor: int, rows: np.ndarray) -> np.ndarray:
        """Random rows [V, PAIRS] with the values of `factor` that `rows` [V, 1 or PAIRS] have."""
        classes = self._classes[rows, factor]
        starts, counts = self._starts[factor][classes], self._counts[factor][classes]
        chosen = (rng.random((len(rows), PAIRS)) * counts).astype(np.int64)
        return np.asarray(self._order[starts + chosen, factor])


def votes(
    factors: np.ndarray,
    rng: np.random.Generator,
    width: int,
    chunk: int,
    ballot: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """The training votes, then the test votes, each of which fixes one random factor.

    Args:
        factors: int [N, F].
        rng: draws the factors and the rows.
        width: random rows per vote, 1 or `PAIRS`.
        chunk: votes in memory at once.
        ballot: (rows [V, width], rows [V, PAIRS] with their value of the fixed factor) -> what the votes say, [V, ...].

    Returns:
        The fixed factor of each vote, int [TRAIN_VOTES + TEST_VOTES], and what it says, [TRAIN_VOTES + TEST_VOTES,
        ...].
    """
    shared = SharedValues(factors)
    fixed = rng.integers(factors.shape[1], size=TRAIN_VOTES + TEST_VOTES)
    order = np.argsort(fixed, kind="stable")  # votes that fix one factor are drawn together
    said = []
    for factor in range(factors.shape[1]):
        count = int((fixed == factor).sum())
        for start in range(0, count, chunk):
            first = rng.integers(len(factors), size=(min(chunk, count - start), width))
            said.append(ballot(first, shared.draw(rng, factor, first)))
    return fixed, np.concatenate(said)[np.argsort(order)]


def accuracies(correct: np.ndarray) -> Scores:
    """`accuracy` of the test votes and `accuracy_train` of the training votes, of which `correct`, bool [V], are
    right."""

    def accuracy(tested: np.ndarray) -> dict[str, Any]:
        return {"accuracy": float(tested.mean())}

    tested = correct[TRAIN_VOTES:]
    return Scores(
        {"accuracy_train": float(correct[:TRAIN_VOTES].mean()), **accuracy(tested)}, {VOTES: (accuracy, tested)}
    )
