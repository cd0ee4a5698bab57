"""Distance to the factorized support (Roth et al. 2023)."""

from itertools import combinations

import numpy as np

from scaledis.metrics.shared.rows import checked_codes, standardized
from scaledis.metrics.shared.spec import ROWS, Result, Spec

SPEC = Spec(intervals={"fos": ROWS, "fos_per_pair": ROWS})
BATCH, BATCHES = 64, 16


def compute(codes: np.ndarray, factors: np.ndarray | None = None, seed: int = 0) -> Result:
    """Returns the squared Hausdorff distance between codes and their factorized support, summed over pairs of units.

        FOS = sum_{a < b} max_{i, j} min_l (z_ia - z_la)^2 + (z_jb - z_lb)^2

    over batches of 64 rows; 0 if every value of one unit occurs with every value of the other. The published code takes
    batches in the order of the data set and codes as given. Here the mean is over 16 random batches, and units are
    standardized, since the distance grows with their scale. All protocols agree. There is no chance level without
    factors; independent units have a distance above 0 too, that of 64 rows to all pairs of their values.

    Args:
        factors: ignored.
        seed: seeds the batches.

    Returns:
        `fos`, the sum over pairs; `fos_per_pair`, the mean. Both are at least 0, and 0 if fewer than two units vary.
    """
    codes = checked_codes(codes)
    units = standardized(codes)[:, np.ptp(codes, axis=0) > 0]
    pairs = list(combinations(range(units.shape[1]), 2))
    rng = np.random.default_rng(seed)
    order = [rng.permutation(len(units))[:BATCH] for _ in range(BATCHES)]
    distances = np.array([[pair_distance(units[rows][:, pair]) for pair in pairs] for rows in order])
    total = float(distances.sum(axis=1).mean()) if pairs else 0.0
    return {"fos": total, "fos_per_pair": total / max(len(pairs), 1)}


def pair_distance(points: np.ndarray) -> float:
    """The squared distance between `points` [B, 2] and the farthest point of their factorized support."""
    first, second = ((column[:, None] - column) ** 2 for column in points.T)  # [B, B], from a value to every row
    return float((first[:, None] + second[None]).min(axis=2).max())
