"""The posteriors of the batch and of the images before it: ours."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from scaledis.estimators.setting import Setting
from scaledis.objectives import aggregate_posterior, partition
from scaledis.types import Estimator, Terms


class Bank(NamedTuple):
    """The posteriors of the last n images, newest first, without gradient: [n, K], of which `filled` are there."""

    mean: Array
    log_variance: Array
    filled: Array


def make_memory_bank(setting: Setting) -> Estimator:
    """Stratified, over the batch and the posteriors of the last `objective.bank` images.

    The own posterior weighs 1 / N and the other B - 1 + n share the rest, so an information saturates at about
    log(B + n) instead of log B. The remembered posteriors are those of slightly older parameters.
    """
    batch, size, length = setting.batch, setting.size, setting.bank

    def init(key: Array, parts: Array) -> Bank:
        units = parts.shape[1]
        return Bank(jnp.zeros((length, units)), jnp.zeros((length, units)), jnp.zeros((), jnp.int32))

    def log_density(extra: Bank, codes: Array, mean: Array, log_variance: Array, parts: Array) -> Array:
        there = jnp.concatenate([jnp.ones(batch, bool), jnp.arange(length) < extra.filled])
        return aggregate_posterior.log_density(
            codes,
            jnp.concatenate([mean, extra.mean]),
            jnp.concatenate([log_variance, extra.log_variance]),
            aggregate_posterior.stratified_among(batch, size, there),
            partition.membership(parts),
        )

    def update(
        extra: Bank, codes: Array, mean: Array, log_variance: Array, parts: Array, key: Array
    ) -> tuple[Bank, Terms]:
        filled = jnp.minimum(extra.filled + batch, length)
        means, log_variances = (
            jnp.concatenate([new, old])[:length]
            for new, old in ((mean, extra.mean), (log_variance, extra.log_variance))
        )
        return Bank(means, log_variances, filled), {"bank": filled}

    return Estimator(init, log_density, update)


ESTIMATORS = {"memory_bank": make_memory_bank}
