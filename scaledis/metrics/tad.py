"""Total AUROC difference (Yeats et al. 2022, NashAE), the score of papers on CelebA."""

import numpy as np
from scipy.stats import rankdata

from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.information import Information, best_and_second
from scaledis.metrics.shared.labels import Labels, of_classes
from scaledis.metrics.shared.rows import checked, commonest, counted
from scaledis.metrics.shared.spec import COMPONENT, ROWS, Result, Spec

SPEC = Spec(chance={"tad": None}, intervals={"tad": ROWS}, groups=COMPONENT)
CAPTURED = 0.75


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    redundancy: float | None = None,
    labels: Labels | None = None,
) -> Result:
    """Returns TAD: the lead of the best unit's AUROC over the second best, summed over captured binary factors.

        TAD = sum over binary k with a_first(k) >= 0.75 of a_first(k) - a_second(k),   a_j = max(AUROC, 1 - AUROC)

    The papers' code reads the AUROC from 100 thresholds between the extremes of a unit, so that one outlier invalidates
    it, and gives 0.5 to a unit of range 0.2 or less. Here the AUROC comes from ranks, with ties shared. A constant unit
    has 0.5, as has the second best of a single unit. All protocols agree.

    Args:
        factors: int [N, F]; factors with more than two classes are ignored.
        redundancy: a binary factor is dropped if an earlier one that stays knows more than this share of its entropy
            (0.2 in the papers' notebook); None: no factor is dropped.

    Returns:
        `tad`, from 0 to half the number of binary factors, or None without a binary factor; `captured`, the number of
        factors in the sum; `auroc_per_factor` [F], of the best unit; `redundant`, the binary factors that were dropped.
    """
    codes, factors = checked(codes, factors)
    binary = np.array([len(counted(factor)[0]) == 2 for factor in factors.T])
    redundant = [] if redundancy is None else _redundant(factors, np.flatnonzero(binary), redundancy)
    counts = binary & ~np.isin(np.arange(len(binary)), redundant)
    there = (factors != MISSING).T
    areas = [_areas(codes[rows], factor[rows] == factor.max()) for factor, rows in zip(factors.T, there, strict=True)]
    best, second = best_and_second(np.stack(areas, axis=1), floor=0.5)
    captured = counts & (best >= CAPTURED)
    score = float((best - second)[captured].sum()) if binary.any() else None
    numbers = (labels or of_classes(factors)).numbers
    found: Result = {"tad": score, "captured": int(captured.sum()), "auroc_per_factor": np.where(binary, best, 0.5)}
    return found | {
        "redundant": [numbers[each] for each in redundant],
        "warnings": [] if binary.any() else ["tad: no factor has two classes"],
    }


def _areas(codes: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The area under the ROC curve of every unit, [K], for `positive` rows against the others; at least 0.5."""
    n = positive.sum()
    if n in (0, len(positive)):
        return np.full(codes.shape[1], 0.5)
    sums = rankdata(codes, axis=0)[positive].sum(axis=0)
    area = (sums - n * (n + 1) / 2) / (n * (len(positive) - n))
    return np.asarray(np.maximum(area, 1 - area))


def _redundant(factors: np.ndarray, binary: np.ndarray, redundancy: float) -> list[int]:
    filled = np.where(factors == MISSING, commonest(factors), factors)
    told = Information(filled, factors).table(bins=2).shares
    kept: list[int] = []
    dropped: list[int] = []
    for factor in binary.tolist():
        (dropped if any(told[other, factor] > redundancy for other in kept) else kept).append(factor)
    return dropped
