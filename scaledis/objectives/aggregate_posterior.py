"""The aggregate posterior q(z_g) = E_x[q(z_g | x)] of every group g of units.

Every estimate of it is one weighted sum over posteriors, and estimates differ in the weights w:

    log q(z_i,g) ~= logsumexp_j (log w_ij + sum_{k in g} log q(z_ik | x_j))

Letters: B codes, M posteriors, K units, G groups, N images in the data set.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis.objectives import gaussian, partition

BLOCK = 256
ABSENT = -1e30  # log weight of a missing posterior; finite, since a block of -inf alone has no gradient


def log_density(
    codes: Array,
    mean: Array,
    log_variance: Array,
    log_weights: Array | np.ndarray,
    membership: Array,
    block: int = BLOCK,
) -> Array:
    """Returns the log density of a weighted mixture of posteriors for every group of units, in nats.

    It reads the posteriors in blocks and recomputes them in the backward pass, so memory is O(B block K), not O(B M K),
    besides the weights: [B, M], or [M] where they are the same for every code.

    Args:
      codes: [B, K] samples.
      mean, log_variance: [M, K] posteriors.
      log_weights: [B, M], or axes of size 1 that broadcast to it; row i weighs the posteriors for code i.
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

    log_weights = jnp.broadcast_to(log_weights, (len(log_weights), posteriors))
    mixture = blocks(mean.T, 0), blocks(log_variance.T, 0), blocks(log_weights, ABSENT)

    def add_block(total: Array, posteriors: tuple[Array, Array, Array]) -> tuple[Array, None]:
        mean, log_variance, log_weights = posteriors
        # The posteriors are innermost: every loop runs along them, and the sum over a group's units is one product.
        log_q = gaussian.log_density(codes.T[:, :, None], mean[:, None], log_variance[:, None])
        log_q = partition.combine(log_q.reshape(units, -1).T, membership).T.reshape(groups, count, block)
        return jnp.logaddexp(total, jax.nn.logsumexp(log_q + log_weights, axis=2)), None

    empty = jnp.full((groups, count), -jnp.inf, codes.dtype)
    if posteriors == block:  # a minibatch: nothing to save, and a loop of one step is slow
        mean, log_variance, log_weights = (part[0] for part in mixture)
        return add_block(empty, (mean, log_variance, log_weights))[0].T
    total, _ = jax.lax.scan(jax.checkpoint(add_block), empty, mixture)
    return jnp.asarray(total).T


def minibatch_weighted(batch: int, size: int) -> np.ndarray:
    """Returns the log weights [B, B] of minibatch weighted sampling: 1 / (B N) each (Beyond Flat Latent, Eq. 12).

    Biased, since a code's own posterior counts as much as any other: the mutual information of a group saturates at
    log B. With I_j the information of unit j, a total correlation then reads sum_j I_j - log B, which overestimates it:
    by up to (K - 1) log B within a group of K units, and by up to (L - 1) log B across L levels.
    """
    return np.full((batch, batch), -np.log(batch * size), np.float32)


def minibatch_stratified(batch: int, size: int) -> np.ndarray:
    """Returns the log weights [B, B] of minibatch stratified sampling: 1 / N for the own posterior, the rest shared.

    They estimate q(z_i) without bias if the images of the batch differ. They are the weight matrix of beta-TCVAE (Chen
    et al. 2018, appendix C.2), averaged over which of the other samples takes the odd weight, with the own sample on
    the diagonal.
    """
    return np.asarray(stratified_among(size, ~np.eye(batch, dtype=bool)))


def stratified_among(size: int, others: Array | np.ndarray) -> Array:
    """Returns log weights [B, M]: 1 / N for the own posterior, j = i; the rest is shared by `others`, bool [B, M].

    If the others are all N - 1 images but the own one, every weight is 1 / N.
    """
    share = jnp.log1p(-1.0 / size) - jnp.log(others.sum(1, keepdims=True))
    own = jnp.eye(others.shape[0], others.shape[1], dtype=bool)
    return jnp.where(own, -jnp.log(float(size)), jnp.where(others, share, ABSENT))


def weighted_among(size: int, others: Array | np.ndarray) -> Array:
    """Returns log weights [B, M]: 1 / n for each of the n posteriors that count, the own one, j = i, and `others`.

    They are those of minibatch weighted sampling without the constant log N, whatever `size`.
    """
    del size
    known = jnp.asarray(others) | jnp.eye(others.shape[0], others.shape[1], dtype=bool)
    return jnp.where(known, -jnp.log(known.sum(1, keepdims=True)), ABSENT)


def normalize(log_weights: np.ndarray) -> np.ndarray:
    """Returns log weights whose rows each sum to 1, without the constant log N of Eq. 12, which has no gradient.

    Dependences are then those of the mixture of the given posteriors, instead of those plus (groups - 1) log N.
    """
    return log_weights - np.logaddexp.reduce(log_weights, axis=1, keepdims=True)


def exact(size: int) -> np.ndarray:
    """Returns the log weight 1 / N of the aggregate posterior itself; the posteriors must be those of all N images."""
    return np.full((1, 1), -np.log(size), np.float32)
