"""Whether higher levels move more of an image: the part of "level" that needs a decoder."""

from typing import Any

import numpy as np
from scipy import stats

from scaledis.datasets import Dataset
from scaledis.metrics.of_models.shared import coding
from scaledis.objectives import gaussian
from scaledis.types import Codes, Model

LOW, HIGH, STEPS = -2.0, 2.0, 5  # of a traversal
IMAGES = 64
MOVED = 4 / 255  # a pixel that changes by more has moved


def compute(
    model: Model, dataset: Dataset, index: np.ndarray, codes: Codes, seed: int = 0, *, images: int = IMAGES
) -> dict[str, Any]:
    """Kendall's tau between a unit's height in the ladder and how much of the image its traversal moves.

    Each unit of more than 0.1 nats goes from -2 to 2 in five steps on the first images, the others at their posterior
    means. The change of a pixel is its largest value along the way minus its least.

        order = tau_b(height_j, mean over images of the share of pixels with a channel that changes by > 4 of 255)
        order_change = tau_b(height_j, mean over images, pixels and channels of the change)

    Args:
        model, dataset, index, codes: the images at `index` [N] and their codes.
        seed: unused.
        images: how many of them are traversed.

    Returns:
        `order` and `order_change` in [-1, 1], positive where higher levels move more. Units of one level are ties, so
        that tau-b stays below 1 where levels have several units (0.82 for two levels of two). None with fewer than two
        levels that are alive. `moved_per_unit` [K] shares, `change_per_unit` [K] of 255 levels; `warnings`.
    """
    start = codes.mean[:images]
    count, units = start.shape
    alive = np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0) > coding.DEAD
    moved, change = np.zeros(units), np.zeros(units)
    for unit, swept in enumerate(coding.traversed(start, LOW, HIGH, STEPS).swapaxes(0, 1)):  # [n, S, K]
        decoded = model.decode(swept.reshape(-1, units))
        reach = np.ptp(decoded.reshape(count, STEPS, *decoded.shape[1:]), axis=1)
        moved[unit], change[unit] = (reach.max(axis=-1) > MOVED).mean(), 255 * reach.mean()
    several = len(np.unique(codes.levels[alive])) > 1
    return {
        "order": tau(-codes.levels[alive], moved[alive]),
        "order_change": tau(-codes.levels[alive], change[alive]),
        "moved_per_unit": moved.tolist(),
        "change_per_unit": change.tolist(),
        "warnings": [] if several else ["order: fewer than two levels have a unit of more than 0.1 nats"],
    }


def tau(heights: np.ndarray, amounts: np.ndarray) -> float | None:
    """Kendall's tau-b; None where either is the same for all units."""
    if len(heights) < 2 or not np.ptp(heights) or not np.ptp(amounts):
        return None
    return float(stats.kendalltau(heights, amounts).statistic)
