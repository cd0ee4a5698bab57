"""Total AUROC difference (Yeats et al. 2022, NashAE): the score of CelebA papers."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from scaledis.metrics.shared.information import Information, best_and_second, share
from scaledis.metrics.shared.rows import checked

CAPTURED = 0.75
CHANCE = {"tad": None}  # by permutations; it has no upper bound, so no SCORES


def compute(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, redundancy: float | None = None
) -> dict[str, Any]:
    """TAD: over the binary factors that some unit captures, how far the best unit's AUROC leads the second best.

        TAD = sum over binary k with a_first(k) >= 0.75 of a_first(k) - a_second(k),   a_j = max(AUROC, 1 - AUROC)

    The papers' code reads the AUROC from 100 thresholds between a unit's ends, so that one outlier ruins it, and gives
    0.5 to a unit of range 0.2 or less. Here it comes from ranks, with ties shared; a constant unit has 0.5. With one
    unit the second best is chance, 0.5. All protocols are one.

    Args:
        codes: float [N, K].
        factors: int [N, F]; those with other than two classes are passed over.
        seed: unused, nothing here is random.
        redundancy: the papers drop attributes that others tell of (0.2 in their notebook). A binary factor is dropped
            if an earlier one that stays tells more than this share of its entropy; None drops none.

    Returns:
        `tad`, between 0 and half the number of binary factors, or None without a binary factor; `captured`, how many
        count; `auroc_per_factor` [F], of the best unit; `redundant`, the binary factors that were dropped; `warnings`.

    Raises:
        UserError: codes or factors that `checked` refuses.
    """
    codes, factors = checked(codes, factors)
    binary = np.array([len(np.unique(factor)) == 2 for factor in factors.T])
    redundant = [] if redundancy is None else _redundant(factors, np.flatnonzero(binary), redundancy)
    counts = binary & ~np.isin(np.arange(len(binary)), redundant)
    areas = np.stack([_areas(codes, factor == factor.max()) for factor in factors.T], axis=1)
    best, second = best_and_second(areas, floor=0.5)
    captured = counts & (best >= CAPTURED)
    return {
        "tad": float((best - second)[captured].sum()) if binary.any() else None,
        "captured": int(captured.sum()),
        "auroc_per_factor": np.where(binary, best, 0.5),
        "redundant": redundant,
        "warnings": [] if binary.any() else ["tad: no factor has two classes"],
    }


def _areas(codes: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The area under the curve of every unit, [K], for `positive` rows against the others; at least 0.5."""
    n = positive.sum()
    if n in (0, len(positive)):
        return np.full(codes.shape[1], 0.5)
    sums = rankdata(codes, axis=0)[positive].sum(axis=0)
    area = (sums - n * (n + 1) / 2) / (n * (len(positive) - n))
    return np.maximum(area, 1 - area)


def _redundant(factors: np.ndarray, binary: np.ndarray, redundancy: float) -> list[int]:
    table = Information(factors.astype(float), factors).table(bins=2)
    told = share(table.nats, table.factor_entropies)
    kept: list[int] = []
    dropped: list[int] = []
    for factor in binary.tolist():
        (dropped if any(told[other, factor] > redundancy for other in kept) else kept).append(factor)
    return dropped
