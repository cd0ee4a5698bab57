"""Mean correlation coefficient, the score of identifiability (Hyvarinen & Morioka 2016; Khemakhem et al. 2020)."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from scaledis.metrics.shared.rows import checked, standardized

SCORES = ("pearson", "spearman")


def compute(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Mean absolute correlation of factors with units after the best matching of one unit to one factor.

        MCC = max over one-to-one matchings m of (1 / F) sum_k |corr(z_m(k), v_k)|

    Public code needs K = F and gives NaN for a constant unit. Here a constant unit correlates 0, factors beyond the
    number of units count 0, and of more units than factors the best F count. Class numbers are read as an order.
    All protocols are one.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: unused, nothing here is random.

    Returns:
        `pearson` and `spearman` (of ranks) in [0, 1], each with its own matching; `pearson_per_factor` and
        `spearman_per_factor` [F]; `matching`, for each factor its unit under `pearson`, or None.

    Raises:
        UserError: codes or factors that `checked` refuses.
    """
    codes, factors = checked(codes, factors)
    pearson, units = _matched(codes, factors)
    spearman, _ = _matched(rankdata(codes, axis=0), rankdata(factors, axis=0))
    return {
        "pearson": float(pearson.mean()),
        "spearman": float(spearman.mean()),
        "pearson_per_factor": pearson,
        "spearman_per_factor": spearman,
        "matching": units,
    }


def correlations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Absolute Pearson correlation of every column of codes [N, K] with every one of factors [N, F], [K, F]."""
    products = standardized(codes).T @ standardized(factors.astype(float)) / len(codes)
    return np.minimum(np.abs(products), 1)


def _matched(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, list[int | None]]:
    """The correlation of each factor with its unit, [F], and that unit."""
    found = correlations(codes, factors)
    units, matched = linear_sum_assignment(found, maximize=True)
    scores = np.zeros(factors.shape[1])
    names: list[int | None] = [None] * factors.shape[1]
    for unit, factor in zip(units.tolist(), matched.tolist(), strict=True):
        scores[factor], names[factor] = found[unit, factor], unit
    return scores, names
