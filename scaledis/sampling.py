"""Which images a run sees, and how often: splits by index, and correlated factors."""

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis import registry
from scaledis.datasets import Dataset
from scaledis.errors import UserError

if TYPE_CHECKING:
    from scaledis.config import Data

SPLITS = ("all", "train", "held_out")


class Sampling(NamedTuple):
    """Images in cells of equal factors; an argument of every compiled step.

    order: int32 [n], the images of the split, cell by cell.
    first, count: int32 [C], where each cell starts in `order`, and how many images it has.
    log_weights: [C], how often a cell is drawn; one cell of all images where no factors are correlated.
    """

    order: np.ndarray
    first: np.ndarray
    count: np.ndarray
    log_weights: np.ndarray


def split(dataset: Dataset, data: "Data", name: str) -> np.ndarray:
    """Image indices int32 [n] of a split, the same in every run: "all", "train" or "held_out".

    `data.held_out` is the share of images that no run trains on, drawn once and for all; where it is 0 the data set's
    own split holds, if it has one, else nothing is held out. Raises UserError for a split that is empty.
    """
    held_out = dataset.held_out
    if data.held_out:
        order = np.random.default_rng(0).permutation(dataset.size)
        held_out = np.sort(order[: round(data.held_out * dataset.size)])
    mask = np.zeros(dataset.size, bool)
    mask[[] if held_out is None else held_out] = True
    found = np.flatnonzero({"all": np.ones_like(mask), "train": ~mask, "held_out": mask}[name]).astype(np.int32)
    if not len(found):
        raise UserError(f"data.held_out: {data.held_out} leaves no images of {dataset.name} in the split {name!r}.")
    return found


def sampling(dataset: Dataset, data: "Data") -> Sampling:
    """How training images are drawn: uniformly, or with pairs of factors correlated.

    `data.correlation` lists (factor a, factor b, sigma): with both scaled to [0, 1] by their number of values,

        p(a, b) proportional to exp(-(a - b)^2 / (2 sigma^2))      (Traeuble et al. 2021)

    The other factors stay uniform and independent of these. Raises UserError for an unknown factor.
    """
    order = split(dataset, data, "train")
    if not data.correlation:
        return Sampling(order, np.zeros(1, np.int32), np.asarray([len(order)], np.int32), np.zeros(1, np.float32))
    for a, b, _ in data.correlation:
        for name in (a, b):
            registry.check("data.correlation", name, dataset.factor_names)
    names = list(dict.fromkeys(name for a, b, _ in data.correlation for name in (a, b)))
    columns = [dataset.factor_names.index(name) for name in names]
    cells, cell_of_image, count = np.unique(
        dataset.factors(order)[:, columns], axis=0, return_inverse=True, return_counts=True
    )
    scaled = dict(zip(names, (cells / np.maximum(np.asarray(dataset.factor_sizes)[columns] - 1, 1)).T, strict=True))
    log_weights = sum(-((scaled[a] - scaled[b]) ** 2) / (2 * sigma**2) for a, b, sigma in data.correlation)
    order = order[np.argsort(cell_of_image.ravel(), kind="stable")]
    first = np.cumsum(count) - count
    return Sampling(order, first.astype(np.int32), count.astype(np.int32), log_weights.astype(np.float32))


def draw(sampling: Sampling, key: Array, n: int) -> Array:
    """Image indices int32 [n], with replacement; runs inside a compiled step. Consumes `key`."""
    cell = jax.random.categorical(jax.random.fold_in(key, 0), jnp.asarray(sampling.log_weights), shape=(n,))
    place = jax.random.randint(key, (n,), 0, jnp.asarray(sampling.count)[cell])
    return jnp.asarray(sampling.order)[jnp.asarray(sampling.first)[cell] + place]


def check(data: "Data") -> None:
    """Raises UserError for a share that is none, and for a correlation that is no (factor, factor, positive sigma)."""
    if not 0 <= data.held_out < 1:
        raise UserError(f"data.held_out: {data.held_out!r} must be a share of at least 0 and below 1.")
    for pair in data.correlation:
        named = isinstance(pair, tuple) and len(pair) == 3 and all(isinstance(name, str) for name in pair[:2])
        if not named or pair[0] == pair[1] or not isinstance(pair[2], int | float) or not pair[2] > 0:
            raise UserError(f"data.correlation: {pair!r} must be (factor, other factor, sigma above 0).")
