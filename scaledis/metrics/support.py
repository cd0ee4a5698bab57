"""Distance to the factorised support (Roth et al. 2023)."""

from itertools import combinations
from typing import Any

import numpy as np

from scaledis.metrics.shared.rows import checked_codes, standardized

BATCH, BATCHES = 64, 16


def compute(codes: np.ndarray, factors: np.ndarray | None = None, seed: int = 0) -> dict[str, Any]:
    """The squared Hausdorff distance of codes to their factorised support, over pairs of units; no factors are needed.

        FOS = sum_{a < b} max_{i, j} min_l (z_ia - z_la)^2 + (z_jb - z_lb)^2

    over batches of 64 rows; 0 if every value of one unit stands beside every value of the other. The published code
    takes batches in the order of the data set and codes as given. Here the mean is over 16 random batches, and units
    are standardized, since the distance grows with their scale. All protocols are one. Without factors there is no
    chance level: independent units have a distance above 0 too, that of 64 rows to all pairs of their values.

    Args:
        codes: float [N, K].
        factors: unused.
        seed: of the batches.

    Returns:
        `fos`, the sum over pairs; `fos_per_pair`, the mean; both at least 0, and 0 with fewer than two units that vary.

    Raises:
        UserError: codes that `checked` refuses.
    """
    codes = checked_codes(codes)
    units = standardized(codes)[:, np.ptp(codes, axis=0) > 0]
    pairs = list(combinations(range(units.shape[1]), 2))
    rng = np.random.default_rng(seed)
    order = [rng.permutation(len(units))[:BATCH] for _ in range(BATCHES)]
    distances = np.array([[_distance(units[rows][:, pair]) for pair in pairs] for rows in order])
    total = float(distances.sum(axis=1).mean()) if pairs else 0.0
    return {"fos": total, "fos_per_pair": total / max(len(pairs), 1)}


def _distance(points: np.ndarray) -> float:
    """The squared distance of the farthest point of the factorised support from `points` [B, 2]."""
    first, second = ((column[:, None] - column) ** 2 for column in points.T)  # [B, B], from a value to every row
    return float((first[:, None] + second[None]).min(axis=2).max())
