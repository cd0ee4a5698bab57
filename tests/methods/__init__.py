"""What the tests of the methods share: a batch of codes as a penalty sees it, and one step of a run."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaledis import methods
from scaledis.config import Config, Model
from scaledis.datasets import Dataset
from scaledis.methods.base.elbo import mean_kl
from scaledis.methods.base.penalty import PartsOf, WeightsOf, by_level, weighted_decomposition
from scaledis.objectives import partition
from scaledis.sweeps import plan
from scaledis.training import population
from scaledis.types import Hyperparameters, ImageSpec, Method, Posterior, State, Terms
from tests import tiny
from tests.objectives import ALLOCATION, posteriors

IMAGES = ImageSpec((16, 16, 3), 1000)
KEY = jax.random.key(0)


def make_posterior(allocation=ALLOCATION, batch: int = 16, seed: int = 0) -> Posterior:
    codes, mean, log_variance = posteriors(batch, sum(allocation), seed)
    return Posterior(codes, mean, log_variance, jnp.asarray(partition.levels(allocation)), jnp.arange(batch))


def flat(posterior: Posterior) -> Posterior:
    """The same codes in one level."""
    return posterior._replace(levels=jnp.ones((1, posterior.codes.shape[1])))


def kl_of(posterior: Posterior) -> float:
    return float(mean_kl(posterior))


def make_config(name: str, allocation=ALLOCATION, **overrides) -> Config:
    """The tiny config of a method with the units of `allocation`, in one level if it is flat; batches of 16."""
    flat = methods.specs()[name].flat
    sized = {"model__latents": sum(allocation)} if flat else {"model__allocation": allocation}
    return tiny.config(method__name=name, train__batch=16, **sized, **overrides)


def arrays(config: Config) -> Hyperparameters:
    """What a run of `config` carries as arrays."""
    found = population.hyperparameters(config, config.model.allocation)
    return {key: jnp.asarray(value) for key, value in found.items()}


def penalty(
    config: Config, weights: WeightsOf, posterior: Posterior, parts_of: PartsOf = by_level, presence=None
) -> tuple[float, dict[str, float]]:
    """R and its terms by a row of weights; all levels are there unless `presence` says otherwise."""
    there = jnp.asarray(presence or [1.0] * len(config.model.allocation))
    row = weighted_decomposition(config, IMAGES, weights, parts_of)
    total, terms = row.value(arrays(config) | {"presence": there}, (), posterior, KEY)
    return float(total), {name: float(term) for name, term in terms.items()}


def make_method(config: Config, dataset: Dataset) -> Method:
    """The method, each of its functions as one program: one operation after the other takes far longer to compile."""
    method = methods.build(config, ImageSpec(dataset.image_shape, dataset.size))
    init, update, encode, decode = map(jax.jit, (method.init, method.update, method.encode, method.decode))
    return method._replace(init=init, update=update, encode=encode, decode=decode)


@functools.lru_cache(maxsize=8)
def compiled(shared: Config, model: Model, chosen: tuple[object, ...], dataset: Dataset) -> Method:
    """The method of all configs that share a program, traced and compiled once."""
    return make_method(dataclasses.replace(shared, model=model), dataset)


def one_update(
    config: Config, dataset: Dataset, step: int = 1, prepare: Callable[[State], Any] = lambda state: state
) -> tuple[State, Terms]:
    """The state after one update from the start of the run, prepared and taken for step `step`, and its terms."""
    method = compiled(plan.shared(config), config.model, methods.chosen(config), dataset)
    state = prepare(method.init(KEY, arrays(config)))
    batch = tiny.batch(dataset.images(np.arange(config.train.batch)))
    return method.update(state._replace(step=jnp.int32(step)), batch, jax.random.key(1))
