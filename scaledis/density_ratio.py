"""Dependences by adversarial density ratios (Kim and Mnih 2018, Disentangling by Factorising), within and across parts.

A discriminator tells z ~ q(z) from codes whose units (or parts) were shuffled over the batch, so that they follow
the product of the marginals. At its optimum its logit is log q(z) - sum_j log q(z_j), whose mean is the dependence.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from scaledis import aggregate, optimiser, partition
from scaledis.aggregate import Estimator
from scaledis.errors import UserError
from scaledis.networks import discriminator

if TYPE_CHECKING:
    from scaledis.config import Config

ADAM = optimiser.adam(clip=0, b1=0.5, b2=0.9)  # of the discriminators
HORIZON = 100.0  # steps of the running mean of the accuracy
WON = 0.9999  # running accuracy at which a discriminator has won outright and teaches nothing any more


def check_batch(batch: int) -> None:
    """Raises UserError for a batch whose halves are too small to be shuffled."""
    if batch < 4:
        raise UserError(
            f"train.batch: {batch} is too small for a discriminator, whose two halves need 2 images or more."
        )


class Adversary(NamedTuple):
    """A discriminator, its optimiser, and the running mean of its accuracy."""

    params: Any
    optimiser: Any
    accuracy: Array


def follow(adversary: Adversary, loss, learning_rate: float, prefix: str) -> tuple[Adversary, dict[str, Array]]:
    """One step of a discriminator down `loss(params) -> (nats, accuracy)`, and its terms.

    A discriminator that was right on everything for about 850 steps has won outright: its logits only grow, and the
    penalty with them. Its nats are NaN from then on, so that the run is frozen and reported instead of going astray.
    """
    (nats, accuracy), gradient = jax.value_and_grad(loss, has_aux=True)(adversary.params)
    direction, state = ADAM.update(gradient, adversary.optimiser)
    params = optimiser.descend(adversary.params, direction, learning_rate)
    running = adversary.accuracy + (accuracy - adversary.accuracy) / HORIZON
    terms = {f"{prefix}_nats": jnp.where(running > WON, jnp.nan, nats), f"{prefix}_accuracy": accuracy}
    return Adversary(params, state, running), terms


def adversary(params: Any) -> Adversary:
    """A discriminator at its start."""
    return Adversary(params, ADAM.init(params), jnp.float32(0.5))


def estimator(config: "Config", size: int) -> Estimator:
    """log q of every group from one discriminator per part and one across the parts.

    Single units are one-dimensional and come from the minibatch. A part adds its discriminator's logit to its units,
    and all units the logit across the parts, so that every contrast of the table is the logit that stands for it.
    The discriminators see codes without gradient; the penalty sees their logits at fixed parameters. The two classes
    come from the two halves of the batch, so that they share no image.
    """
    settings = config.discriminator
    unit_keys = tuple(partition.unit_keys(config.model.allocation).tolist())
    network = discriminator.OfCodes(settings.features, settings.layers, unit_keys)
    minibatch = aggregate.normalised(aggregate.minibatch_weighted(config.train.batch, size))

    def logits(params, codes: Array, parts: Array) -> Array:
        """[T, B], one row per task: the dependence within each part, then that across them where there are several."""
        return jax.vmap(lambda params, mask: network.apply(params, (codes * mask).T))(params, _tasks(parts))

    def init(key, parts):
        tasks, units = _tasks(parts).shape
        keys = jax.vmap(lambda task: jax.random.fold_in(key, task))(jnp.arange(tasks))
        return adversary(jax.vmap(lambda key: network.init(key, jnp.zeros((units, 1))))(keys))

    def log_density(memory, codes, mean, log_variance, parts):
        in_use = parts.sum(0)
        units = aggregate.log_density(codes, mean, log_variance, minibatch, jnp.diag(in_use)) * in_use
        found = logits(memory.params, codes, parts) * _open(parts)[:, None]
        count = parts.shape[0]
        of_parts = units @ parts.T + found[:count].T
        return jnp.concatenate(
            [of_parts.sum(1, keepdims=True) + found[count:].sum(0)[:, None], of_parts, units], axis=1
        )

    def remember(memory, codes, mean, log_variance, parts, key):
        half = codes.shape[0] // 2
        real, other = codes[:half], codes[half : 2 * half]
        by_unit, by_part = shuffled(other, parts, key)
        open_tasks = _open(parts)
        count = parts.shape[0]

        def loss(params):
            on_real = logits(params, real, parts)
            within, across = logits(params, by_unit, parts)[:count], logits(params, by_part, parts)[count:]
            on_shuffled = jnp.concatenate([within, across])
            nats = 0.5 * (jax.nn.softplus(-on_real).mean(1) + jax.nn.softplus(on_shuffled).mean(1))
            right = 0.5 * ((on_real > 0).mean(1) + (on_shuffled < 0).mean(1))
            return (nats * open_tasks).sum(), (right * open_tasks).sum() / jnp.maximum(open_tasks.sum(), 1)

        return follow(memory, loss, settings.learning_rate, "discriminator")

    return Estimator(init, log_density, remember)


def _tasks(parts: Array) -> Array:
    """Which units each discriminator sees: [T, K]; the parts, and all units where there is more than one part."""
    return jnp.concatenate([parts, parts.sum(0, keepdims=True)]) if parts.shape[0] > 1 else jnp.asarray(parts)


def _open(parts: Array) -> Array:
    """[T]: 1 for the discriminators that have something to tell apart, two units of a part or two parts."""
    across = [(parts.sum(1) > 0).sum(keepdims=True) > 1] if parts.shape[0] > 1 else []
    return jnp.concatenate([parts.sum(1) > 1, *across]).astype(jnp.float32)


def shuffled(codes: Array, parts: Array, key: Array) -> tuple[Array, Array]:
    """The codes [B, K] with every unit, and with every part, permuted over the batch by a permutation of its own."""
    batch, units = codes.shape
    place = jnp.arange(units) - jnp.argmax(parts > 0, axis=1)[jnp.argmax(parts, axis=0)]  # of the unit in its part
    part = jnp.argmax(parts, axis=0)
    names = part << 16 | place  # as in the noise, so that padding a part shuffles no other unit anew

    def permuted(key, names):
        keys = jax.vmap(lambda name: jax.random.fold_in(key, name))(names)
        order = jax.vmap(lambda key: jax.random.permutation(key, batch), out_axes=1)(keys)
        return jnp.take_along_axis(codes, order, axis=0)

    by_unit, by_part = jax.random.split(key)
    return permuted(by_unit, names), permuted(by_part, part)
