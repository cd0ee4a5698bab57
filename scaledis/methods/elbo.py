"""The VAE and the beta-VAE, with or without an annealed capacity."""

import jax.numpy as jnp
import numpy as np

from scaledis.methods import Hyperparameter, Recipe
from scaledis.methods._elbo import forgetful, regularised


def weighted_kl(hyperparameters, inference, key):
    """The beta-VAE, and the annealed VAE as an option.

        R = beta KL(q(z | x) || p(z)) + gamma |KL(q(z | x) || p(z)) - C(t)|

    gamma = 0 is the beta-VAE (Higgins et al. 2017), and beta = 1 with it the VAE (Kingma and Welling 2014). beta = 0
    with gamma > 0 is the annealed VAE (Burgess et al. 2018): C(t) is `capacity` times `schedule.capacity`, which rises
    from 0 and stays.
    """
    kl = inference.mean_kl
    capacity = hyperparameters["capacity"]
    excess = jnp.abs(kl - capacity)
    total = hyperparameters["beta"] * kl + hyperparameters["gamma"] * excess
    return total, {"capacity_nats": capacity, "excess_nats": excess}


def build(config, dataset):
    """L = L_rec + w [ beta KL + gamma |KL - C(t)| ]."""
    return regularised(config, dataset, forgetful(weighted_kl))


vae = Recipe(
    build,
    weighted_kl,
    about="no penalty: the VAE (Kingma and Welling 2014).",
    arrays=lambda config: {name: np.float32(name == "beta") for name in ("beta", "gamma", "capacity")},
)
beta_vae = Recipe(
    build,
    weighted_kl,
    about="beta KL (Higgins et al. 2017), or gamma |KL - C(t)| (Burgess et al. 2018).",
    hyperparameters={
        "beta": Hyperparameter(4.0, "weight of the KL; 0 for the annealed VAE"),
        "gamma": Hyperparameter(0.0, "weight of |KL - C(t)|; 1000 in the annealed VAE, 0 to leave it out"),
        "capacity": Hyperparameter(25.0, "C, nats, where its schedule ends"),
    },
)
