"""Penalties that are a row of weights over the KL of every part and its terms (Beyond Flat Latent, Eq. 9)."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from scaledis.methods import estimators
from scaledis.methods.base import autoencoder, elbo
from scaledis.objectives import decomposition, partition
from scaledis.types import Config, Hyperparameters, ImageSpec, Method, Penalty, Posterior, Pytree, Terms


class Weights(NamedTuple):
    """A row of weights, each a number or an array with one per part [P]:

    R = sum_p [ kl_p KL(q(z_p | x) || p(z_p)) + mutual_information_p I(x; z_p)
              + dimension_wise_p sum_j KL(q(z_pj) || p(z_pj)) + intra_p TC(q(z_p)) ] + inter KL(q(z) || prod_p q(z_p))

    The KL is analytic. It is the sum of the three other terms in the bracket.
    """

    kl: Array | float = 1.0
    mutual_information: Array | float = 0.0
    dimension_wise: Array | float = 0.0
    intra: Array | float = 0.0
    inter: Array | float = 0.0


WeightsOf = Callable[[Hyperparameters, Posterior], Weights]
PartsOf = Callable[[Hyperparameters, Array], Array]  # (hyperparameters, levels [L, K]) -> parts [P, K]


def by_level(hyperparameters: Hyperparameters, levels: Array) -> Array:
    """Returns the levels as the parts (Beyond Flat Latent)."""
    del hyperparameters
    return levels


def of_blocks(name: str, values: Array) -> Terms:
    """Returns the sum of values [P] in nats over parts that are blocks."""
    return {f"{name}_of_blocks_nats": values.sum()}


def weighted_decomposition(
    config: Config, images: ImageSpec, weights: WeightsOf, parts_of: PartsOf = by_level, estimator: str | None = None
) -> Penalty:
    """Returns the penalty of a row of weights. `estimator` defaults to the config's.

    Absent levels are in no group: the dependence between levels is that between the levels that are present.
    """
    estimate = estimators.make(estimator or config.objective.estimator, config, images)
    named = elbo.per_level if parts_of is by_level else of_blocks

    def groups(hyperparameters: Hyperparameters, posterior: Posterior) -> Array:
        in_use = partition.combine((hyperparameters["presence"] > 0).astype(jnp.float32), posterior.levels.T)
        return parts_of(hyperparameters, posterior.levels) * in_use

    def init(key: Array, hyperparameters: Hyperparameters, levels: Array) -> Pytree:
        return estimate.init(key, parts_of(hyperparameters, levels))

    def value(hyperparameters: Hyperparameters, extra: Pytree, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
        kl = partition.combine(elbo.kl_of_units(posterior), parts_of(hyperparameters, posterior.levels)).mean(0)
        parts = groups(hyperparameters, posterior)
        log_aggregate = estimate.log_density(extra, posterior, parts)
        split = decomposition.decompose(posterior.codes, posterior.mean, posterior.log_variance, log_aggregate, parts)
        mutual_information, intra, dimension_wise, inter = (nats.mean(0) for nats in split)

        row = weights(hyperparameters, posterior)
        total = row.inter * inter + jnp.sum(
            row.kl * kl
            + row.mutual_information * mutual_information
            + row.dimension_wise * dimension_wise
            + row.intra * intra
        )
        return total, {
            "inter_nats": inter,
            **named("kl", kl),
            **named("mutual_information", mutual_information),
            **named("total_correlation", intra),
            **named("dimension_wise", dimension_wise),
        }

    def update(
        hyperparameters: Hyperparameters, extra: Pytree, posterior: Posterior, key: Array
    ) -> tuple[Pytree, Terms]:
        return estimate.update(extra, posterior, groups(hyperparameters, posterior), key)

    return Penalty(init, value, update)


def make_build(
    weights: WeightsOf, parts_of: PartsOf = by_level, estimator: str | None = None
) -> Callable[[Config, ImageSpec], Method]:
    """Returns the `build` of a method whose penalty is a row of weights."""

    def build(config: Config, images: ImageSpec) -> Method:
        """L = L_rec + w R, where R is a row of weights over the parts of the KL."""
        penalty = weighted_decomposition(config, images, weights, parts_of, estimator)
        return elbo.make_penalized_method(config, autoencoder.make_autoencoder(config, images), penalty)

    return build
