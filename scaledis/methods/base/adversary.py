"""Discriminators that learn beside a method (FactorVAE, DAVA): their state, their Adam steps, and when one has won."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from scaledis.core import UserError
from scaledis.methods.base import optimizer
from scaledis.types import Config, Pytree, Terms

HORIZON = 100.0  # steps of the running mean of the accuracy
WON = 0.9999  # running accuracy at which a discriminator has won and teaches nothing more


def check_batch(config: Config) -> None:
    """Raises UserError for a batch whose halves are too small to be shuffled."""
    if config.train.batch < 4:
        batch = config.train.batch
        raise UserError(f"train.batch: {batch} is too small for a discriminator, whose two halves need 2 images each.")


class Adversary(NamedTuple):
    """A discriminator, its optimizer's state, and the running mean of its accuracy."""

    params: Pytree
    optimizer: Pytree
    accuracy: Array


def make_adversary(params: Pytree, adam: optax.GradientTransformation) -> Adversary:
    """Returns a discriminator at its start."""
    return Adversary(params, adam.init(params), jnp.float32(0.5))


def follow(
    adversary: Adversary,
    loss: Callable[[Pytree], tuple[Array, Array]],
    adam: optax.GradientTransformation,
    learning_rate: float,
    clip: float = 0.0,
) -> tuple[Adversary, Terms]:
    """Takes one step of a discriminator down `loss(params) -> (nats, accuracy)`, and returns it with its terms.

    A discriminator that is always right for about 850 steps has won: its logits only grow, and so does the penalty.
    From then on its nats are NaN, so that the run is frozen and reported.
    """
    (nats, accuracy), gradient = jax.value_and_grad(loss, has_aux=True)(adversary.params)
    direction, state = adam.update(optimizer.clip(gradient, clip), adversary.optimizer)
    params = optimizer.descend(adversary.params, direction, learning_rate)
    running = adversary.accuracy + (accuracy - adversary.accuracy) / HORIZON
    terms = {"discriminator_nats": jnp.where(running > WON, jnp.nan, nats), "discriminator_accuracy": accuracy}
    return Adversary(params, state, running), terms
