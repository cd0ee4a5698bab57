"""Hausdorff factorized support (Roth et al. 2023), added to the beta-VAE and the beta-TCVAE."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from scaledis.core import UserError, streams
from scaledis.methods import beta_tcvae
from scaledis.methods.base import penalty
from scaledis.methods.base.autoencoder import make_autoencoder
from scaledis.methods.base.elbo import make_penalized_method, mean_kl, stateless
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Config, Hyperparameters, ImageSpec, Method, Penalty, Posterior, Pytree, Terms

PAIRS = 25  # of latent units, drawn in every step


def factorized_support(means: Array, pairs: Array) -> Array:
    """Returns sum over pairs (a, b) of max_{i, j} min_k (m_ia - m_ka)^2 + (m_jb - m_kb)^2, in squared units of codes.

    For each pair of units it is the distance from the combinations of their values in the batch to the batch itself; it
    is zero if every combination occurs. Both ends of the distance have a gradient.

    Args:
      means: [B, K], posterior means.
      pairs: [P, 2], units.
    """

    means = jnp.asarray(means)

    def of_pair(pair: Array) -> Array:
        a, b = means[:, pair[0]], means[:, pair[1]]
        along_a, along_b = (jnp.square(unit[:, None] - unit) for unit in lax.stop_gradient((a, b)))
        nearest = (along_a[:, None] + along_b[None]).min(2)  # over k; a minimum costs a twentieth of an argmin
        i, j = jnp.unravel_index(jnp.argmax(nearest), nearest.shape)
        k = jnp.argmin(along_a[i] + along_b[j])
        # Only the distance that was found needs a gradient.
        return jnp.square(a[i] - a[k]) + jnp.square(b[j] - b[k])

    return jnp.sum(lax.map(of_pair, pairs))


def drawn_pairs(key: Array, active: Array, count: int) -> Array:
    """Draws `count` different pairs of units, [count, 2]: pairs of active units first, then with inactive ones."""
    every = np.asarray(list(itertools.combinations(range(len(active)), 2)))
    score = jax.vmap(jax.random.uniform)(streams.each(key, every[:, 0] << 16 | every[:, 1]))
    absent = 1.0 - active[every].prod(1)
    return jnp.asarray(every)[jnp.argsort(score + absent)[:count]]


def with_support(base: Penalty, weight: str = "gamma") -> Penalty:
    """Returns `base` plus the factorized support times the hyperparameter `weight`."""

    def value(hyperparameters: Hyperparameters, extra: Pytree, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
        total, terms = base.value(hyperparameters, extra, posterior, key)
        active = posterior.levels.sum(0)
        count = min(PAIRS, active.size * (active.size - 1) // 2)
        support = factorized_support(posterior.mean, drawn_pairs(key, active, count))
        return total + hyperparameters[weight] * support, terms | {"factorized_support": support}

    return base._replace(value=value)


def weighted_kl(hyperparameters: Hyperparameters, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
    """Returns beta KL(q(z | x) || p(z))."""
    return hyperparameters["beta"] * mean_kl(posterior), {}


def build_beta_vae(config: Config, images: ImageSpec) -> Method:
    """The beta-VAE with Hausdorff factorized support (Roth et al. 2023).

        R = beta KL(q(z | x) || p(z)) + gamma sum_{a, b} max_{i, j} min_k [ (m_ia - m_ka)^2 + (m_jb - m_kb)^2 ]

    over 25 random pairs of units a, b a step, with m the posterior means of the batch.
    """
    return make_penalized_method(config, make_autoencoder(config, images), with_support(stateless(weighted_kl)))


def build_beta_tcvae(config: Config, images: ImageSpec) -> Method:
    """The beta-TCVAE with Hausdorff factorized support (Roth et al. 2023).

        R = KL(q(z | x) || p(z)) + (beta - 1) TC(q(z))
            + gamma sum_{a, b} max_{i, j} min_k [ (m_ia - m_ka)^2 + (m_jb - m_kb)^2 ]

    over 25 random pairs of units a, b a step, with m the posterior means of the batch.
    """
    total_correlation = penalty.weighted_decomposition(config, images, beta_tcvae.flat_total_correlation)
    return make_penalized_method(config, make_autoencoder(config, images), with_support(total_correlation))


def two_units(config: Config) -> None:
    """Raises UserError for a single unit, which forms no pair."""
    if sum(config.model.allocation) < 2:
        raise UserError(f"model.latents: {sum(config.model.allocation)}; {config.method.name} needs 2 units or more.")


GAMMA = Hyperparameter(10.0, "weight of the factorized support, nats per squared unit of a code")

METHODS = {
    "beta_vae_hfs": MethodSpec(
        build_beta_vae,
        equation_of(build_beta_vae),
        about="beta KL + gamma HFS: the beta-VAE with factorized support (Roth et al. 2023).",
        hyperparameters={"beta": Hyperparameter(1.0, "weight of the KL"), "gamma": GAMMA},
        estimator=False,
        check=two_units,
        widens=True,
        settings={"": {**FLAT, "method.beta": 1.0, "method.gamma": 10.0}},  # of the published grids; ours
    ),
    "beta_tcvae_hfs": MethodSpec(
        build_beta_tcvae,
        equation_of(build_beta_tcvae),
        about="(beta - 1) TC(z) + gamma HFS: the beta-TCVAE with factorized support (Roth et al. 2023).",
        hyperparameters={"beta": Hyperparameter(6.0, "weight of TC, including that in the KL"), "gamma": GAMMA},
        check=two_units,
        widens=True,
        settings={"": {**FLAT, "method.beta": 6.0, "method.gamma": 10.0}},  # of the published grids; ours
    ),
}
