"""Interventional robustness (Suter et al. 2019)."""

import numpy as np

from scaledis.metrics.shared import arguments, information, rows
from scaledis.metrics.shared.spec import COMPONENT, ROWS, Result, Spec

SPEC = Spec(("irs",), intervals={"irs": ROWS}, groups=COMPONENT)
QUANTILE = 0.99


def compute(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, quantile: float | None = None, protocol: str = "scaledis"
) -> Result:
    """Returns IRS: how little a unit changes while its best factor is fixed and all others change.

        IRS = sum_j w_j max_k (1 - E_c[Q(|z_j - E[z_j | v_k = c]| given v_k = c)] / m_j),   m_j = max |z_j - E z_j|

    with weights w_j proportional to m_j, and Q a quantile of the deviations.

    Protocols: by default units are standardized and Q is the 99th percentile. `library` does not standardize, so that a
    unit times 100 decides alone, and cuts factors into 20 bins as the settings of disentanglement_lib do. Public code
    that does not cut factors differs by 0.01 to 0.02 where one has more than 20 values; 10,000 rows differ from 15,000
    by 0.01, since the largest deviation grows with the number of rows. `paper` standardizes and takes the maximum, as
    Suter et al. define it. With two factors merged in one unit of larger scale `library` scores 0.81, the others 0.88.

    Args:
        quantile: the order of Q, from 0 to 1; None: 0.99, or 1 under `paper`.

    Returns:
        `irs` in [0, 1], 0 if no unit varies; `per_unit`, a list of K, None for a unit without variance; `robustness`
        [K, F], the parenthesis above.
    """
    codes, factors = rows.checked(codes, factors)
    varies = np.ptp(codes, axis=0) > 0
    if protocol == "library":
        factors = information.binned_classes(factors)
    else:
        codes = rows.standardized(codes)
    arguments.check("quantile", quantile, float | None, 0, 1)
    level = quantile if quantile is not None else 1 if protocol == "paper" else QUANTILE
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    moved = np.stack([_deviation(codes, factor, level) for factor in factors.T], axis=1)
    robustness = np.where(varies[:, None], 1 - moved / np.where(varies, largest, 1)[:, None], 0)
    robustness = np.maximum(robustness, 0)  # a class far from the mean can deviate by more than all rows together
    best = robustness.max(axis=1)
    score = float(np.average(best[varies], weights=largest[varies])) if varies.any() else 0.0
    return {"irs": score, "per_unit": rows.or_none(best, varies), "robustness": robustness}


def _deviation(codes: np.ndarray, factor: np.ndarray, level: float) -> np.ndarray:
    """The mean over classes of the quantile `level` of |z_j - its mean in the class|, [K]."""
    deviations = []
    for value in rows.counted(factor)[0]:
        inside = codes[factor == value]
        deviations.append(np.quantile(np.abs(inside - inside.mean(axis=0)), level, axis=0))
    return np.asarray(np.mean(deviations, axis=0))
