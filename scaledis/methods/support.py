"""Hausdorff factorised support (Roth et al. 2023), beside the beta-VAE and the beta-TCVAE."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from scaledis.methods import Hyperparameter, Recipe
from scaledis.methods._dependence import decomposed
from scaledis.methods._elbo import Regulariser, forgetful, regularised
from scaledis.methods.total_correlation import beta_tcvae, flat_total_correlation

PAIRS = 25  # of latent units, drawn anew in every step


def factorised_support(means: Array, pairs: Array) -> Array:
    """sum over pairs (a, b) of max_{i, j} min_k (m_ia - m_ka)^2 + (m_jb - m_kb)^2: [], squared units of the codes.

    The distance of the factorised set, all combinations of what units a and b take over the batch, to the batch itself;
    zero where every combination occurs. Its gradient reaches both ends of the distance.

    Args:
      means: [B, K], posterior means.
      pairs: [P, 2], units.
    """

    means = jnp.asarray(means)

    def of_pair(pair):
        a, b = means[:, pair[0]], means[:, pair[1]]
        along_a, along_b = (jnp.square(unit[:, None] - unit) for unit in lax.stop_gradient((a, b)))
        distance = along_a[:, None] + along_b[None]  # i, j, k
        nearest = jnp.argmin(distance, axis=2)
        furthest = jnp.argmax(jnp.take_along_axis(distance, nearest[:, :, None], axis=2))
        i, j = jnp.unravel_index(furthest, nearest.shape)
        k = nearest[i, j]
        # Only the distance that was found has a gradient, so it alone is computed with one.
        return jnp.square(a[i] - a[k]) + jnp.square(b[j] - b[k])

    return lax.map(of_pair, pairs).sum()


def drawn_pairs(key: Array, active: Array, count: int) -> Array:
    """`count` different pairs of active units, at random: [count, 2]; of inactive ones once there are no others."""
    every = np.asarray(list(itertools.combinations(range(len(active)), 2)))
    score = jax.vmap(lambda pair: jax.random.uniform(jax.random.fold_in(key, pair[0] << 16 | pair[1])))(every)
    absent = 1.0 - active[every].prod(1)
    return jnp.asarray(every)[jnp.argsort(score + absent)[:count]]


def _added(base: Regulariser) -> Regulariser:
    """`base` with gamma times the factorised support added."""

    def nats(hyperparameters, memory, inference, key):
        total, terms = base.nats(hyperparameters, memory, inference, key)
        active = inference.levels.sum(0)
        count = min(PAIRS, active.size * (active.size - 1) // 2)
        support = factorised_support(inference.mean, drawn_pairs(key, active, count))
        return total + hyperparameters["gamma"] * support, terms | {"factorised_support": support}

    return base._replace(nats=nats)


def _weighted_kl(hyperparameters, inference, key):
    """beta KL(q(z | x) || p(z))."""
    return hyperparameters["beta"] * inference.mean_kl, {}


def with_beta_vae(config, dataset):
    """The beta-VAE with Hausdorff factorised support (Roth et al. 2023).

        R = beta KL(q(z | x) || p(z)) + gamma sum_{a, b} max_{i, j} min_k [ (m_ia - m_ka)^2 + (m_jb - m_kb)^2 ]

    over 25 random pairs of units a, b a step, with m the posterior means of the batch.
    """
    return regularised(config, dataset, _added(forgetful(_weighted_kl)))


def with_beta_tcvae(config, dataset):
    """The beta-TCVAE with Hausdorff factorised support (Roth et al. 2023).

        R = KL(q(z | x) || p(z)) + (beta - 1) TC(q(z))
            + gamma sum_{a, b} max_{i, j} min_k [ (m_ia - m_ka)^2 + (m_jb - m_kb)^2 ]

    over 25 random pairs of units a, b a step, with m the posterior means of the batch.
    """
    return regularised(config, dataset, _added(decomposed(config, dataset.size, flat_total_correlation)))


GAMMA = Hyperparameter(10.0, "weight of the factorised support, nats per squared unit of a code")

beta_vae_hfs = Recipe(
    with_beta_vae,
    with_beta_vae,
    about="beta KL + gamma HFS: the beta-VAE with factorised support (Roth et al. 2023).",
    hyperparameters={"beta": Hyperparameter(1.0, "weight of the KL"), "gamma": GAMMA},
)
beta_tcvae_hfs = Recipe(
    with_beta_tcvae,
    with_beta_tcvae,
    about="(beta - 1) TC(z) + gamma HFS: the beta-TCVAE with factorised support (Roth et al. 2023).",
    hyperparameters={**beta_tcvae.hyperparameters, "gamma": GAMMA},
)
