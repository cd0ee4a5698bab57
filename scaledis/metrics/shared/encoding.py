"""Codes of the images of a data set from any encoder."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from scaledis.core import UserError, convert, registry
from scaledis.metrics.shared import arguments

CHUNK = 500  # images encoded at once


class Images(Protocol):
    """A data set as `metrics.evaluate` uses it, such as `scaledis.datasets.Dataset`."""

    @property
    def size(self) -> int: ...

    def images(self, index: np.ndarray) -> np.ndarray: ...

    def factors(self, index: np.ndarray) -> np.ndarray: ...


def encoded(
    encode: Callable[[np.ndarray], object], dataset: Images, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes and log variances, [n, K], of the images at `index`; None if the encoder returns no log variances.

    Raises UserError unless the encoder returns one row of numbers per image.
    """
    parts = []
    for start in range(0, len(index), CHUNK):
        images = dataset.images(index[start : start + CHUNK])
        made = encode(images)
        both = made[:2] if isinstance(made, tuple) else (made,)
        found = tuple(convert.numbers("encode", part) for part in both)
        if any(part.ndim != 2 or len(part) != len(images) for part in found):
            shapes = ", ".join(str(part.shape) for part in found)
            raise UserError(f"encode: {len(images)} images gave {shapes}; one row of codes for each image is needed")
        parts.append(found)
    codes, *log_variances = (np.concatenate(column) for column in zip(*parts, strict=True))
    return codes, log_variances[0] if log_variances else None


def sampled(codes: np.ndarray, log_variances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples of Gaussian posteriors, mean + std * noise; all arrays are [n, K]."""
    return codes + np.exp(0.5 * np.asarray(log_variances)) * rng.normal(size=codes.shape)


def noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Standard normal codes [N, K], which know nothing of the images. No metric draws by their stream."""
    return np.random.default_rng([seed, *b"noise"]).standard_normal(shape)


def seed_of(key: Any) -> int:
    """A seed from an integer, or from a key of JAX. Raises UserError for anything else."""
    if isinstance(key, int | np.integer):
        arguments.check("key", key, int, 0, arguments.LARGEST_SEED)
        return int(key)
    if not hasattr(key, "dtype"):
        raise UserError(f"key: {registry.short(key)}; a whole number or a key of JAX is needed")
    import jax  # whoever made the key has imported it

    return int(jax.random.bits(key))
