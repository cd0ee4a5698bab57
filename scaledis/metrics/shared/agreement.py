"""Agreement between runs of one setting, which ranks models without factors (UDR, Duan et al. 2020)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from scaledis.core import UserError, convert, registry
from scaledis.metrics.shared.spec import Result

THRESHOLD = 0.01  # nats of KL, above which a unit is informative
PENALTY = 0.1  # of the Lasso


def lasso(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """abs of the coefficients [A, B] that predict every unit of `second` [N, B] from all units of `first` [N, A]."""
    from sklearn.linear_model import Lasso

    return np.asarray(np.abs(Lasso(alpha=PENALTY).fit(first, second).coef_).reshape(second.shape[1], first.shape[1]).T)


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """abs of the rank correlation of every unit of `first` [N, A] and every unit of `second` [N, B], [A, B]."""
    return np.asarray(np.abs(rank_scores(first).T @ rank_scores(second) / len(first)))


def rank_scores(codes: np.ndarray) -> np.ndarray:
    """The ranks of `codes` [N, K] with mean 0 and standard deviation 1: a product over N is a rank correlation."""
    return _standardized(rankdata(codes, axis=0))


SIMILARITIES = {"lasso": lasso, "spearman": spearman}
PROTOCOLS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {  # from scores [B] and [A] of two sets of units
    "library": lambda second, first: float(np.mean([second.mean(), first.mean()])),
    "paper": lambda second, first: float((second.sum() + first.sum()) / (len(second) + len(first))),
}


def udr(
    codes: Sequence[np.ndarray], kl: Sequence[np.ndarray], threshold: float = THRESHOLD, protocol: str = "library"
) -> Result:
    """Returns the unsupervised disentanglement ranking: how far a run finds the units of other runs, one for one.

    For runs a and b with similarities R [K_a, K_b] of their informative units,

        UDR_ab = 1 / (d_a + d_b) [sum_j max_i R_ij^2 / sum_i R_ij + sum_i max_j R_ij^2 / sum_j R_ij]

    The score of a run is the median over the other runs, which differ from it in their seeds; the Lasso predicts its
    units from theirs. `protocol="paper"` is the formula above; `library` averages the means of the two sums, which is
    equal for equal numbers of units. Spearman's correlation detects any monotone relation; the penalty of the Lasso
    subtracts 0.1 from a perfect 1.

    Args:
        codes: the posterior means [N, K_r] of R runs for the same N images; the numbers of units may differ.
        kl: the mean KL to the prior of the units of each run, [K_r], in nats.
        threshold: units with more nats are informative; the others are left out.
        protocol: one of `PROTOCOLS`.

    Returns:
        `lasso` and `spearman`, each a list of R scores in [0, 1]; `lasso_pairs` and `spearman_pairs`, the R scores of
        pairs behind each of them, None for the run itself; `informative_units`, the number in each run. A pair scores 0
        if one of its runs has none.

    Raises:
        UserError: fewer than two runs, runs of different images, codes without two axes or not finite, a KL that does
            not fit or is NaN, an unknown protocol.
    """
    combine = registry.choose("protocol", protocol, PROTOCOLS)
    runs = [_standardized(run[:, nats > threshold]) for run, nats in zip(*_checked(codes, kl), strict=True)]

    def pair(first: np.ndarray, second: np.ndarray, similarity: Callable[..., np.ndarray]) -> float | None:
        if first is second:
            return None
        if not first.shape[1] or not second.shape[1]:
            return 0.0
        strengths = similarity(first, second)
        return float(combine(_of_columns(strengths), _of_columns(strengths.T)))

    found: Result = {"informative_units": [run.shape[1] for run in runs]}
    for name, similarity in SIMILARITIES.items():
        pairs = [[pair(other, run, similarity) for other in runs] for run in runs]
        found[name] = [float(np.median([score for score in row if score is not None])) for row in pairs]
        found[f"{name}_pairs"] = pairs
    return found


def _of_columns(strengths: np.ndarray) -> np.ndarray:
    """max^2 / sum of every column of [A, B]: 1 for one entry of 1; 0 for an empty column."""
    mass = strengths.sum(axis=0)
    return np.asarray(np.divide(strengths.max(axis=0) ** 2, mass, out=np.zeros_like(mass), where=mass > 0))


def _standardized(codes: np.ndarray) -> np.ndarray:
    """`codes` [N, K] with mean 0 and standard deviation 1; a unit without variance is 0."""
    centered = codes - codes.mean(axis=0)
    deviations = centered.std(axis=0)
    return np.asarray(np.divide(centered, deviations, out=np.zeros_like(centered), where=deviations > 0))


def _checked(codes: Sequence[np.ndarray], kl: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    runs = [convert.numbers("codes", convert.aligned("codes", run, codes[0])).astype(np.float64) for run in codes]
    nats = [convert.numbers("kl", units).astype(np.float64) for units in kl]
    if len(runs) < 2 or len(runs) != len(nats):
        raise UserError(f"codes, kl: {len(runs)} and {len(nats)} runs must be as many of each, at least 2.")
    if any(run.ndim != 2 for run in runs) or len({len(run) for run in runs}) > 1:
        shapes = ", ".join(str(run.shape) for run in runs)
        raise UserError(f"codes: shapes {shapes} must be [N, K] of the same N images in every run.")
    for number, (run, units) in enumerate(zip(runs, nats, strict=True)):
        if not np.isfinite(run).all():
            raise UserError(f"codes: run {number} has entries that are NaN or infinite")
        if np.isnan(units).any():
            raise UserError(f"kl: unit {np.flatnonzero(np.isnan(units))[0]} of run {number} has NaN nats")
        if units.shape != run.shape[1:]:
            raise UserError(f"kl: shape {units.shape} in run {number} must be {run.shape[1:]}, one per unit.")
    return runs, nats
