"""The VAE and the beta-VAE, with or without an annealed capacity."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from scaledis.methods.base import autoencoder, elbo
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Config, Hyperparameters, ImageSpec, Method, Posterior, Terms


def weighted_kl(hyperparameters: Hyperparameters, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
    """The beta-VAE, and the annealed VAE as an option.

        R = beta KL(q(z | x) || p(z)) + gamma |KL(q(z | x) || p(z)) - C(t)|

    gamma = 0 is the beta-VAE (Higgins et al. 2017), and gamma = 0 with beta = 1 the VAE (Kingma and Welling 2014).
    beta = 0 with gamma > 0 is the annealed VAE (Burgess et al. 2018): C(t) is `capacity` times `schedule.capacity`,
    which rises from 0 to 1 and stays there.
    """
    kl = elbo.mean_kl(posterior)
    capacity = hyperparameters["capacity"]
    excess = jnp.abs(kl - capacity)
    total = hyperparameters["beta"] * kl + hyperparameters["gamma"] * excess
    return total, {"capacity_nats": capacity, "excess_nats": excess}


def build(config: Config, images: ImageSpec) -> Method:
    """L = L_rec + w [ beta KL + gamma |KL - C(t)| ]."""
    return elbo.make_penalized_method(config, autoencoder.make_autoencoder(config, images), elbo.stateless(weighted_kl))


BETA_VAE = MethodSpec(
    build,
    equation_of(weighted_kl),
    about="beta KL (Higgins et al. 2017), or gamma |KL - C(t)| (Burgess et al. 2018).",
    hyperparameters={
        "beta": Hyperparameter(4.0, "weight of the KL; 0 for the annealed VAE"),
        "gamma": Hyperparameter(0.0, "weight of |KL - C(t)|; 1000 in the annealed VAE, 0 to leave it out"),
        "capacity": Hyperparameter(25.0, "C at the end of its schedule, in nats"),
    },
    estimator=False,
    widens=True,
    settings={"": {**FLAT, "method.beta": 4.0}},  # of the published grid 1, 2, 4, 6, 8, 10, 16; ours
)

METHODS = {
    "vae": dataclasses.replace(
        BETA_VAE,
        about="no penalty: the VAE (Kingma and Welling 2014).",
        hyperparameters={},
        same_as={
            "beta_vae": {"beta": 1.0, "gamma": 0.0, "capacity": 0.0},
            "beta_tcvae": {"beta": 1.0},
            "alpha_tcvae": {"alpha": 0.0},
        },
        program="beta_vae",
        settings={"": FLAT},
    ),
    "beta_vae": BETA_VAE,
}
