"""Estimators of the aggregate posterior q(z_g) = E_x[q(z_g | x)] of every group g of units.

All of them are one weighted sum over posteriors and differ in the weights w:

    log q(z_i,g) ~= logsumexp_j (log w_ij + sum_{k in g} log q(z_ik | x_j))
 Letters: B codes, M posteriors, K units, G groups, N images in the data set.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis import gaussian

BLOCK = 256


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
    posteriors, units = mean.shape
    log_weights = jnp.broadcast_to(log_weights, (codes.shape[0], posteriors))
    block = min(block, posteriors)
    missing = -posteriors % block
    mean = jnp.pad(mean, ((0, missing), (0, 0))).reshape(-1, block, units)
    log_variance = jnp.pad(log_variance, ((0, missing), (0, 0))).reshape(-1, block, units)
    log_weights = jnp.pad(log_weights, ((0, 0), (0, missing)), constant_values=-jnp.inf)
    log_weights = jnp.moveaxis(log_weights.reshape(codes.shape[0], -1, block), 1, 0)

    @jax.checkpoint
    def add_block(total, posteriors):
        mean, log_variance, log_weights = posteriors
        log_q = gaussian.log_density(codes[:, None], mean, log_variance)
        log_q = jnp.einsum("ijk,gk->ijg", log_q, membership, precision=jax.lax.Precision.HIGHEST)
        return jnp.logaddexp(total, jax.nn.logsumexp(log_q + log_weights[:, :, None], axis=1)), None

    empty = jnp.full((codes.shape[0], membership.shape[0]), -jnp.inf, codes.dtype)
    return jax.lax.scan(add_block, empty, (mean, log_variance, log_weights))[0]


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
    if batch < 2:
        raise ValueError(f"train.batch: {batch} is too small for minibatch_stratified, which needs 2 samples or more.")
    weights = np.full((batch, batch), (1 - 1 / size) / (batch - 1))
    np.fill_diagonal(weights, 1 / size)
    return np.log(weights).astype(np.float32)


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Log weights whose every row sums to 1: drops the constant log N of Eq. 12, which has no gradient.

    Dependences then read as those of the mixture of the posteriors at hand, instead of that plus (groups - 1) log N.
    """
    return log_weights - np.logaddexp.reduce(log_weights, axis=1, keepdims=True)


def exact(size: int) -> np.ndarray:
    """Log weight 1 / N of the aggregate posterior itself; the posteriors must be those of all N images."""
    return np.full((1, 1), -np.log(size), np.float32)


ESTIMATORS = {"minibatch_weighted": minibatch_weighted, "minibatch_stratified": minibatch_stratified}
