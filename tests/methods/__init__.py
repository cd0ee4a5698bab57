"""What the tests of the methods share: a batch of codes as a regulariser sees it, without any network."""

import jax
import jax.numpy as jnp
import numpy as np

from scaledis import methods, population
from scaledis.methods.penalty import by_level, weighted_decomposition
from scaledis.objectives import partition
from scaledis.types import Posterior
from tests import tiny
from tests.objectives.test_aggregate_posterior import posteriors

SIZE = 1000  # of the data set
KEY = jax.random.key(0)


def inference(allocation=(3, 2, 1), batch=16, present=None, seed=0):
    codes, mean, log_variance = posteriors(batch, sum(allocation), seed)
    presence = jnp.ones(len(allocation)) if present is None else jnp.asarray(present, jnp.float32)
    return Inference(codes, mean, log_variance, jnp.asarray(partition.levels(allocation)), presence)


def config(name, allocation=(3, 2, 1), **overrides):
    flat = methods.specs()[name].flat
    sized = {"model__latents": sum(allocation)} if flat else {"model__allocation": allocation}
    return tiny.config(method__name=name, train__batch=16, **sized, **overrides)


def arrays(config):
    return {
        key: jnp.asarray(value) for key, value in population.hyperparameters(config, config.model.allocation).items()
    }


def of_weights(config, weights, seen, parts_of=by_level, **hyperparameters):
    """R and its terms by a row of weights."""
    regulariser = decomposed(config, SIZE, weights, parts_of)
    return regulariser.nats({**arrays(config), **hyperparameters}, (), seen, KEY)


def flat(seen):
    """The same codes in one level."""
    units = seen.codes.shape[1]
    return seen._replace(levels=jnp.ones((1, units)), presence=jnp.ones(1))


def one_update(config, dataset, step=1, prepare=lambda state: state):
    """The state after one update from the start of the run, prepared and taken for step `step`, and its terms."""
    method = population.build([config], dataset)
    state = prepare(jax.jit(method.init)(KEY, population.hyperparameters(config, config.model.allocation)))
    images = dataset.images(np.arange(config.train.batch))
    return jax.jit(method.update)(state._replace(step=jnp.int32(step)), images, jax.random.key(1))
