"""The codes of a data set's images, and codes that move."""

import numpy as np

from scaledis.core.chunks import chunked, joined
from scaledis.datasets import Dataset
from scaledis.types import Codes, Model

READ = 512  # images
DEAD = 0.1  # nats: a unit with less KL says nothing about the image


def encode_images(model: Model, dataset: Dataset, index: np.ndarray) -> Codes:
    """Codes of the images at `index` [n], of which `READ` are in memory at once."""
    parts = [model.encode(dataset.images(chunk)) for chunk in chunked(index, READ)]
    mean, log_variance = (joined([part[place] for part in parts], len(index)) for place in (0, 1))
    return Codes(mean, log_variance, parts[0].levels)


def traversed(mean: np.ndarray, low: float = -3.0, high: float = 3.0, steps: int = 7) -> np.ndarray:
    """Codes [..., K, steps, K] that move each unit of posterior means [..., K] from `low` to `high`, the rest kept."""
    mean = np.asarray(mean, np.float32)
    units = np.arange(mean.shape[-1])
    moved = np.tile(mean[..., None, None, :], (len(units), steps, 1))
    moved[..., units, :, units] = np.linspace(low, high, steps)
    return moved
