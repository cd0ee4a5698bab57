"""Estimators of the aggregate posterior q(z_g) = E_x[q(z_g | x)] of every group g of units.

All of them are one weighted sum over posteriors and differ in the weights w:

    log q(z_i,g) ~= logsumexp_j (log w_ij + sum_{k in g} log q(z_ik | x_j))

Letters: B codes, M posteriors, K units, G groups, N images in the data set.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis import gaussian, partition

BLOCK = 256
ABSENT = -1e30  # log weight of a posterior that is not there; finite, since a block of -inf alone has no gradient


def log_density(
    codes: Array, mean: Array, log_variance: Array, log_weights: Array, membership: Array, block: int = BLOCK
) -> Array:
    """Log density of the weighted mixture of posteriors, for every group of units, in nats.

    The posteriors are read in blocks and recomputed in the backward pass, so memory is O(B block K), never O(B M K).

    Args:
      codes: [B, K] samples.
      mean, log_variance: [M, K] posteriors.
      log_weights: [B, M] (or what broadcasts to it); each row's weights say how much a posterior stands for.
      membership: [G, K], 0/1.
      block: posteriors per block.

    Returns:
      [B, G].
    """
    count, units = codes.shape
    posteriors, groups = mean.shape[0], membership.shape[0]
    block = min(block, posteriors)
    missing = -posteriors % block

    def blocks(array: Array, value: float) -> Array:
        """[n, M] -> [M / block, n, block], the last block padded."""
        padded = jnp.pad(array, ((0, 0), (0, missing)), constant_values=value)
        return jnp.moveaxis(padded.reshape(len(array), -1, block), 1, 0)

    log_weights = jnp.broadcast_to(log_weights, (count, posteriors))
    mixture = blocks(mean.T, 0), blocks(log_variance.T, 0), blocks(log_weights, ABSENT)

    def add_block(total, posteriors):
        mean, log_variance, log_weights = posteriors
        # The posteriors are innermost: every loop runs along them, and the sum over a group's units is one product.
        log_q = gaussian.log_density(codes.T[:, :, None], mean[:, None], log_variance[:, None])
        log_q = partition.combine(log_q.reshape(units, -1).T, membership).T.reshape(groups, count, block)
        return jnp.logaddexp(total, jax.nn.logsumexp(log_q + log_weights, axis=2)), None

    empty = jnp.full((groups, count), -jnp.inf, codes.dtype)
    if posteriors == block:  # a minibatch: nothing to save, and a loop of one step is slow
        return add_block(empty, jax.tree.map(lambda part: part[0], mixture))[0].T
    return jax.lax.scan(jax.checkpoint(add_block), empty, mixture)[0].T


def minibatch_weighted(batch: int, size: int) -> np.ndarray:
    """Log weights [B, B] of minibatch weighted sampling: 1 / (B N) each (Beyond Flat Latent, Eq. 12).

    Biased: no code can look less likely than its own posterior over B N, so a dependence above about log B saturates.
    """
    return np.full((batch, batch), -np.log(batch * size), np.float32)


def minibatch_stratified(batch: int, size: int) -> np.ndarray:
    """Log weights [B, B] of minibatch stratified sampling: 1 / N for the own posterior, the rest shared evenly.

    An unbiased estimate of q(z_i). It is the weight matrix of beta-TCVAE (Chen et al. 2018, appendix C.2) averaged over
    which of the other samples takes the odd weight, with the own sample on the diagonal.
    """
    return np.asarray(_stratified(batch, size, np.ones(batch, bool)))


def _stratified(batch: int, size: int, there: Array) -> Array:
    """[B, M]: 1 / N for the own posterior, that of equal number; the rest shared by the others that are `there` [M]."""
    share = jnp.log1p(-1.0 / size) - jnp.log(there.sum() - 1)
    others = jnp.where(there, share, ABSENT)
    return jnp.where(jnp.eye(batch, len(there), dtype=bool), -jnp.log(float(size)), others)


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Log weights whose every row sums to 1: drops the constant log N of Eq. 12, which has no gradient.

    Dependences then read as those of the mixture of the posteriors at hand, instead of that plus (groups - 1) log N.
    """
    return log_weights - np.logaddexp.reduce(log_weights, axis=1, keepdims=True)


def exact(size: int) -> np.ndarray:
    """Log weight 1 / N of the aggregate posterior itself; the posteriors must be those of all N images."""
    return np.full((1, 1), -np.log(size), np.float32)


class Estimator(NamedTuple):
    """Log densities of the aggregate posterior in a training step, and whatever the estimator carries between steps.

    init: (key, parts [P, K]) -> memory, a pytree; part of the run's state and so of its checkpoints.
    log_density: (memory, codes, mean, log_variance, parts) -> [B, G], for the groups of partition.membership.
    remember: (memory, codes, mean, log_variance, parts, key) -> (memory, terms); after each step. Consumes `key`.
    """

    init: Callable[[Array, Array], Any]
    log_density: Callable[..., Array]
    remember: Callable[..., tuple[Any, dict[str, Array]]]


def of_batch(log_weights: np.ndarray) -> Estimator:
    """Of the posteriors of the batch alone: nothing to remember."""
    log_weights = normalised(log_weights)
    return Estimator(
        init=lambda key, parts: (),
        log_density=lambda memory, codes, mean, log_variance, parts: log_density(
            codes, mean, log_variance, log_weights, partition.membership(parts)
        ),
        remember=lambda memory, codes, mean, log_variance, parts, key: (memory, {}),
    )


class Bank(NamedTuple):
    """The posteriors of the last n images, newest first, without gradient: [n, K], of which `filled` are there."""

    mean: Array
    log_variance: Array
    filled: Array


def memory_bank(batch: int, size: int, length: int) -> Estimator:
    """Stratified sampling over the batch and the posteriors of the last `length` images.

    The own posterior weighs 1 / N and the other B - 1 + n share the rest, so a dependence saturates at about log(B + n)
    instead of log B. The remembered posteriors are those of slightly older parameters and carry no gradient.
    """

    def init(key, parts):
        units = parts.shape[1]
        return Bank(jnp.zeros((length, units)), jnp.zeros((length, units)), jnp.zeros((), jnp.int32))

    def density(memory, codes, mean, log_variance, parts):
        there = jnp.concatenate([jnp.ones(batch, bool), jnp.arange(length) < memory.filled])
        return log_density(
            codes,
            jnp.concatenate([mean, memory.mean]),
            jnp.concatenate([log_variance, memory.log_variance]),
            _stratified(batch, size, there),
            partition.membership(parts),
        )

    def remember(memory, codes, mean, log_variance, parts, key):
        filled = jnp.minimum(memory.filled + batch, length)
        means, log_variances = (
            jnp.concatenate([new, old])[:length]
            for new, old in ((mean, memory.mean), (log_variance, memory.log_variance))
        )
        return Bank(means, log_variances, filled), {"bank": filled}

    return Estimator(init, density, remember)
