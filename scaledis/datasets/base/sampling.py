"""Which images a run sees, and how often: its split of a data set, and how a batch is drawn."""

import functools
import hashlib
import sys
from collections.abc import Mapping
from math import isclose
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis import datasets
from scaledis.config import Combination, Data
from scaledis.core import UserError, registry, streams
from scaledis.core.fields import is_float32
from scaledis.core.values import plain
from scaledis.datasets import Dataset, Examples
from scaledis.types import ImageSpec

FOLDER = "folder"  # groups images by their folder
OBJECTS = ("examples: ", "huggingface: dataset of datasets")  # how the names of objects of Python begin
DRAWING = ("correlation", "held_out", "held_out_by", "memory")  # keys of `data` that are no options of a data set


class Sampler(NamedTuple):
    """Images in cells of equal factors; an argument of every compiled step.

    order: int32 [n], the images of the split, cell by cell.
    first, counts: int32 [C], where each cell starts in `order`, and how many images it has.
    log_weights: [C], how often a cell is drawn. If no factors are correlated, one cell has all images.
    """

    order: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    log_weights: np.ndarray


def split(dataset: Dataset, data: Data, name: str) -> np.ndarray:
    """Returns the images int32 [n] of a split, the same in every run: "all", "train" or "held_out".

    `data.held_out` is the share of images on which no run trains, drawn with one seed for all runs. With a group in
    `data.held_out_by` it is the share of groups that are held out whole. With factors and their values in
    `data.held_out_by`, all images that have one of the values of each factor are held out. If neither is given, the
    images are held out that the authors of the data set hold out. Raises UserError for an empty split.
    """
    mask = _held_out(dataset, data)
    found = np.flatnonzero({"all": np.ones_like(mask), "train": ~mask, "held_out": mask}[name]).astype(np.int32)
    if not len(found):
        key = "held_out_by" if isinstance(data.held_out_by, tuple) else "held_out"
        value = registry.short(getattr(data, key))
        raise UserError(f"data.{key}: {value} leaves no images of {dataset.name} in the split {name!r}.")
    return found


def share(dataset: Dataset, data: Data) -> float:
    """The share of images that are held out, in whatever way."""
    return float(_held_out(dataset, data).mean())


def _held_out(dataset: Dataset, data: Data) -> np.ndarray:
    """Whether each image is held out, bool [N]; see `split`."""
    mask = np.zeros(dataset.size, bool)
    if isinstance(data.held_out_by, tuple):
        mask = _held_out_combination(dataset, data.held_out_by)
    elif data.held_out_by:
        mask = _held_out_groups(dataset, data.held_out_by, data.held_out)
    elif data.held_out:
        mask[np.random.default_rng(0).permutation(dataset.size)[: round(data.held_out * dataset.size)]] = True
    elif dataset.held_out is not None:
        mask[dataset.held_out] = True
    return mask


def _held_out_combination(dataset: Dataset, by: Combination) -> np.ndarray:
    """Whether each image has one of the values of every factor, bool [N]. Raises UserError for an unknown one."""
    ranks, mask = dataset.ranks(np.arange(dataset.size)), np.ones(dataset.size, bool)
    for name, wanted in by:
        registry.check("data.held_out_by", name, dataset.factor_names)
        place = dataset.factor_names.index(name)
        mask &= np.isin(ranks[:, place], [_rank(name, dataset.factor_values[place], value) for value in wanted])
    return mask


def _rank(name: str, values: np.ndarray, value: str | float) -> int:
    """The place of a value among those of a factor, or else of a number that is equal up to the rounding of float32."""
    known = plain(values)
    if value in known:
        return int(known.index(value))
    for place, each in enumerate(known):
        if not isinstance(each, str | bool) and not isinstance(value, str) and isclose(each, value, rel_tol=1e-6):
            return place
    raise UserError(f"data.held_out_by: {name} is never {value!r}; it is {registry.listed(map(str, known))}.")


def _held_out_groups(dataset: Dataset, by: str, held_out: float) -> np.ndarray:
    """Whether each image is held out, bool [N], the same for all images of a folder, or of a value of a factor.

    An image without its label is in no group, and trains. Raises UserError for an unknown factor, and if all groups
    fall on one side.
    """
    groups = _groups(dataset, by)
    numbers = np.unique(groups[groups >= 0])
    count = round(held_out * len(numbers))
    if not 0 < count < len(numbers):
        share = f"{held_out} of {len(numbers)} groups by data.held_out_by={by}"
        raise UserError(f"data.held_out: {share} rounds to {count}; at least one must be held out, and one train.")
    return np.isin(groups, np.random.default_rng(0).permutation(numbers)[:count])


def _groups(dataset: Dataset, by: str) -> np.ndarray:
    """The group of each image, int [N]: its folder, or its value of a factor, -1 where it is missing."""
    if by == FOLDER and dataset.folders is not None:
        return dataset.folders
    choices = [FOLDER] * (dataset.folders is not None) + list(dataset.factor_names)
    if not choices:
        raise UserError(f"data.held_out_by: {by!r} is unknown; {dataset.name} has neither folders nor factors.")
    registry.check("data.held_out_by", by, choices)
    return dataset.ranks(np.arange(dataset.size))[:, dataset.factor_names.index(by)]


def warn_of_neighbors(dataset: Dataset, data: Data) -> None:
    """Prints a warning if images of one sub-folder, such as the frames of a recording, may fall into two splits."""
    folders = 1 if dataset.folders is None else len(np.unique(dataset.folders))
    if data.held_out and not data.held_out_by and 1 < folders < dataset.size:
        what = f"the images of {folders:,} folders of {dataset.name} are split one by one"
        remedy = "the neighbors of a held out frame may train; data.held_out_by=folder holds out whole folders."
        print(f"data.held_out: {what}, so that {remedy}", file=sys.stderr)


def options(data: Data) -> dict[str, Any]:
    """What `datasets.load` takes of a config: all keys of `data` but those that say how images are drawn."""
    return {key: value for key, value in vars(data).items() if key not in DRAWING}


@functools.lru_cache(maxsize=2)
def load_dataset(data: Data) -> Dataset:
    """The data set of a config; says how many images of the user's it found. Raises what `datasets.load` raises."""
    dataset = datasets.load(**options(data))
    if data.path:
        print(f"{data.name}: {dataset.extent} found in {data.path}", file=sys.stderr)
    warn_of_neighbors(dataset, data)
    return dataset


def prepared(given: Dataset | Examples | None, data: Data) -> Dataset | None:
    """A data set as it is, and an object of Python as the config prepares it. Raises what `datasets.load` raises."""
    if given is None or isinstance(given, Dataset):
        return given
    if isinstance(given, str):
        raise UserError(f"dataset: {given!r} is a name; set data.name, or give load_dataset({given!r}).")
    return datasets.load(**options(data) | {"name": given, "path": None})


def facts(dataset: Dataset, data: Data) -> dict[str, Any]:
    """Returns the facts of a data set, as JSON, that a run records: it loads with them, and checks the data by them."""
    train = split(dataset, data, "train")
    strings = [values.tolist() for values in map(np.asarray, dataset.factor_values) if values.dtype.kind == "U"]
    return {
        "name": dataset.name,
        "image_shape": list(dataset.image_shape),
        "size": dataset.size,
        "train_size": len(train),
        "train_split": hashlib.blake2b(train.tobytes(), digest_size=8).hexdigest(),
        "factors": dict(zip(dataset.factor_names, dataset.factor_sizes, strict=True)),
        "ordered_by_numbers": any(values != sorted(values) for values in strings),
        "fingerprint": dataset.fingerprint,
    }


def check_named(held: Mapping[str, Any], run: str) -> None:
    """Raises UserError if the facts `held` of a run are those of an object of Python, which no config names."""
    if (name := held.get("name", "")).startswith(OBJECTS):
        reason = "which only its own process has; `scaledis.score` and `scaledis.figures` take the model and its images"
        raise UserError(f"data: {run} was trained on an object of Python, {name!r}, {reason}.")


def check_same(held: Mapping[str, Any], found: Mapping[str, Any], run: str) -> None:
    """Raises UserError, with the differences, if the facts `held` by a run differ from the facts `found`."""
    if differing := [f"{key} was {held[key]} and is {new}" for key, new in found.items() if held.get(key, new) != new]:
        order = ""
        if found.get("ordered_by_numbers") and "ordered_by_numbers" not in held:
            order = " Since then names are in the order of their numbers, 2 before 10; train a new run elsewhere."
        raise UserError(f"data: {run} was trained on other images or factors: {'; '.join(differing)}.{order}")


def spec_of(dataset: Dataset, data: Data) -> ImageSpec:
    """The facts of a data set that a method needs: the shape of its images, and the number that it trains on."""
    return ImageSpec(dataset.image_shape, len(split(dataset, data, "train")))


def make_sampler(dataset: Dataset, data: Data) -> Sampler:
    """The sampler of training images: uniform, or with pairs of factors correlated.

    `data.correlation` lists (factor a, factor b, sigma): with both scaled to [0, 1] by their number of values,

        p(a, b) proportional to exp(-(a - b)^2 / (2 sigma^2))      (Traeuble et al. 2021)

    The other factors stay uniform and independent of these. Raises UserError for an unknown factor, and for one whose
    label is missing for an image that trains.
    """
    order = split(dataset, data, "train")
    if not data.correlation:
        return Sampler(order, np.zeros(1, np.int32), np.asarray([len(order)], np.int32), np.zeros(1, np.float32))
    for a, b, _ in data.correlation:
        for name in (a, b):
            registry.check("data.correlation", name, dataset.factor_names)
    names = list(dict.fromkeys(name for a, b, _ in data.correlation for name in (a, b)))
    columns = [dataset.factor_names.index(name) for name in names]
    ranks = dataset.ranks(order)[:, columns]
    for name, missing in zip(names, (ranks < 0).sum(0), strict=True):
        if missing:
            found = f"{missing:,} of {len(order):,} images that train have no label of {name}"
            raise UserError(f"data.correlation: {found}; leave them out, or correlate other factors.")
    cells, cell_of_image, count = np.unique(ranks, axis=0, return_inverse=True, return_counts=True)
    scaled = dict(zip(names, (cells / np.maximum(np.asarray(dataset.factor_sizes)[columns] - 1, 1)).T, strict=True))
    log_weights = sum(-((scaled[a] - scaled[b]) ** 2) / (2 * sigma**2) for a, b, sigma in data.correlation)
    order = order[np.argsort(cell_of_image.ravel(), kind="stable")]
    first = np.cumsum(count) - count
    return Sampler(order, first.astype(np.int32), count.astype(np.int32), log_weights.astype(np.float32))


def draw(sampler: Sampler, key: Array, n: int) -> Array:
    """Image indices int32 [n], with replacement; runs inside a compiled step."""
    cell = jax.random.categorical(streams.stream(key, "cell"), jnp.asarray(sampler.log_weights), shape=(n,))
    place = jax.random.randint(streams.stream(key, "place"), (n,), 0, jnp.asarray(sampler.counts)[cell])
    return jnp.asarray(sampler.order)[jnp.asarray(sampler.first)[cell] + place]


def check(data: Data) -> None:
    """Raises UserError for a share outside [0, 1), for groups without a share or images with one, and for a correlation
    that is not (factor, factor, sigma above 0).
    """
    if not 0 <= data.held_out < 1:
        raise UserError(f"data.held_out: {data.held_out!r} must be a share of at least 0 and below 1.")
    if data.held_out and isinstance(data.held_out_by, tuple):
        by = registry.short(data.held_out_by)
        raise UserError(f"data.held_out: {data.held_out} is a share, and data.held_out_by={by} names images; give one.")
    if data.held_out_by and isinstance(data.held_out_by, str) and not data.held_out:
        by = registry.short(data.held_out_by)
        raise UserError(f"data.held_out_by: {by} holds nothing out, as data.held_out is 0.")
    for pair in data.correlation:
        named = isinstance(pair, tuple) and len(pair) == 3 and all(isinstance(name, str) for name in pair[:2])
        if not named or pair[0] == pair[1] or not is_float32(pair[2]) or not pair[2] > 0:
            raise UserError(f"data.correlation: {registry.short(pair)} must be (factor, other factor, sigma above 0).")
