"""Scores of a model on a data set: those that need its decoder, which no array of codes has.

A metric is a module here with `compute(model, dataset, index, codes, seed, **options) -> {score: value}`, named by its
file, where `codes` are those of the images at `index` [N]. Its first score is its headline. One name may have a part
here and one in `scaledis.metrics`, as "level" has: both are its scores.

Conventions: a unit of less than 0.1 nats per image is dead and left out; a score that does not exist is None, and
`warnings` says why.
"""

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaledis.core import registry
from scaledis.datasets import Dataset
from scaledis.metrics.of_models.shared import coding
from scaledis.types import Codes, Model

KEYWORD = inspect.Parameter.KEYWORD_ONLY
IMAGES = 5000  # whose codes say which factor a unit is of


def names() -> list[str]:
    """Names of all metrics of models."""
    return registry.modules(sys.modules[__name__])


def compute(
    names: str | Sequence[str],
    model: Model,
    dataset: Dataset,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    index: np.ndarray | None = None,
) -> dict[str, Any]:
    """Scores of one or several metrics as one flat dictionary: `{"edits/selectivity": .., "quality/mse": .., ..}`.

    Args:
        names: metrics to compute.
        model: a trained run, as `scaledis.load_run` gives it; its images are those of the data set.
        dataset: the images that are encoded, and their factors.
        seed: fixes every number that is drawn.
        options: keyword arguments per metric, such as `{"edits": {"images": 100}}`.
        index: int [N], the images; None draws 5,000, or all where there are fewer.

    Raises:
        UserError: an unknown metric or option; what a metric's own `compute` raises.

    >>> compute(["edits", "quality"], scaledis.load_run("runs/mine"), scaledis.load_dataset("rendered", resolution=32))
    """
    if index is None:
        rng = np.random.default_rng(seed)
        index = rng.choice(dataset.size, min(IMAGES, dataset.size), replace=False).astype(np.int32)
    codes = coding.encode_images(model, dataset, index)
    given: Mapping[str, Any] = options or {}
    scores: dict[str, Any] = {}
    for name in [names] if isinstance(names, str) else names:
        scores |= of_codes(name, model, dataset, index, codes, seed, given.get(name, {}))
    return scores


def of_codes(
    name: str,
    model: Model,
    dataset: Dataset,
    index: np.ndarray,
    codes: Codes,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One metric, where the codes of the images at `index` [N] are at hand. Raises what `compute` raises."""
    metric = registry.module("model metrics", sys.modules[__name__], name)
    parameters = inspect.signature(metric.compute).parameters.values()
    for key in options or {}:
        registry.check(f"option of metric {name!r}", key, [each.name for each in parameters if each.kind == KEYWORD])
    own = metric.compute(model, dataset, index, codes, seed, **(options or {}))
    return {f"{name}/{key}": value for key, value in own.items()}
