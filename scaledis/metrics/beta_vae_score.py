"""The beta-VAE score (Higgins et al. 2017): a linear classifier of the distances between codes that share a factor."""

import numpy as np

from scaledis.metrics.shared import draws, linear, rows
from scaledis.metrics.shared.spec import VOTES, Result, Spec

SPEC = Spec(("accuracy", "accuracy_train"), fits=True, intervals={"accuracy": VOTES})
CHUNK = 500  # points in memory at once


def compute(codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, protocol: str = "scaledis") -> Result:
    """Returns the accuracy of recognizing the shared factor from the mean of abs(z1 - z2) over 64 pairs of codes.

    The two rows of a pair share the value of one factor; each pair has its own value. Logistic regression learns from
    10,000 such points and is scored on 5,000 others. The chance level is near 1/F. It is higher for factors with many
    values, since both rows of a pair are then often the same row.

    Protocols: codes are standardized, so that the penalty of the regression weighs all units alike. `library` does not
    standardize: a perfect code times 0.0001 scores 1/3 there, which is chance.

    Args:
        seed: seeds the pairs.

    Returns:
        `accuracy` on the test points and `accuracy_train`, in [0, 1]. Both equal chance if no unit varies.
    """
    codes, factors = rows.checked(codes, factors)
    if protocol != "library":
        codes = rows.standardized(codes)

    def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(codes[first] - codes[second]).mean(axis=1))

    fixed, points = draws.votes(factors, np.random.default_rng(seed), draws.PAIRS, CHUNK, distances)
    predicted = np.zeros_like(fixed)
    if factors.shape[1] > 1:
        predicted = linear.logistic_regression(points[: draws.TRAIN_VOTES], fixed[: draws.TRAIN_VOTES]).predict(points)
    return draws.accuracies(predicted == fixed)
