"""Mean correlation coefficient, the score of identifiability (Hyvarinen & Morioka 2016; Khemakhem et al. 2020)."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from scaledis.metrics.shared.rows import checked, standardized
from scaledis.metrics.shared.spec import COMPONENT, ROWS, Result, Spec

SPEC = Spec(("pearson", "spearman"), intervals={"pearson": ROWS, "spearman": ROWS}, groups=COMPONENT)


def compute(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> Result:
    """Returns the mean absolute correlation of factors with units under the best one-to-one matching.

        MCC = max over one-to-one matchings m of (1 / F) sum_k |corr(z_m(k), v_k)|

    Class numbers are taken as amounts. Public code needs K = F and returns NaN for a constant unit. Here a constant
    unit has correlation 0, factors without a unit count 0, and of more units than factors the best F are matched. All
    protocols agree.

    Returns:
        `pearson` and `spearman` (of ranks) in [0, 1], each with its own matching; `pearson_per_factor` and
        `spearman_per_factor` [F]; `matching`, the unit of each factor under `pearson`, or None.
    """
    codes, factors = checked(codes, factors)
    pearson, units = _matched(codes, factors)
    spearman, _ = _matched(rankdata(codes, axis=0), rankdata(factors, axis=0))
    scores: Result = {"pearson": float(pearson.mean()), "spearman": float(spearman.mean())}
    return scores | {"pearson_per_factor": pearson, "spearman_per_factor": spearman, "matching": units}


def correlations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Absolute Pearson correlation of every column of codes [N, K] with every column of factors [N, F], [K, F]."""
    products = standardized(codes).T @ standardized(factors.astype(float)) / len(codes)
    return np.asarray(np.minimum(np.abs(products), 1))


def _matched(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, list[int | None]]:
    """The correlation of each factor with its unit, [F], and that unit."""
    found = correlations(codes, factors)
    units, matched = linear_sum_assignment(found, maximize=True)
    scores = np.zeros(factors.shape[1])
    scores[matched] = found[units, matched]
    unit_of = dict(zip(matched.tolist(), units.tolist(), strict=True))
    return scores, [unit_of.get(factor) for factor in range(factors.shape[1])]
