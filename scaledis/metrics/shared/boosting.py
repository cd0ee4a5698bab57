"""Gradient boosting with LightGBM's trees: scikit-learn's GradientBoosting, many times faster.

LightGBM's own objective splits by the second-order gain, which changes DCI-D by up to 0.05. Here splits are by squared
error, and only the leaves take Newton steps. Its trees prefer the first of equally good units, so several boosters,
each with its own order of the units, alternate.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from scaledis.metrics.shared.parallel import mapped

if TYPE_CHECKING:  # it takes longer than all of JAX
    from lightgbm import Dataset

ROUNDS, DEPTH, RATE = 100, 3, 0.1
BOOSTERS = 10
MAX_STEP = 20  # unbounded Newton steps diverge when a factor has many classes
BINS, LEAST_BINS = 255, 3  # LightGBM's default, and the fewest by which it tells two rows apart
EXACT_ROWS = 4000  # training rows up to which every distinct value has a bin
FEW_ROWS, EXACT_BOOSTERS = 100, 4  # with more rows: mean rows per class, and boosters with exact bins below it
LEAVES = 2**DEPTH
Function = Callable[[np.ndarray], np.ndarray]


class Problem(NamedTuple):
    """What T targets of the training rows are fitted to.

    Attributes:
        target: float [split, T].
        start: [T], the scores before the first round.
        mean: scores [n, T] -> the means of the targets.
        curvature: residuals [n, T] -> the second derivatives of the loss in the scores.
    """

    target: np.ndarray
    start: np.ndarray
    mean: Function
    curvature: Function


def fit(ranks: np.ndarray, factors: np.ndarray, split: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Trains one classifier per factor on the first `split` rows.

    Args:
        ranks: int [N, K], dense ranks of the codes. A column without variance among the training rows has gain 0.
        factors: int [N, F], each column with at least two values among the first `split` rows.
        split: the number of training rows.
        seed: seeds the order of the units in each booster.

    Returns:
        The gains of the units, [K, F], and the predicted classes, [N, F].
    """
    orders = _orders(ranks, seed)
    values = max(len(np.unique(unit)) for unit in ranks[:split].T)
    exact = split <= EXACT_ROWS or values <= BINS
    binned = _datasets(ranks, orders, split, seed, exact) if values > 1 else []
    small = [split < FEW_ROWS * len(np.unique(factor[:split])) for factor in factors.T]
    fine = _datasets(ranks, orders[:EXACT_BOOSTERS], split, seed, True) if any(small) and not exact else []
    lock = threading.Lock()

    def classifier(factor: np.ndarray, small: bool) -> tuple[np.ndarray, np.ndarray]:
        datasets = [*fine, *binned[len(fine) :]] if small else binned
        return _classifier(datasets, orders, ranks, factor, split, lock)

    gains, predicted = zip(*mapped(classifier, factors.T, small), strict=True)
    return np.stack(gains, axis=1), np.stack(predicted, axis=1)


def _datasets(ranks: np.ndarray, orders: np.ndarray, split: int, seed: int, exact: bool) -> list["Dataset"]:
    """The binned training rows of every booster, which all factors share.

    A unit has a bin per value if `exact`, else 255 bins by half of the rows, which differ between boosters. If that
    half has one value of a unit, LightGBM cannot train without the unit, so a unit that hardly varies needs exact bins.
    """
    import lightgbm  # imported here: it takes longer than all of JAX

    settings = {
        "objective": "none",
        "max_depth": DEPTH,
        "num_leaves": LEAVES,
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,  # factors run side by side instead
        "verbosity": -1,
        "bin_construct_sample_cnt": split if exact else max(split // 2, 1),
        **({"max_bin": max(split, LEAST_BINS), "min_data_in_bin": 1} if exact else {}),
    }
    datasets = []
    for turn, order in enumerate(orders):
        units, seeded = ranks[:split, order].astype(np.float64), settings | {"data_random_seed": seed + turn}
        datasets.append(lightgbm.Dataset(units, np.zeros(split), params=seeded).construct())
    return datasets


def _classifier(
    datasets: list["Dataset"],
    orders: np.ndarray,
    ranks: np.ndarray,
    factor: np.ndarray,
    split: int,
    lock: threading.Lock,
) -> tuple[np.ndarray, np.ndarray]:
    """Gains [K] and predicted classes [N] of one factor [N]."""
    values, classes = np.unique(factor[:split], return_inverse=True)
    binary = len(values) == 2
    target = (classes == 1).astype(float)[:, None] if binary else np.eye(len(values))[classes]
    prior = target.mean(axis=0)
    start = np.log(prior) - (np.log1p(-prior) if binary else 0)
    probabilities: Function = expit if binary else lambda scores: softmax(scores, axis=1)
    rate = RATE if binary else RATE * (1 - 1 / len(values))
    problem = Problem(target, start, probabilities, lambda residual: np.abs(residual) * (1 - np.abs(residual)))
    gains, scores = _boosted(datasets, orders, ranks, problem, rate, lock)
    return gains, values[(scores[:, 0] > 0).astype(int) if binary else scores.argmax(axis=1)]


def regress(ranks: np.ndarray, targets: np.ndarray, split: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Trains one regression of a factor's targets, float [N, T], by least squares; the rest is as in `fit`.

    Returns:
        The gains of the units, [K], and the predicted targets, [N, T].
    """
    orders = _orders(ranks, seed)
    values = max(len(np.unique(unit)) for unit in ranks[:split].T)
    datasets = _datasets(ranks, orders, split, seed, split <= EXACT_ROWS or values <= BINS) if values > 1 else []
    mean, deviation = targets[:split].mean(axis=0), targets[:split].std() or 1.0
    target = (targets[:split] - mean) / deviation
    problem = Problem(target, np.zeros(len(mean)), lambda scores: scores, np.ones_like)
    gains, scores = _boosted(datasets, orders, ranks, problem, RATE, threading.Lock())
    return gains, mean + deviation * scores


def _orders(ranks: np.ndarray, seed: int) -> np.ndarray:
    """The order of the units in every booster, [BOOSTERS, K]."""
    return np.random.default_rng(seed).permuted(np.tile(np.arange(ranks.shape[1]), (BOOSTERS, 1)), axis=1)


def _boosted(
    datasets: list["Dataset"],
    orders: np.ndarray,
    ranks: np.ndarray,
    problem: Problem,
    rate: float,
    lock: threading.Lock,
) -> tuple[np.ndarray, np.ndarray]:
    """Gains [K] and scores [N, T]. A round has one tree a target, which fits what is left of it by Newton steps."""
    import lightgbm

    split, trees = problem.target.shape
    scores = np.tile(problem.start, (len(ranks), 1))
    with lock:  # a data set stores the parameters of the booster that takes it
        boosters = [lightgbm.Booster({**(data.params or {}), "num_class": trees}, data) for data in datasets]
    for step in range(ROUNDS if boosters else 0):
        turn, number = divmod(step, BOOSTERS)
        residual = problem.target - problem.mean(scores[:split])
        slope = -residual[:, 0] if trees == 1 else -residual
        if boosters[number].update(fobj=lambda *_, slope=slope: (slope, np.ones_like(slope))):
            break  # nothing left to split
        codes, predict = ranks[:, orders[number]], boosters[number].predict
        leaves = predict(codes, start_iteration=turn, num_iteration=1, pred_leaf=True, num_threads=1)
        leaves = np.asarray(leaves).reshape(len(ranks), trees).astype(np.int64) + LEAVES * np.arange(trees)
        scores += rate * _newton_steps(leaves[:split], residual, problem.curvature(residual))[leaves]
    gains = np.zeros(ranks.shape[1])
    for booster, order in zip(boosters, orders[: len(boosters)], strict=True):
        gains[order] += booster.feature_importance("gain")
    return gains, scores


def _newton_steps(leaves: np.ndarray, residual: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The step of every leaf, [trees * LEAVES]: the sum of its residuals over the sum of their curvatures."""
    count = LEAVES * residual.shape[1]
    slopes, curvatures = (np.bincount(leaves.ravel(), each.ravel(), count) for each in (residual, curvature))
    steps = np.divide(slopes, curvatures, out=np.zeros_like(slopes), where=curvatures > 1e-150)
    return np.clip(steps, -MAX_STEP, MAX_STEP)
