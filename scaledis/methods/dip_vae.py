"""Penalties on the covariance of the codes (Kumar et al. 2018, DIP-VAE)."""

import jax.numpy as jnp
from jax import Array

from scaledis.methods.base import autoencoder, elbo
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Config, Hyperparameters, ImageSpec, Method, Posterior, Terms


def deviation(covariance: Array, active: Array) -> tuple[Array, Array]:
    """Returns the squared distances of a covariance [K, K] of active units to the identity, off and on the diagonal."""
    off = covariance * (1 - jnp.eye(len(active)))
    on = (jnp.diag(covariance) - 1.0) * active
    return jnp.square(off).sum(), jnp.square(on).sum()


def penalized(hyperparameters: Hyperparameters, posterior: Posterior, of_codes: bool) -> tuple[Array, Terms]:
    """Returns the KL plus the weighted squares, off and on the diagonal, of the covariance minus the identity."""
    kl = elbo.mean_kl(posterior)
    centered = posterior.mean - posterior.mean.mean(0)
    covariance = jnp.matmul(centered.T, centered, precision="highest") / len(centered)
    active = posterior.levels.sum(0)
    if of_codes:
        covariance += jnp.diag(jnp.exp(posterior.log_variance).mean(0) * active)
    off, on = deviation(covariance, active)
    total = kl + hyperparameters["off_diagonal"] * off + hyperparameters["diagonal"] * on
    return total, {"covariance_off_diagonal": off, "covariance_diagonal": on}


def of_means(hyperparameters: Hyperparameters, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
    """The DIP-VAE I (Kumar et al. 2018).

        R = KL(q(z | x) || p(z)) + off_diagonal sum_{i != j} Cov[m]_ij^2 + diagonal sum_i (Cov[m]_ii - 1)^2

    over the batch's posterior means m.
    """
    return penalized(hyperparameters, posterior, of_codes=False)


def of_codes(hyperparameters: Hyperparameters, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
    """The DIP-VAE II (Kumar et al. 2018).

        R = KL(q(z | x) || p(z)) + off_diagonal sum_{i != j} Cov[z]_ij^2 + diagonal sum_i (Cov[z]_ii - 1)^2

    with Cov[z] = Cov[m] + E[diag(sigma^2)], over the batch's posteriors N(m, diag(sigma^2)).
    """
    return penalized(hyperparameters, posterior, of_codes=True)


def build_means(config: Config, images: ImageSpec) -> Method:
    """L = L_rec + w [ KL + penalty on Cov[m] ]."""
    return elbo.make_penalized_method(config, autoencoder.make_autoencoder(config, images), elbo.stateless(of_means))


def build_codes(config: Config, images: ImageSpec) -> Method:
    """L = L_rec + w [ KL + penalty on Cov[z] ]."""
    return elbo.make_penalized_method(config, autoencoder.make_autoencoder(config, images), elbo.stateless(of_codes))


def weights(off_diagonal: float, diagonal: float) -> dict[str, Hyperparameter]:
    """Returns the two hyperparameters with their defaults."""
    return {
        "off_diagonal": Hyperparameter(off_diagonal, "weight of the squared covariances"),
        "diagonal": Hyperparameter(diagonal, "weight of the squared distance of the variances to 1"),
    }


METHODS = {
    # Of the published grid 1 to 50, ours; the ratios 10 and 1 of the two weights are published.
    "dip_vae_i": MethodSpec(
        build_means,
        equation_of(of_means),
        about="the covariance of the posterior means to the identity: the DIP-VAE I (Kumar et al. 2018).",
        hyperparameters=weights(10.0, 100.0),
        estimator=False,
        widens=True,
        settings={"": {**FLAT, "method.off_diagonal": 10.0, "method.diagonal": 100.0}},
    ),
    "dip_vae_ii": MethodSpec(
        build_codes,
        equation_of(of_codes),
        about="the covariance of the codes to the identity: the DIP-VAE II (Kumar et al. 2018).",
        hyperparameters=weights(10.0, 10.0),
        estimator=False,
        widens=True,
        settings={"": {**FLAT, "method.off_diagonal": 10.0, "method.diagonal": 10.0}},
    ),
}
