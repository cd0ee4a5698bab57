"""Separated attribute predictability (Kumar et al. 2018)."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from scaledis.core import registry
from scaledis.metrics.mcc import correlations
from scaledis.metrics.shared.information import best_and_second
from scaledis.metrics.shared.rows import TRAIN_FRACTION, FittedScores, checked, rare_classes, split_at

SCORES = ("sap", "r2")
FITS = True


def _line(unit: np.ndarray, factor: np.ndarray, split: int, seed: int) -> np.ndarray:
    """Predicted classes [N] of one linear support vector machine a class; balanced, C = 0.01."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=seed)  # pyright: ignore
    return np.asarray(model.fit(unit[:split, None], factor[:split]).predict(unit[:, None]))


def _thresholds(unit: np.ndarray, factor: np.ndarray, split: int, seed: int) -> np.ndarray:
    """Predicted classes [N] from as many thresholds on the unit's ranks as it takes to tell the classes apart."""
    from sklearn.tree import DecisionTreeClassifier

    ranks = np.unique(unit, return_inverse=True)[1][:, None]
    leaves = len(np.unique(factor[:split]))
    model = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=seed)
    return model.fit(ranks[:split], factor[:split]).predict(ranks)


def _accuracy(correct: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return correct.mean(axis=0)


def _balanced_accuracy(correct: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return np.mean([correct[factor == value].mean(axis=0) for value in np.unique(factor)], axis=0)


Predictor = Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
PREDICTORS: dict[str, tuple[Predictor, Score]] = {
    "library": (_line, _accuracy),
    "hfs": (_line, _accuracy),
    "scaledis": (_thresholds, _balanced_accuracy),
    "paper": (_thresholds, _balanced_accuracy),
}


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    train_fraction: float = TRAIN_FRACTION,
    protocol: str = "library",
) -> dict[str, Any]:
    """SAP: how far the best single-unit predictor of a factor leads the second best, on test rows.

        SAP = mean_k s_first(k),k - s_second(k),k

    `r2` has the squared correlation of unit and class number for s, from all rows: for factors whose order means
    something. disentanglement_lib takes the training rows alone, which moves it by up to 0.005.

    Protocols: under `library` s is the accuracy of LinearSVC(C=0.01, class_weight="balanced") on the codes as given.
    That depends on their scale, and a line cannot pick a middle class: a perfect code of three factors scores 0.53,
    x 0.01 it scores 0.26, x 0.001 it scores 0. `dual=False` and the seed are fixed, since liblinear's default changed
    in scikit-learn 1.5. `hfs` gives it the numbers of 20 bins. `paper` has thresholds on the unit, the greedy ones of a
    tree with a leaf for each class, and balanced accuracy: neither scale nor direction matters, and the perfect code
    scores 0.75, 1 minus chance. Public code that scores trees on their training rows gives noise a gap.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the predictors.
        train_fraction: share of the rows that train.
        protocol: see above.

    Returns:
        `sap` and `r2` in [0, 1]; a unit without variance has s = 0, and with one unit the gap is to 0; `per_factor` and
        `r2_per_factor` [F]; `warnings` about classes with few training rows.

    Raises:
        UserError: codes or factors that `checked` refuses, rows that `split_at` refuses.
    """
    codes, factors = checked(codes, factors)
    split = split_at(factors, train_fraction)
    predictor, score = registry.choose("protocol", protocol, PREDICTORS)
    alive = np.ptp(codes[:split], axis=0) > 0
    predicted = _predicted(predictor, codes[:, alive], factors, split, seed)
    correct = predicted == factors[split:, None]

    def gaps(rows: np.ndarray) -> dict[str, Any]:
        scores = [score(correct[rows, :, k], factors[split:][rows, k]) for k in range(factors.shape[1])]
        best, second = best_and_second(np.stack(scores, axis=1))
        return {"sap": float((best - second).mean()), "per_factor": best - second}

    fixed = of_correlations(correlations(codes, factors)) | {"warnings": rare_classes(factors, split)}
    closed = (lambda codes, factors: of_correlations(correlations(codes, factors)), codes, factors)
    return FittedScores(gaps, len(codes) - split, fixed, closed)


def of_correlations(found: np.ndarray) -> dict[str, Any]:
    """`r2` and `r2_per_factor` [F] of the absolute correlations of units and factors, [K, F]."""
    best, second = best_and_second(found**2)
    return {"r2": float((best - second).mean()), "r2_per_factor": best - second}


def _predicted(predictor: Predictor, codes: np.ndarray, factors: np.ndarray, split: int, seed: int) -> np.ndarray:
    """The predicted class of every test row by every unit for every factor, int [n, K, F]."""

    def one(pair: tuple[int, int]) -> np.ndarray:
        unit, factor = codes[:, pair[0]], factors[:, pair[1]]
        lone = (factor[:split] == factor[0]).all()
        return np.full(len(factor), factor[0]) if lone else predictor(unit, factor, split, seed)

    shape = (codes.shape[1], factors.shape[1])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        columns = [column[split:] for column in pool.map(one, np.ndindex(*shape))]
    return (
        np.array(columns).reshape(*shape, -1).transpose(2, 0, 1) if columns else np.zeros((len(codes) - split, *shape))
    )
