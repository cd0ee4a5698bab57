"""Whether higher levels change more of an image: the part of "level" that needs a decoder (ours)."""

import numpy as np
from scipy import stats

from scaledis.datasets import Dataset
from scaledis.metrics.of_models.shared import coding
from scaledis.metrics.shared import arguments
from scaledis.metrics.shared.spec import Result
from scaledis.model import Model
from scaledis.types import Codes

IMAGES = 64
MOVED = 4 / 255  # the change of a pixel, above which it has moved


def compute(
    model: Model, dataset: Dataset, index: np.ndarray, codes: Codes, seed: int = 0, *, images: int = IMAGES
) -> Result:
    """Returns Kendall's tau between a unit's height in the ladder and how much of the image its traversal changes.

    Each unit of more than 0.1 nats moves from -2 to 2 in five steps on the first images, with the others at their
    posterior means. The change of a pixel is the difference of its largest and its least value along the traversal.

        order = tau_b(height_j, mean over images of the share of pixels with a channel that changes by > 4 of 255)
        order_change = tau_b(height_j, mean over images, pixels and channels of the change)

    Args:
        model, dataset, index, codes: the images at `index` [N] and their codes.
        seed: ignored.
        images: the number of images that are traversed.

    Returns:
        `order` and `order_change` in [-1, 1], positive if higher levels change more. Units of one level are ties, so
        that tau-b is below 1 if levels have several units (at most 0.82 for two levels of two). None if fewer than two
        levels have a unit above 0.1 nats. `moved_per_unit` [K] shares, `change_per_unit` [K] of 255; `warnings`.
    """
    arguments.check("images", images, int, 1)
    start, alive = codes.mean[:images], coding.alive(codes)
    moved, change = np.zeros(len(alive)), np.zeros(len(alive))
    for unit in range(len(alive)):
        decoded = coding.decoded_traversal(model, start, unit)
        reach = np.ptp(decoded.reshape(len(start), coding.STEPS, *decoded.shape[1:]), axis=1)
        moved[unit], change[unit] = (reach.max(axis=-1) > MOVED).mean(), 255 * reach.mean()
    heights = -codes.levels[alive]
    several = len(np.unique(heights)) > 1
    return {
        "order": tau(heights, moved[alive]),
        "order_change": tau(heights, change[alive]),
        "moved_per_unit": moved.tolist(),
        "change_per_unit": change.tolist(),
        "warnings": [] if several else ["order: fewer than two levels have a unit of more than 0.1 nats"],
    }


def tau(heights: np.ndarray, amounts: np.ndarray) -> float | None:
    """Kendall's tau-b; None if either argument is constant."""
    if len(heights) < 2 or not np.ptp(heights) or not np.ptp(amounts):
        return None
    return float(stats.kendalltau(heights, amounts).statistic)
