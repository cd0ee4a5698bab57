"""Agreement between runs of one setting, a choice of models that needs no factors (UDR, Duan et al. 2020)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from scaledis.core import convert, registry
from scaledis.core.errors import UserError

THRESHOLD = 0.01  # nats of KL, above which a unit is informative
PENALTY = 0.1  # of the Lasso


def _lasso(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """abs of the coefficients [A, B] that predict every unit of `second` [N, B] from all of `first` [N, A]."""
    from sklearn.linear_model import Lasso

    return np.abs(Lasso(alpha=PENALTY).fit(first, second).coef_).reshape(second.shape[1], first.shape[1]).T


def _spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """abs of the rank correlation of every unit of `first` [N, A] with every one of `second` [N, B], [A, B]."""
    first, second = (_standardized(rankdata(codes, axis=0)) for codes in (first, second))
    return np.abs(first.T @ second / len(first))


def _mean_of_means(strengths: np.ndarray) -> float:
    """disentanglement_lib: the mean over the rows and that over the columns of [A, B], averaged."""
    return float(np.mean([_of_columns(side).mean() for side in (strengths, strengths.T)]))


def _sum_over_units(strengths: np.ndarray) -> float:
    """Duan et al.: the sum over rows and columns of [A, B], over A + B."""
    return float(sum(_of_columns(side).sum() for side in (strengths, strengths.T)) / sum(strengths.shape))


SIMILARITIES = {"lasso": _lasso, "spearman": _spearman}
PROTOCOLS = {"library": _mean_of_means, "paper": _sum_over_units}


def udr(
    codes: Sequence[np.ndarray],
    kl: Sequence[np.ndarray],
    threshold: float = THRESHOLD,
    protocol: str = "library",
) -> dict[str, Any]:
    """Unsupervised disentanglement ranking: does a run find the units that other runs find, one for one?

    For runs a and b with similarities R [K_a, K_b] of their informative units,

        UDR_ab = 1 / (d_a + d_b) [sum_j max_i R_ij^2 / sum_i R_ij + sum_i max_j R_ij^2 / sum_j R_ij]

    A run's score is the median over the other runs, of one population with different seeds; the Lasso predicts it from
    them. The paper's formula is `protocol="paper"`; `library` averages the two means instead, which is the same for
    equal numbers of units. Spearman's correlation sees any monotone relation, the Lasso takes 0.1 of a perfect 1.

    Args:
        codes: of R runs, each the posterior means [N, K_r] of the same N images; the numbers of units may differ.
        kl: for each run the mean KL of its units to the prior, [K_r], in nats.
        threshold: a unit with more nats is informative; others are left out.
        protocol: one of `PROTOCOLS`.

    Returns:
        `lasso` and `spearman`, each a list of R scores in [0, 1]; `lasso_pairs` and `spearman_pairs`, for each run
        the R pairs behind its score, None for itself; `informative_units`, how many each run has. A pair scores 0 if
        one of its runs has none.

    Raises:
        UserError: fewer than two runs, runs of different images, codes without two axes or not finite, a KL that does
            not fit or is NaN, an unknown protocol.
    """
    combine = registry.choose("protocol", protocol, PROTOCOLS)
    runs = [_standardized(run[:, nats > threshold]) for run, nats in zip(*_checked(codes, kl), strict=True)]
    found: dict[str, Any] = {}
    for name, similarity in SIMILARITIES.items():
        pairs = [
            [_pair(other, run, similarity, combine) if other is not run else None for other in runs] for run in runs
        ]
        found[name] = [float(np.median([score for score in row if score is not None])) for row in pairs]
        found[f"{name}_pairs"] = pairs
    return found | {"informative_units": [run.shape[1] for run in runs]}


def _pair(
    first: np.ndarray,
    second: np.ndarray,
    similarity: Callable[[np.ndarray, np.ndarray], np.ndarray],
    combine: Callable[[np.ndarray], float],
) -> float:
    """The score of runs [N, A] and [N, B]; 0 if one of them has no unit."""
    return combine(similarity(first, second)) if first.shape[1] and second.shape[1] else 0.0


def _of_columns(strengths: np.ndarray) -> np.ndarray:
    """max^2 / sum of every column of [A, B]: 1 for one entry of 1; 0 for an empty column."""
    mass = strengths.sum(axis=0)
    return np.divide(strengths.max(axis=0) ** 2, mass, out=np.zeros_like(mass), where=mass > 0)


def _standardized(codes: np.ndarray) -> np.ndarray:
    """`codes` [N, K] with mean 0 and standard deviation 1; a unit without variance is 0."""
    centered = codes - codes.mean(axis=0)
    deviations = centered.std(axis=0)
    return np.divide(centered, deviations, out=np.zeros_like(centered), where=deviations > 0)


def _checked(codes: Sequence[np.ndarray], kl: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    runs = [convert.numbers("codes", convert.aligned("codes", run, codes[0])).astype(np.float64) for run in codes]
    nats = [convert.numbers("kl", units).astype(np.float64) for units in kl]
    if len(runs) < 2 or len(runs) != len(nats):
        raise UserError(f"codes, kl: {len(runs)} and {len(nats)} runs; as many of each, at least 2, are needed")
    if any(run.ndim != 2 for run in runs) or len({len(run) for run in runs}) > 1:
        shapes = ", ".join(str(run.shape) for run in runs)
        raise UserError(f"codes: shapes {shapes}; [N, K] of the same N images in every run are needed")
    for number, (run, units) in enumerate(zip(runs, nats, strict=True)):
        if not np.isfinite(run).all():
            raise UserError(f"codes: run {number} has entries that are NaN or infinite")
        if np.isnan(units).any():
            raise UserError(f"kl: unit {np.flatnonzero(np.isnan(units))[0]} of run {number} has NaN nats")
        if units.shape != run.shape[1:]:
            raise UserError(f"kl: shape {units.shape} in run {number}; one for each of {run.shape[1]} units is needed")
    return runs, nats
