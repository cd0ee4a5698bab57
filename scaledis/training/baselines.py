"""Floor and ceiling: scores of codes that know little of the factors, and of the run's network trained on the factors.

A baseline has codes for the images on which a run is scored, with as many units in the same levels.
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from scaledis import methods
from scaledis.config import Evaluate
from scaledis.core import runtime
from scaledis.core.errors import UserError
from scaledis.core.progress import shown
from scaledis.datasets import Dataset
from scaledis.metrics.of_models.shared import coding
from scaledis.metrics.shared import encoding, labels
from scaledis.metrics.shared.spec import Result
from scaledis.model import Model
from scaledis.training.population import Population, select
from scaledis.training.program import one_device
from scaledis.training.scores import kinds_of, score_units
from scaledis.types import Codes, ImageSpec, Pytree, RunState, State
from scaledis.workdir import score_files

STEPS, BATCH, LEARNING_RATE = 1000, 64, 2e-3  # of the supervised encoder, at most; the rate falls along a cosine
T = TypeVar("T")
CHUNK = 256  # images, the fewest of which principal components are updated at once


class Task(NamedTuple):
    """The model and the images on which a run is scored.

    model: that of the run.
    dataset: the data set on which it is scored.
    numbers: int [N], the places of the images; the first `train_codes` train.
    factors: [N, F], those of these images.
    levels: int [K], the level of each unit.
    settings: those of the run.
    """

    model: Model
    dataset: Dataset
    numbers: np.ndarray
    factors: np.ndarray
    train_codes: int
    levels: np.ndarray
    settings: Evaluate


def noise(task: Task) -> Codes:
    """Returns standard normal codes."""
    return Codes(encoding.noise((len(task.numbers), len(task.levels)), task.settings.seed), None, task.levels)


def untrained(task: Task) -> Codes:
    """Returns the codes of the run's own network at its start. Raises UserError where it cannot start."""
    alone, start = _start(task.model)
    return coding.encode_images(alone.model(start, 0), task.dataset, task.numbers)


def pca(task: Task) -> Codes:
    """Returns the first principal components of the pixels, fitted to the images of the train codes in chunks.

    Raises UserError for more units than components.
    """
    from sklearn.decomposition import IncrementalPCA

    units, train = len(task.levels), task.numbers[: task.train_codes]
    pixels = math.prod(task.dataset.image_shape)
    if units > min(len(train), pixels):
        raise UserError(f"{len(train)} images of {pixels} numbers have fewer than {units} principal components")
    fitted = IncrementalPCA(units)

    def read(index: np.ndarray) -> list[np.ndarray]:
        return np.array_split(index, max(1, len(index) // max(CHUNK, units)))  # so that no part is small

    def rows(index: np.ndarray) -> np.ndarray:
        return task.dataset.images(index).reshape(len(index), -1) / np.float32(255)

    for part in shown(read(train), "principal components", len(read(train))):
        fitted.partial_fit(rows(part))
    return Codes(np.concatenate([fitted.transform(rows(part)) for part in read(task.numbers)]), None, task.levels)


def steps_of(model: Model) -> int:
    """Returns how many steps a supervised encoder is trained: as many as the model, STEPS at most."""
    return min(STEPS, model.config.train.steps)


def supervised(task: Task) -> Codes:
    """Returns the codes of the run's own network, trained from its start to tell the factors.

    It trains on the images of the train codes. The mean of unit k follows the k-th of `_targets`; other units are 0.
    Raises UserError for a method that keeps no parameters, and if no factor varies.
    """
    alone, start = _start(task.model)
    state, method = select(start, 0).state, task.model.config.method.name
    if not isinstance(state, State) or not all(jnp.issubdtype(each, jnp.floating) for each in _types(state.params)):
        raise UserError(f"{method} keeps no parameters that could follow a gradient")
    targets, there = _targets(task)
    encode, units = alone.model(start, 0).functions[0], targets.shape[1]
    steps = steps_of(task.model)
    adam = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))

    def loss(params: Pytree, images: Array, wanted: Array, known: Array) -> Array:
        mean = encode(state._replace(params=params), images).mean[:, :units]
        return jnp.sum(jnp.where(known, mean - wanted, 0.0) ** 2) / len(images)

    @functools.partial(jax.jit, compiler_options=runtime.compiler_options(1, runtime.platform()))
    def update(params: Pytree, moments: Pytree, *batch: Array) -> tuple[Pytree, Pytree]:
        direction, moments = adam.update(jax.grad(loss)(params, *batch), moments)
        return optax.apply_updates(params, direction), moments

    params, moments, rng = state.params, adam.init(state.params), np.random.default_rng(task.settings.seed)
    for _ in shown(range(steps), "supervised encoder", steps):
        rows = rng.integers(task.train_codes, size=BATCH)
        params, moments = update(params, moments, task.dataset.images(task.numbers[rows]), targets[rows], there[rows])
    trained = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state._replace(params=params))
    codes = coding.encode_images(alone.model(start._replace(state=trained), 0), task.dataset, task.numbers)
    return Codes(np.where(np.arange(len(task.levels)) < units, codes.mean, 0), None, task.levels)


MAKERS: dict[str, Callable[[Task], Codes]] = {
    "noise": noise,
    "untrained": untrained,
    "pca": pca,
    "supervised": supervised,
}
OF_DATA = ("noise", "pca")  # the same for all runs with the same images and levels


def _start(model: Model) -> tuple[Population, RunState]:
    """Returns the run's population of one, padded as the run is, and its start; on a device of this process alone."""
    about = model.about
    images = ImageSpec(tuple(about["image_shape"]), about["train_size"])
    alone = Population([model.config], images, one_device(), tuple(about["allocation"]))
    return alone, alone.init()


def _types(params: Pytree) -> list[np.dtype]:
    return [leaf.dtype for leaf in jax.tree.leaves(params)]


def _targets(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns the targets of units for the images of the train codes, float32 [n, T] with T <= K, and where known.

    They are the factors that vary, each with mean 0 and variance 1: the number of a class, a number, and for an angle
    its cosine and its sine.
    """
    known = labels.read("factors", task.factors, kinds_of(task.settings, task.dataset)).taken(slice(task.train_codes))
    columns = np.ma.masked_invalid(np.concatenate([known.targets(each) for each in range(len(known.kinds))], axis=1))
    columns = columns[:, np.ma.filled(np.ma.ptp(columns, axis=0), 0) > 0][:, : len(task.levels)]
    if not columns.shape[1]:
        raise UserError("no factor varies over the images of the train codes")
    standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    return np.ma.filled(standard, 0).astype(np.float32), ~np.ma.getmaskarray(columns)


_scored: dict[Hashable, Result | str] = {}  # in this process: the scores, or why there are none


def score_baselines(held: Result, task: Task, *, stop: Callable[[], bool] = runtime.never) -> Result:
    """Returns the baselines that the settings ask for and the scores `held` lack, without chance levels.

    They are under "floor" and "ceiling", such as {"floor": {"noise": {"mig/mig": 0.01, ..}}}. "skipped" has the reason
    for each that cannot be computed, under "ceiling/supervised" or "floor/pca/sap"; it is also printed. In a process,
    runs with the same baseline share its scores. Once `stop()` is True, the remaining baselines are left out.
    """
    found: Result = {"skipped": {}, **{kind: {} for kind in score_files.asked(task.settings)}}
    jobs = score_files.missing_baselines(held, task.settings, task.dataset)
    for where, metrics in shown(jobs.items(), "floor and ceiling", len(jobs), name=lambda job: job[0]):
        kind, name = where.split("/")
        for place, scores in _of_baseline(name, metrics, task, stop).items():
            if isinstance(scores, str):
                found["skipped"]["/".join(filter(None, (where, place)))] = scores
                print(f"{where}: not scored{place and f' by {place}'}: {scores}", file=sys.stderr)
            else:
                found[kind][name] = found[kind].get(name, {}) | scores
    if not task.dataset.factor_names and found.keys() > {"skipped"}:
        print(f"{' and '.join(score_files.asked(task.settings))}: {task.dataset.name} has no factors", file=sys.stderr)
    return found


def _of_baseline(name: str, metrics: list[str], task: Task, stop: Callable[[], bool]) -> dict[str, Result | str]:
    """Returns {metric: its scores, or why there are none}, or {"": why} if there are no codes."""
    config = dataclasses.replace(task.model.config, evaluate=Evaluate())
    own = () if name in OF_DATA else (methods.chosen(config), config)
    plain = dataclasses.replace(task.settings, metrics=(), chance=0, floor=False, ceiling=False)
    images = task.dataset.fingerprint, task.numbers.tobytes(), task.train_codes
    key = (name, own, plain, *images, task.levels.tobytes())
    lacking = [metric for metric in metrics if (key, metric) not in _scored]
    codes = _tried(functools.partial(MAKERS[name], task)) if lacking and not stop() else None
    if isinstance(codes, str):
        return {"": codes}
    for metric in lacking:
        if codes is None or stop():
            break
        share, kinds = task.train_codes / len(task.numbers), kinds_of(plain, task.dataset)
        every = np.ones(len(task.levels), bool)
        compute = functools.partial(score_units, metric, codes, every, task.factors, plain, share, kinds)
        _scored[key, metric] = _tried(compute)
    return {metric: _scored[key, metric] for metric in metrics if (key, metric) in _scored}


def _tried(make: Callable[[], T]) -> T | str:
    """Returns what `make` returns, or the sentence of its UserError."""
    try:
        return make()
    except UserError as error:
        return str(error)
