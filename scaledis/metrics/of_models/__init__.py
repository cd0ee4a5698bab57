"""Scores of a model on a data set that need its decoder.

A metric is a module here with `compute(model, dataset, index, codes, seed, **options) -> {score: value}`, named by its
file, where `codes` are those of the images at `index` [N]. Its first score is its headline. A name may have one part
here and one in `scaledis.metrics`, as "level" has.

Conventions: a unit of less than 0.1 nats per image is dead and left out; a score that does not exist is None, and
`warnings` says why.
"""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

from scaledis.core import kinds, registry
from scaledis.datasets import Dataset
from scaledis.metrics.of_models.shared import coding
from scaledis.metrics.shared import arguments
from scaledis.metrics.shared.spec import Options, Result, Results
from scaledis.model import Model
from scaledis.types import Codes

IMAGES = 5000  # whose codes assign a factor to each unit


def names() -> list[str]:
    """Returns the names of all metrics of models."""
    return registry.modules(sys.modules[__name__])


def compute(
    names: str | Sequence[str],
    model: Model,
    dataset: Dataset,
    seed: int = 0,
    options: Options | None = None,
    *,
    index: np.ndarray | None = None,
) -> Result:
    """Returns the scores of one or several metrics as {"edits/selectivity": .., "quality/mse": .., ..}.

    Args:
        names: metrics to compute.
        model: a trained run, as `scaledis.load_run` returns it, for images like those of the data set.
        dataset: the images that are encoded, and their factors.
        seed: seeds every random number.
        options: keyword arguments per metric, such as `{"edits": {"images": 100}}`.
        index: int [N], the images; None draws 5,000, or takes all if there are fewer.

    Raises:
        UserError: an unknown metric or option, or one of another kind; what `compute` of a metric raises.

    >>> compute(["edits", "quality"], scaledis.load_run("runs/mine"), scaledis.load_dataset("rendered", resolution=32))
    """
    wanted, options = arguments.names_of(names), {} if options is None else options
    arguments.check("seed", seed, int, 0, arguments.LARGEST_SEED)
    kinds.check("options", options, Mapping[str, object])
    for name in [*wanted, *options]:
        _checked(name, options.get(name, {}))
    if index is None:
        rng = np.random.default_rng(seed)
        index = rng.choice(dataset.size, min(IMAGES, dataset.size), replace=False).astype(np.int32)
    codes = coding.encode_images(model, dataset, index)
    scores: Result = {}
    for name in wanted:
        scores |= of_codes(name, model, dataset, index, codes, seed, options.get(name))
    return Results(scores)


def of_codes(
    name: str,
    model: Model,
    dataset: Dataset,
    index: np.ndarray,
    codes: Codes,
    seed: int = 0,
    options: Mapping[str, object] | None = None,
) -> Result:
    """Returns the scores of one metric from given codes of the images at `index` [N]. Raises what `compute` raises."""
    options = {} if options is None else options
    own = _checked(name, options).compute(model, dataset, index, codes, seed, **options)
    return {f"{name}/{key}": value for key, value in own.items()}


def _checked(name: str, options: Mapping[str, object]) -> ModuleType:
    """The metric of a name. Raises UserError for an unknown one, and for options that it lacks or that do not fit."""
    metric = registry.module("model metrics", sys.modules[__name__], name)
    arguments.check_options(name, metric.compute, options)
    return metric
