"""Regularisers that are a row of weights over the KL of every part and its terms (Beyond Flat Latent, Eq. 9)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
from jax import Array

from scaledis import estimators, objective, partition
from scaledis.methods import Method
from scaledis.methods._descent import Hyperparameters
from scaledis.methods._elbo import Inference, Progress, Regulariser, in_all, per_level, regularised

if TYPE_CHECKING:
    from scaledis.config import Config
    from scaledis.datasets import Dataset


class Weights(NamedTuple):
    """A row of weights, each a number or one per part [P]:

    R = sum_p [ kl_p KL(q(z_p | x) || p(z_p)) + mutual_information_p I(x; z_p)
              + dimension_wise_p sum_j KL(q(z_pj) || p(z_pj)) + intra_p TC(q(z_p)) ] + inter KL(q(z) || prod_p q(z_p))

    The KL is analytic; it is the sum of the first, second and third of the others, and so holds each of them once.
    """

    kl: Array | float = 1.0
    mutual_information: Array | float = 0.0
    dimension_wise: Array | float = 0.0
    intra: Array | float = 0.0
    inter: Array | float = 0.0


WeightsOf = Callable[[Hyperparameters, Inference], Weights]
PartsOf = Callable[[Hyperparameters, Array], Array]  # (hyperparameters, levels [L, K]) -> parts [P, K]


def the_levels(hyperparameters: Hyperparameters, levels: Array) -> Array:
    """The parts of the first paper: the levels themselves."""
    del hyperparameters
    return levels


def decomposed(
    config: "Config", size: int, weights: WeightsOf, parts_of: PartsOf = the_levels, estimator: str | None = None
) -> Regulariser:
    """The regulariser of a row of weights. `estimator` defaults to the config's; `size` is that of the data set.

    Levels that are not present are in no group: a dependence is only seen among the levels there are so far.
    """
    estimator = estimators.ESTIMATORS[estimator or config.objective.estimator](config, size)
    logged = per_level if parts_of is the_levels else in_all

    def groups(hyperparameters, inference):
        in_use = (inference.presence > 0).astype(jnp.float32) @ inference.levels
        return parts_of(hyperparameters, inference.levels) * in_use

    def posteriors(inference):
        return inference.codes, inference.mean, inference.log_variance

    def init(key, hyperparameters, levels):
        return estimator.init(key, parts_of(hyperparameters, levels))

    def nats(hyperparameters, memory, inference, key):
        kl = partition.combine(inference.kl, parts_of(hyperparameters, inference.levels)).mean(0)
        parts = groups(hyperparameters, inference)
        log_aggregate = estimator.log_density(memory, *posteriors(inference), parts)
        split = objective.decompose(*posteriors(inference), log_aggregate, parts)
        mutual_information, intra, dimension_wise, inter = (value.mean(0) for value in split)

        row = weights(hyperparameters, inference)
        total = row.inter * inter + jnp.sum(
            row.kl * kl
            + row.mutual_information * mutual_information
            + row.dimension_wise * dimension_wise
            + row.intra * intra
        )
        return total, {
            "inter_nats": inter,
            **logged("kl", kl),
            **logged("mutual_information", mutual_information),
            **logged("total_correlation", intra),
            **logged("dimension_wise", dimension_wise),
        }

    def remember(hyperparameters, memory, inference, key):
        return estimator.remember(memory, *posteriors(inference), groups(hyperparameters, inference), key)

    return Regulariser(init, nats, remember)


def weighing(
    weights: WeightsOf,
    parts_of: PartsOf = the_levels,
    estimator: str | None = None,
    progress: Callable[["Config"], Progress] | None = None,
) -> Callable[["Config", "Dataset"], Method]:
    """The `build` of a recipe whose regulariser is a row of weights."""

    def build(config, dataset):
        """L = L_rec + w R, R a row of weights over the parts of the KL; see the recipe's `objective`."""
        regulariser = decomposed(config, dataset.size, weights, parts_of, estimator)
        return regularised(config, dataset, regulariser, progress and progress(config))

    return build
