"""Mean correlation coefficient, the score of identifiability (Hyvarinen & Morioka 2016; Khemakhem et al. 2020)."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from scaledis.metrics.shared.labels import ANGLE, Labels, of_classes
from scaledis.metrics.shared.rows import checked, standardized
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, Part, Result, Scores, Spec

SPEC = Spec(("pearson", "spearman"), intervals={"pearson": ROWS, "spearman": ROWS}, groups=COMPONENT, kinds=ALL_KINDS)
COLLINEAR = 1e-9  # ratio of eigenvalues below which cosine and sine lie on one line, as those of two angles do


def compute(codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, labels: Labels | None = None) -> Result:
    """Returns the mean absolute correlation of factors with units under the best one-to-one matching.

        MCC = max over one-to-one matchings m of (1 / F) sum_k |corr(z_m(k), v_k)|

    Class numbers are taken as amounts. The correlation with an angle is that with its cosine and sine together (Mardia
    1976). Public code needs K = F and returns NaN for a constant unit. Here a constant unit has correlation 0, factors
    without a unit count 0, and of more units than factors the best F are matched. All protocols agree.

    Returns:
        `pearson` and `spearman` (of ranks) in [0, 1], each with its own matching; `pearson_per_factor` and
        `spearman_per_factor` [F]; `matching` [F], the unit of each factor under `pearson`, or None.
    """
    codes, factors = checked(codes, factors)
    known = labels or of_classes(factors)

    def scores(codes: np.ndarray, classes: np.ndarray, amounts: np.ndarray) -> Result:
        drawn = known._replace(classes=classes, amounts=amounts)
        pearson, units = _matched(correlations(codes, drawn))
        spearman, _ = _matched(correlations(codes, drawn, of_ranks=True))
        found: Result = {"pearson": float(pearson.mean()), "spearman": float(spearman.mean())}
        return found | {"pearson_per_factor": pearson, "spearman_per_factor": spearman, "matching": units}

    arrays = codes, known.classes, known.amounts
    return Scores(scores(*arrays), {ROWS: Part(scores, arrays, known.there)})


def correlations(codes: np.ndarray, known: Labels, of_ranks: bool = False) -> np.ndarray:
    """Absolute correlation of every unit of [N, K] with every factor over the rows with its label, [K, F]."""
    columns = []
    for there, amounts, kind in zip(known.there.T, known.amounts.T, known.kinds, strict=True):
        units, labels = codes[there], amounts[there, None]
        if of_ranks:
            units, labels = rankdata(units, axis=0), labels if kind == ANGLE else rankdata(labels, axis=0)
        columns.append(_with_angle(units, labels) if kind == ANGLE else _products(units, labels)[:, 0])
    return np.asarray(np.minimum(np.abs(np.stack(columns, axis=1)), 1))


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The correlations of the columns of two arrays."""
    return np.asarray(standardized(left).T @ standardized(right) / len(left))


def _with_angle(units: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The multiple correlation of every unit of [n, K] with cosine and sine of angles [n, 1], [K]."""
    circle = np.hstack([np.cos(angles), np.sin(angles)])
    with_circle, within = _products(units, circle), _products(circle, circle)  # [K, 2], [2, 2]
    squares = (with_circle @ np.linalg.pinv(within, COLLINEAR, hermitian=True) * with_circle).sum(axis=1)
    return np.asarray(np.sqrt(np.clip(squares, 0, 1)))


def _matched(found: np.ndarray) -> tuple[np.ndarray, np.ma.MaskedArray]:
    """The correlation of each factor with its unit, [F], and that unit, masked without one, by correlations [K, F]."""
    units, matched = linear_sum_assignment(found, maximize=True)
    scores, unit_of = np.zeros(found.shape[1]), np.ma.array(np.zeros(found.shape[1], int), mask=True)
    scores[matched], unit_of[matched] = found[units, matched], units
    return scores, unit_of
