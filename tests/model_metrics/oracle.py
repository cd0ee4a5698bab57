"""Models whose answers are known: images that hold their factors, a decoder that renders them, no training."""

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from scaledis.datasets import Dataset
from scaledis.model import Model
from scaledis.types import Codes
from tests import tiny

SIZES = (10, 10, 10, 8, 4, 15)  # those of `rendered`


def dataset(sizes: tuple[int, ...] = SIZES) -> Dataset:
    """A full grid whose images have one pixel, with a channel for each factor."""

    def gather(source, index):
        return jnp.stack(jnp.unravel_index(index, sizes), axis=-1)[:, None, None].astype(jnp.uint8)

    names = tuple(f"factor{k}" for k in range(len(sizes)))
    return Dataset("factors", names, tuple(map(np.arange, sizes)), (1, 1, len(sizes)), jnp.zeros(()), gather)


def model(data: Dataset, rotation: np.ndarray | None = None, levels=None) -> Model:
    """A standard normal unit for each factor, whose quantiles are its values; the units are turned by Q [F, F].

    z = v Q^T, v = z Q: without a rotation each unit moves its own factor through all values, and no other.
    """
    sizes = np.asarray(data.factor_sizes)
    turn = np.eye(len(sizes)) if rotation is None else rotation

    def encode(images: np.ndarray) -> Codes:
        mean = (ndtri((images[:, 0, 0] + 0.5) / sizes) @ turn.T).astype(np.float32)
        return Codes(mean, np.full_like(mean, -6), np.zeros(len(sizes), int) if levels is None else np.asarray(levels))

    def decode(codes: np.ndarray) -> np.ndarray:
        factors = np.floor(ndtr(codes @ turn) * sizes).clip(0, sizes - 1)
        return factors[:, None, None].astype(np.float32) / 255

    return Model(tiny.config(), 0, None, encode, decode)


def classify(data: Dataset):
    """The exact classifiers: every factor with certainty."""

    def probabilities(images: np.ndarray) -> list[np.ndarray]:
        factors = np.rint(255 * images[:, 0, 0]).astype(int)
        return [np.eye(size)[factors[:, k]] for k, size in enumerate(data.factor_sizes)]

    return probabilities
