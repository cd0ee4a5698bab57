"""Images to codes and codes to images, in chunks of one shape, so that each is compiled once."""

import numpy as np

from scaledis.datasets import Dataset
from scaledis.population import Model
from scaledis.types import Codes

ENCODED, DECODED = 500, 64  # images at once
DEAD = 0.1  # nats: a unit with less KL says nothing about the image


def encode_images(model: Model, dataset: Dataset, index: np.ndarray) -> Codes:
    """Codes of the images at `index` [n]: mean and log_variance [n, K] as numpy arrays."""
    chunks = [index[start : start + ENCODED] for start in range(0, len(index), ENCODED)]
    parts = [model.encode(dataset.images(np.resize(chunk, ENCODED))) for chunk in chunks]
    mean, log_variance = (
        np.concatenate([np.asarray(getattr(part, name)) for part in parts])[: len(index)]
        for name in ("mean", "log_variance")
    )
    return Codes(mean, log_variance, parts[0].levels)


def decode_codes(model: Model, codes: np.ndarray) -> np.ndarray:
    """Expected images [n, H, W, C] in [0, 1] of codes [n, K]."""
    chunks = [codes[start : start + DECODED] for start in range(0, len(codes), DECODED)]
    return np.concatenate([model.decode(np.resize(chunk, (DECODED, codes.shape[1])))[: len(chunk)] for chunk in chunks])


def traversed(mean: np.ndarray, low: float = -3.0, high: float = 3.0, steps: int = 7) -> np.ndarray:
    """Codes [..., K, steps, K] that move each unit of posterior means [..., K] from `low` to `high`, the rest kept."""
    mean = np.asarray(mean, np.float32)
    units = np.arange(mean.shape[-1])
    moved = np.tile(mean[..., None, None, :], (len(units), steps, 1))
    moved[..., units, :, units] = np.linspace(low, high, steps)
    return moved
