"""Penalties on the covariance of the codes (Kumar et al. 2018, DIP-VAE)."""

import jax.numpy as jnp
from jax import Array

from scaledis.methods import Hyperparameter, Recipe
from scaledis.methods._elbo import forgetful, regularised


def deviation(covariance: Array, active: Array) -> tuple[Array, Array]:
    """How far a covariance [K, K] of the active units is from the identity: the squares off and on the diagonal."""
    off = covariance * (1 - jnp.eye(len(active)))
    on = (jnp.diag(covariance) - 1.0) * active
    return jnp.square(off).sum(), jnp.square(on).sum()


def _penalised(hyperparameters, inference, of_codes: bool):
    kl = inference.mean_kl
    centred = inference.mean - inference.mean.mean(0)
    covariance = centred.T @ centred / len(centred)
    active = inference.levels.sum(0)
    if of_codes:
        covariance += jnp.diag(jnp.exp(inference.log_variance).mean(0) * active)
    off, on = deviation(covariance, active)
    total = kl + hyperparameters["off_diagonal"] * off + hyperparameters["diagonal"] * on
    return total, {"covariance_off_diagonal": off, "covariance_diagonal": on}


def of_means(hyperparameters, inference, key):
    """The DIP-VAE I (Kumar et al. 2018).

        R = KL(q(z | x) || p(z)) + off_diagonal sum_{i != j} Cov[m]_ij^2 + diagonal sum_i (Cov[m]_ii - 1)^2

    over the batch's posterior means m.
    """
    return _penalised(hyperparameters, inference, of_codes=False)


def of_codes(hyperparameters, inference, key):
    """The DIP-VAE II (Kumar et al. 2018).

        R = KL(q(z | x) || p(z)) + off_diagonal sum_{i != j} Cov[z]_ij^2 + diagonal sum_i (Cov[z]_ii - 1)^2

    with Cov[z] = Cov[m] + E[diag(sigma^2)], over the batch's posteriors N(m, diag(sigma^2)).
    """
    return _penalised(hyperparameters, inference, of_codes=True)


def build_means(config, dataset):
    """L = L_rec + w [ KL + penalty on Cov[m] ]."""
    return regularised(config, dataset, forgetful(of_means))


def build_codes(config, dataset):
    """L = L_rec + w [ KL + penalty on Cov[z] ]."""
    return regularised(config, dataset, forgetful(of_codes))


def _weights(off_diagonal: float, diagonal: float) -> dict[str, Hyperparameter]:
    return {
        "off_diagonal": Hyperparameter(off_diagonal, "weight of the squared covariances"),
        "diagonal": Hyperparameter(diagonal, "weight of the squared distance of the variances to 1"),
    }


dip_vae_i = Recipe(
    build_means,
    of_means,
    about="the covariance of the posterior means to the identity: the DIP-VAE I (Kumar et al. 2018).",
    hyperparameters=_weights(10.0, 100.0),
)
dip_vae_ii = Recipe(
    build_codes,
    of_codes,
    about="the covariance of the codes to the identity: the DIP-VAE II (Kumar et al. 2018).",
    hyperparameters=_weights(10.0, 10.0),
)
