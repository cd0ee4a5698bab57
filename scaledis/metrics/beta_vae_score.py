"""The beta-VAE score (Higgins et al. 2017): a linear classifier of how far apart codes are that share a factor."""

from typing import Any

import numpy as np

from scaledis.metrics.shared import linear
from scaledis.metrics.shared.draws import PAIRS, TEST_VOTES, TRAIN_VOTES, SharedValues
from scaledis.metrics.shared.rows import FittedScores, checked, standardized

SCORES = ("accuracy", "accuracy_train")
FITS = True
CHUNK = 500  # points at once


def compute(codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, protocol: str = "scaledis") -> dict[str, Any]:
    """The beta-VAE score: the accuracy of telling the shared factor from the mean of abs(z1 - z2) over 64 pairs.

    The two rows of a pair share the value of one factor; each pair has a value of its own. Logistic regression learns
    from 10,000 such points and is scored on 5,000. Chance is about 1/F, not 0, and more where pairs of a factor
    with many values often are one row twice: the chance level is that of permuted rows.

    Protocols: codes are standardized first, so that the penalty of the regression weighs all units alike. `library`
    does not: a perfect code x 0.0001 falls from 1 to chance, 1/3, there.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the pairs.
        protocol: see above.

    Returns:
        `accuracy` and `accuracy_train` in [0, 1]; both are chance if no unit varies.

    Raises:
        UserError: codes or factors that `checked` refuses.
    """
    codes, factors = checked(codes, factors)
    if protocol != "library":
        codes = standardized(codes)
    fixed, distances = _points(codes, factors, np.random.default_rng(seed))
    predicted = np.zeros_like(fixed)
    if factors.shape[1] > 1:
        model = linear.logistic_regression(distances[:TRAIN_VOTES], fixed[:TRAIN_VOTES])
        predicted = model.predict(distances)
    correct = predicted == fixed
    return FittedScores(
        lambda rows: {"accuracy": float(correct[TRAIN_VOTES:][rows].mean())},
        TEST_VOTES,
        {"accuracy_train": float(correct[:TRAIN_VOTES].mean())},
    )


def _points(codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The shared factor, int [P], and the mean distance of its pairs in every unit, [P, K]."""
    shared = SharedValues(factors)
    fixed = rng.integers(factors.shape[1], size=TRAIN_VOTES + TEST_VOTES)
    distances = np.zeros((len(fixed), codes.shape[1]))
    for factor in range(factors.shape[1]):
        points = np.flatnonzero(fixed == factor)
        for chunk in np.split(points, range(CHUNK, len(points), CHUNK)):
            first = rng.integers(len(codes), size=(len(chunk), PAIRS))
            second = shared.draw(rng, factor, first, first.shape)
            distances[chunk] = np.abs(codes[first] - codes[second]).mean(axis=1)
    return fixed, distances
