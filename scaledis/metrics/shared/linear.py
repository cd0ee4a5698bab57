"""Linear classifiers of codes, and the area under their curves."""

import functools
import warnings
from typing import Any

import numpy as np
from scipy.stats import rankdata
from threadpoolctl import ThreadpoolController

from scaledis.metrics.shared.rows import standardized

ITERATIONS, FREE_ITERATIONS = 1000, 100


def logistic_regression(
    inputs: np.ndarray, classes: np.ndarray, penalty: float = 1.0, class_weight: str | None = None
) -> Any:
    """scikit-learn's logistic regression of `classes` [N] from `inputs` [N, K]; two classes or more.

    `penalty` weighs half the squared coefficients; 0: none, and then at most 100 iterations, since separable classes
    never converge.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    strength, iterations = (1 / penalty, ITERATIONS) if penalty else (np.inf, FREE_ITERATIONS)
    model = LogisticRegression(C=strength, max_iter=iterations, class_weight=class_weight)
    with warnings.catch_warnings(), _libraries().limit(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, classes)


@functools.cache
def _libraries() -> ThreadpoolController:
    """The linear algebra that is loaded. Its threads wait for each other longer than a fit this small takes."""
    return ThreadpoolController()


def one_versus_rest(codes: np.ndarray, factor: np.ndarray, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of every class against all others, from the first `split` rows of standardized codes.

    Args:
        codes: float [N, K].
        factor: int [N].
        split: how many rows train.

    Returns:
        The classes of the training rows, [C], and the log odds of each, [N, C]; 0 where there is one class.
    """
    inputs, classes = standardized(codes), np.unique(factor[:split])
    if len(classes) == 1:
        return classes, np.zeros((len(codes), 1))
    odds = [
        logistic_regression(inputs[:split], factor[:split] == value).decision_function(inputs)
        for value in classes[len(classes) == 2 :]  # of two classes the second says all
    ]
    return classes, np.stack(odds if len(classes) > 2 else [-odds[0], odds[0]], axis=1)


def mean_area(scores: np.ndarray, factor: np.ndarray, classes: np.ndarray) -> float:
    """The area under the curve of `scores` [n, C], the mean over those of `classes` [C] that `factor` [n] has.

    A class that all rows or none have has no curve; 0.5 if there is no other.
    """
    inside = factor[:, None] == classes
    counts = inside.sum(axis=0)
    there = (counts > 0) & (counts < len(factor))
    if not there.any():
        return 0.5
    inside, counts = inside[:, there], counts[there]
    sums = (rankdata(scores[:, there], axis=0) * inside).sum(axis=0)
    return float(np.mean((sums - counts * (counts + 1) / 2) / (counts * (len(factor) - counts))))
