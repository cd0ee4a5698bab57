"""The KL of every part of the units and the terms that it is the sum of, in nats per image (Eq. 9-11)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from scaledis.objectives import gaussian, partition


class Decomposition(NamedTuple):
    """The terms of the KL of every part (Beyond Flat Latent, Eq. 9), and the dependence between parts (Eq. 11).

    The terms are [B, P], per image and part, and mutual_information + total_correlation + dimension_wise equals
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
    """Splits log q(z | x) - log p(z) of every part into its terms.

    Args:
      codes, mean, log_variance: [B, K], samples and the posteriors that they were drawn from.
      log_aggregate: [B, G], log densities of the aggregate posterior, from any estimator.
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
