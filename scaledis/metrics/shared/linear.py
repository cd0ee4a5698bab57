"""Linear classifiers of codes, and the areas under their ROC curves."""

import functools
import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata
from threadpoolctl import ThreadpoolController

from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.rows import counted, standardized

if TYPE_CHECKING:  # it takes longer than all of JAX
    from sklearn.linear_model import LogisticRegression

ITERATIONS, FREE_ITERATIONS = 1000, 100


def logistic_regression(
    inputs: np.ndarray, classes: np.ndarray, penalty: float = 1.0, class_weight: str | None = None
) -> "LogisticRegression":
    """Returns scikit-learn's logistic regression of at least two `classes` [N] on `inputs` [N, K], fitted.

    `penalty` multiplies half the squared coefficients. With 0 there are at most 100 iterations, since separable classes
    do not converge.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    strength, iterations = (1 / penalty, ITERATIONS) if penalty else (np.inf, FREE_ITERATIONS)
    model = LogisticRegression(C=strength, max_iter=iterations, class_weight=class_weight)
    with warnings.catch_warnings(), libraries().limit(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, classes)


@functools.cache
def libraries() -> ThreadpoolController:
    """The loaded linear algebra. Its threads wait for each other longer than a fit of this size takes."""
    return ThreadpoolController()


def one_versus_rest(codes: np.ndarray, factor: np.ndarray, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of every class against all others on the first `split` rows of standardized codes [N, K].

    Returns:
        The classes of the training rows, [C], and the log odds of each, [N, C]; 0 if there is one class at most.
    """
    inputs, classes = standardized(codes), counted(factor[:split])[0]
    if len(classes) < 2:
        return classes, np.zeros((len(codes), len(classes)))
    labeled = np.flatnonzero(factor[:split] != MISSING)
    odds = [
        logistic_regression(inputs[labeled], factor[labeled] == value).decision_function(inputs)
        for value in classes[len(classes) == 2 :]  # of two classes the second says all
    ]
    return classes, np.stack(odds if len(classes) > 2 else [-odds[0], odds[0]], axis=1)


def mean_area(scores: np.ndarray, factor: np.ndarray, classes: np.ndarray) -> float:
    """The area under the ROC curve of `scores` [n, C], averaged over those of `classes` [C] that `factor` [n] has.

    A row without a label is left out. A class of all rows or of none has no curve; 0.5 if no class has one.
    """
    scores, factor = scores[factor != MISSING], factor[factor != MISSING]
    inside = factor[:, None] == classes
    counts = inside.sum(axis=0)
    there = (counts > 0) & (counts < len(factor))
    if not there.any():
        return 0.5
    inside, counts = inside[:, there], counts[there]
    sums = (rankdata(scores[:, there], axis=0) * inside).sum(axis=0)
    return float(np.mean((sums - counts * (counts + 1) / 2) / (counts * (len(factor) - counts))))
