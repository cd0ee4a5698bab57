"""A method that compiles in no time, for tests that start processes; also the command line on it and the tiny data."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from scaledis import datasets, main
from scaledis.config import Config
from scaledis.methods import register_method
from scaledis.objectives import partition
from scaledis.types import Codes, ImageSpec, Method
from tests import tiny


def build(config: Config, images: ImageSpec) -> Method:
    """L = |x - W z|^2 / 2 + |z|^2 / 2, with z = W^T x + noise: a linear autoencoder with tied weights."""
    pixels, units = math.prod(images.shape), sum(config.model.allocation)

    def flat(images: Any) -> Any:
        return images.reshape(len(images), pixels) / 255.0

    def init(key, hyperparameters):
        return 0.01 * jax.random.normal(key, (pixels, units)) * hyperparameters["active"], hyperparameters

    def update(state, batch, key):
        weights, hyperparameters = state
        x, noise = flat(batch.images), 0.1 * jax.random.normal(key, (len(batch.images), units))

        def loss(weights):
            codes = (x @ weights + noise) * hyperparameters["active"]
            terms = jnp.square(x - codes @ weights.T).sum(1).mean() / 2, jnp.square(codes).sum(1).mean() / 2
            return sum(terms), terms

        (total, (reconstruction, kl)), gradient = jax.value_and_grad(loss, has_aux=True)(weights)
        terms = {"loss_nats": total, "reconstruction_nats": reconstruction, "kl_nats": kl}
        return (weights - hyperparameters["learning_rate"] * gradient, hyperparameters), terms

    def encode(state, images):
        mean = flat(images) @ state[0]
        return Codes(mean, jnp.zeros_like(mean), partition.level_of_unit(config.model.allocation))

    def decode(state, codes):
        return jnp.clip(codes @ state[0].T, 0, 1).reshape(-1, *images.shape)

    return Method(init, update, encode, decode)


def register() -> None:
    register_method("linear", build, equation=str(build.__doc__), flat=False)


def run() -> None:
    """The command line in a process of its own."""
    register()
    datasets.load = lambda *_, **__: tiny.dataset()
    main.console()
