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
    learns_sigma: whether sigma is a parameter that starts at `objective.sigma` (Rybkin et al. 2021) instead of it.
    """

    nats: Callable[[Array, Array, Array], Array]
    mean: Callable[[Array], Array]
    learns_sigma: bool = False


def _gaussian_nats(output: Array, images: Array, sigma: Array) -> Array:
    return -gaussian.log_density(images, output, 2 * jnp.log(sigma)).sum(PIXELS)


def _bernoulli_nats(output: Array, images: Array, sigma: Array) -> Array:
    del sigma  # a Bernoulli has no scale
    return (jax.nn.softplus(output) - images * output).sum(PIXELS)


def _clipped(output: Array) -> Array:
    return jnp.clip(output, 0.0, 1.0)


LIKELIHOODS = {
    "gaussian": Likelihood(_gaussian_nats, _clipped),
    "gaussian_learned": Likelihood(_gaussian_nats, _clipped, learns_sigma=True),
    "bernoulli": Likelihood(_bernoulli_nats, jax.nn.sigmoid),
}


class Decomposition(NamedTuple):
    """The KL of every part and what it is made of (Beyond Flat Latent, Eq. 9), and the parts' dependence (Eq. 11).

    Per image and part, [B, P], and mutual_information + total_correlation + dimension_wise equals
    log q(z_p | x) - log p(z_p) exactly, whatever the estimator, since log q(z_p) and log q(z_pj) cancel.

    mutual_information: log q(z_p | x) - log q(z_p).
    total_correlation: log q(z_p) - sum_j log q(z_pj).
    dimension_wise: sum_j log q(z_pj) - log p(z_pj).
    inter: [B], log q(z) - sum_p log q(z_p).
    """

    mutual_information: Array
    total_correlation: Array
    dimension_wise: Array
    inter: Array


def decompose(codes: Array, mean: Array, log_variance: Array, log_aggregate: Array, parts: Array) -> Decomposition:
    """Splits log q(z | x) - log p(z) of every part.

    Args:
      codes, mean, log_variance: [B, K], samples and the posteriors that they were drawn from.
      log_aggregate: [B, G], log densities of the aggregate posterior, from any estimator (aggregate.ESTIMATORS).
      parts: [P, K], 0/1.
    """
    count = parts.shape[0]
    rows = partition.contrasts(parts)
    posterior = partition.combine(gaussian.log_density(codes, mean, log_variance), parts)
    prior = partition.combine(gaussian.log_density(codes, 0.0, jnp.zeros_like(codes)), parts)
    of_parts = log_aggregate[:, 1 : 1 + count]
    of_units = partition.combine(log_aggregate[:, 1 + count :], parts)
    return Decomposition(
        mutual_information=posterior - of_parts,
        total_correlation=partition.combine(log_aggregate, rows.intra),
        dimension_wise=of_units - prior,
        inter=partition.combine(log_aggregate, rows.inter),
    )
