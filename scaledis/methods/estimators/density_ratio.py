"""Dependences by adversarial density ratios (Kim and Mnih 2018, Disentangling by Factorising), within and across parts.

A discriminator tells z ~ q(z) from codes whose units (or parts) were shuffled over the batch, so that they follow
the product of the marginals. At its optimum its logit is log q(z) - sum_j log q(z_j), whose mean is the dependence.
"""

import jax
import jax.numpy as jnp
from jax import Array

from scaledis.core.streams import each, stream
from scaledis.methods.base import optimizer
from scaledis.methods.base.adversary import Adversary, check_batch, follow, make_adversary
from scaledis.methods.estimators import EstimatorSpec
from scaledis.networks.discriminator import OfCodes
from scaledis.networks.spec import apply
from scaledis.objectives import aggregate_posterior, partition
from scaledis.types import Config, Estimator, ImageSpec, Posterior, Pytree, Terms

ADAM = optimizer.make_adam(b1=0.5, b2=0.9)


def make_density_ratio(config: Config, images: ImageSpec) -> Estimator:
    """A discriminator for each part and one across the parts, as in the FactorVAE.

    The density of a single unit is one-dimensional and comes from the minibatch. The density of a part is that of its
    units plus the logit of its discriminator, and the density of all units is that of the parts plus the logit across
    the parts; so every difference that a penalty weighs is a logit. The discriminators see codes without gradient; the
    penalty sees their logits at fixed parameters. The two classes come from the two halves of the batch, so that they
    share no image.
    """
    given, unit_keys = config.discriminator, tuple(partition.unit_keys(config.model.allocation).tolist())
    network = OfCodes(given.features, given.layers, unit_keys)
    minibatch = aggregate_posterior.normalize(aggregate_posterior.minibatch_weighted(config.train.batch, images.size))

    def init(key: Array, parts: Array) -> Adversary:
        (tasks, units), in_use = _tasks(parts).shape, (parts.sum(1) > 0).sum()
        numbers = jnp.append(jnp.arange(len(parts)), in_use)[:tasks]  # of the tasks; padding adds parts without units
        params = jax.vmap(lambda key: network.init(key, jnp.zeros((units, 1))))(each(key, numbers))
        return make_adversary(params, ADAM)

    def log_density(extra: Adversary, posterior: Posterior, parts: Array) -> Array:
        codes, mean, log_variance = posterior[:3]
        in_use = parts.sum(0)
        units = aggregate_posterior.log_density(codes, mean, log_variance, minibatch, jnp.diag(in_use)) * in_use
        found = logits(network, extra.params, codes, parts) * _open(parts)[:, None]
        count = parts.shape[0]
        of_parts = partition.combine(units, parts) + found[:count].T
        return jnp.concatenate(
            [of_parts.sum(1, keepdims=True) + found[count:].sum(0)[:, None], of_parts, units], axis=1
        )

    def update(extra: Adversary, posterior: Posterior, parts: Array, key: Array) -> tuple[Adversary, Terms]:
        codes = posterior.codes
        half = codes.shape[0] // 2
        real, other = codes[:half], codes[half : 2 * half]
        by_unit, by_part = shuffled(other, parts, key)
        open_tasks = _open(parts)
        count = parts.shape[0]

        def loss(params: Pytree) -> tuple[Array, Array]:
            on_real = logits(network, params, real, parts)
            within, across = (logits(network, params, codes, parts) for codes in (by_unit, by_part))
            on_shuffled = jnp.concatenate([within[:count], across[count:]])
            nats = 0.5 * (jax.nn.softplus(-on_real).mean(1) + jax.nn.softplus(on_shuffled).mean(1))
            right = 0.5 * ((on_real > 0).mean(1) + (on_shuffled < 0).mean(1))
            return (nats * open_tasks).sum(), (right * open_tasks).sum() / jnp.maximum(open_tasks.sum(), 1)

        return follow(extra, loss, ADAM, given.learning_rate)

    return Estimator(init, log_density, update)


def logits(network: OfCodes, params: Pytree, codes: Array, parts: Array) -> Array:
    """Returns the dependence within each part, then across them if there are several: [T, B], one row per task."""
    return jnp.asarray(jax.vmap(lambda params, mask: apply(network, params, (codes * mask).T))(params, _tasks(parts)))


def _tasks(parts: Array) -> Array:
    """Returns the units that each discriminator sees, [T, K]: the parts, then all units if there are several parts."""
    return jnp.concatenate([parts, parts.sum(0, keepdims=True)]) if parts.shape[0] > 1 else jnp.asarray(parts)


def _open(parts: Array) -> Array:
    """Returns 1 for each discriminator that has two units or two parts to tell apart, else 0: [T]."""
    across = [(parts.sum(1) > 0).sum(keepdims=True) > 1] if parts.shape[0] > 1 else []
    return jnp.concatenate([parts.sum(1) > 1, *across]).astype(jnp.float32)


def shuffled(codes: Array, parts: Array, key: Array) -> tuple[Array, Array]:
    """Returns the codes [B, K] with each unit, and with each part, permuted separately over the batch."""
    batch, units = codes.shape
    place = jnp.arange(units) - jnp.argmax(parts > 0, axis=1)[jnp.argmax(parts, axis=0)]  # of the unit in its part
    part = jnp.argmax(parts, axis=0)
    names = part << 16 | place  # as in the noise, so that padding a part reshuffles no other unit

    def permuted(key: Array, names: Array) -> Array:
        order = jax.vmap(lambda key: jax.random.permutation(key, batch), out_axes=1)(each(key, names))
        return jnp.take_along_axis(codes, order, axis=0)

    return permuted(stream(key, "units"), names), permuted(stream(key, "parts"), part)


ESTIMATORS = {"density_ratio": EstimatorSpec(make_density_ratio, check=check_batch)}
