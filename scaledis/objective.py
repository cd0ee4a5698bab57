"""Likelihoods and the terms of the objective, in nats per image: summed over pixels and units, one value per image."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from scaledis import gaussian, partition

PIXELS = (0, 1, 2)  # [C, H, W, B]: the axes that make up one image


class Likelihood(NamedTuple):
    """p(x | z) given the decoder's output.

    nats: (output [C, H, W, B], images [C, H, W, B] in [0, 1], sigma) -> -log p(x | z), [B].
    mean: output -> the expected image, in [0, 1].
    """

    nats: Callable[[Array, Array, Array], Array]
    mean: Callable[[Array], Array]


def _gaussian_nats(output: Array, images: Array, sigma: Array) -> Array:
    return -gaussian.log_density(images, output, 2 * jnp.log(sigma)).sum(PIXELS)


def _bernoulli_nats(output: Array, images: Array, sigma: Array) -> Array:
    del sigma  # a Bernoulli has no scale
    return (jax.nn.softplus(output) - images * output).sum(PIXELS)


LIKELIHOODS = {
    "gaussian": Likelihood(_gaussian_nats, lambda output: jnp.clip(output, 0.0, 1.0)),
    "bernoulli": Likelihood(_bernoulli_nats, jax.nn.sigmoid),
}


class Decomposition(NamedTuple):
    """The KL of every level and what it is made of (Beyond Flat Latent, Eq. 9), and the levels' dependence (Eq. 11).

    Per image and level, [B, L], and mutual_information + total_correlation + dimension_wise equals
    log q(z_l | x) - log p(z_l) exactly, whatever the estimator, since log q(z_l) and log q(z_lj) cancel.

    mutual_information: log q(z_l | x) - log q(z_l).
    total_correlation: log q(z_l) - sum_j log q(z_lj).
    dimension_wise: sum_j log q(z_lj) - log p(z_lj).
    inter: [B], log q(z) - sum_l log q(z_l).
    """

    mutual_information: Array
    total_correlation: Array
    dimension_wise: Array
    inter: Array


def decompose(
    codes: Array, mean: Array, log_variance: Array, log_aggregate: Array, rows: partition.Contrasts, levels: Array
) -> Decomposition:
    """Splits log q(z | x) - log p(z) at every level.

    Args:
      codes, mean, log_variance: [B, K], samples and the posteriors that they were drawn from.
      log_aggregate: [B, G], log densities of the aggregate posterior (aggregate.log_density).
      rows: partition.Contrasts of the ladder.
      levels: [L, K], 0/1, the active units of each level.
    """
    depth = levels.shape[0]
    posterior = partition.combine(gaussian.log_density(codes, mean, log_variance), levels)
    prior = partition.combine(gaussian.log_density(codes, 0.0, jnp.zeros_like(codes)), levels)
    of_level = log_aggregate[:, 1 : 1 + depth]
    of_units = partition.combine(log_aggregate[:, 1 + depth :], levels)
    return Decomposition(
        mutual_information=posterior - of_level,
        total_correlation=partition.combine(log_aggregate, rows.intra),
        dimension_wise=of_units - prior,
        inter=partition.combine(log_aggregate, rows.inter),
    )
