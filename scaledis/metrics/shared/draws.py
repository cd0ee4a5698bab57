"""Votes: draws of rows that share the value of one factor."""

from collections.abc import Callable

import numpy as np

from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.spec import VOTES, Part, Result, Scores

PAIRS = 64  # rows or pairs of rows per vote
TRAIN_VOTES, TEST_VOTES = 10_000, 5_000


def votes(
    factors: np.ndarray,
    rng: np.random.Generator,
    width: int,
    chunk: int,
    ballot: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the training votes, then the test votes, each of which fixes one random factor.

    Args:
        factors: int [N, F].
        rng: draws the factors and the rows.
        width: random rows per vote, 1 or `PAIRS`.
        chunk: votes in memory at once.
        ballot: (rows [V, width], rows [V, PAIRS] with their value of the fixed factor) -> what the votes say, [V, ...].

    Returns:
        For all TRAIN_VOTES + TEST_VOTES votes the fixed factor, int [V], and what the vote says, [V, ...].
    """
    fixed, said = rng.integers(factors.shape[1], size=TRAIN_VOTES + TEST_VOTES), []
    for number, factor in enumerate(factors.T):
        labeled = np.flatnonzero(factor != MISSING)
        _, classes, counts = np.unique(factor[labeled], return_inverse=True, return_counts=True)
        order, starts = labeled[np.argsort(factor[labeled], kind="stable")], np.cumsum(counts) - counts
        total = int((fixed == number).sum())
        for start in range(0, total, chunk):
            first = rng.integers(len(labeled), size=(min(chunk, total - start), width))
            share = classes[first]
            chosen = (rng.random((len(first), PAIRS)) * counts[share]).astype(np.int64)
            said.append(ballot(labeled[first], order[starts[share] + chosen]))
    order = np.argsort(fixed, kind="stable")  # votes that fix one factor were drawn together
    return fixed, np.concatenate(said)[np.argsort(order)]


def accuracies(correct: np.ndarray) -> Scores:
    """Returns `accuracy` of the test votes and `accuracy_train` of the training votes from `correct`, bool [V]."""

    def accuracy(tested: np.ndarray) -> Result:
        return {"accuracy": float(tested.mean())}

    tested = correct[TRAIN_VOTES:]
    scores = {"accuracy_train": float(correct[:TRAIN_VOTES].mean()), **accuracy(tested)}
    return Scores(scores, {VOTES: Part(accuracy, [tested], np.ones((len(tested), 0), bool))})
