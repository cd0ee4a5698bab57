"""Ladders whose levels depend on each other in the prior: a compact NVAE (Vahdat and Kautz 2020)."""

import jax.numpy as jnp
from jax import Array, lax

from scaledis.config import Config
from scaledis.methods.base.autoencoder import (
    Autoencoder,
    Forward,
    as_images,
    as_pixels,
    blank,
    initial_params,
    sigma_of,
    standard_normal,
)
from scaledis.methods.base.elbo import kl_of_units, make_penalized_method, per_level, stateless
from scaledis.methods.base.settings import LADDER
from scaledis.methods.base.spec import Hyperparameter, MethodSpec, equation_of
from scaledis.networks.ladder import check_sizes
from scaledis.networks.top_down import make_top_down
from scaledis.objectives import partition
from scaledis.objectives.likelihood import LIKELIHOODS
from scaledis.types import Codes, Hyperparameters, ImageSpec, Method, Penalty, Posterior, Terms


def balance(kl: Array, weight: Array, strength: Array) -> Array:
    """Weights of the levels' KL [L], of mean 1: proportional to the KL while it is warmed up, equal once it is.

    NVAE's balancing without the size of its feature maps, which ours do not have; no gradient passes through it.
    """
    kl = lax.stop_gradient(kl)
    proportional = kl / jnp.maximum(kl.mean(), 1e-6)
    return 1.0 + strength * (1.0 - weight) * (proportional - 1.0)


def build(config: Config, images: ImageSpec) -> Method:
    """A compact NVAE (Vahdat and Kautz 2020, NVAE: A Deep Hierarchical Variational Autoencoder), our 10-unit design.

        L = L_rec + w sum_l balance_l KL(q(z_l | x, z_above) || p(z_l | z_above))

        p(z_l | z_above) = N(mu, sigma^2),  q(z_l | x, z_above) = N(mu + sigma m, (sigma s)^2)
        KL_l = 1/2 sum_j (m_j^2 + s_j^2 - log s_j^2 - 1)

    The codes are the residuals (z - mu) / sigma, whose prior is N(0, 1) and whose KL is that above. `encode` reports
    their posteriors with the levels above at their means, in order from the top. networks/top_down.py says what of the
    original is kept.
    """
    return make_penalized_method(config, make_residual_autoencoder(config, images), balanced_kl(config))


def balanced_kl(config: Config) -> Penalty:
    """sum_l balance_l KL_l."""
    allocation = config.model.allocation

    def value(hyperparameters: Hyperparameters, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
        kl = partition.combine(kl_of_units(posterior), partition.levels(allocation)).mean(0)
        weights = balance(kl, hyperparameters["kl_weight"], hyperparameters["balance"])
        return jnp.sum(weights * kl), per_level("kl", kl)

    return stateless(value)


def make_residual_autoencoder(config: Config, images: ImageSpec) -> Autoencoder:
    """The autoencoder whose codes are the residuals to the prior of their level."""
    allocation = config.model.allocation
    network = make_top_down(config, images)
    likelihood = LIKELIHOODS[config.objective.likelihood]

    def init(key, hyperparameters):
        return initial_params(network.init(key, blank(images.shape))["params"], likelihood, hyperparameters)

    def infer(params, hyperparameters, pixels, noise):
        active = hyperparameters["active"]
        return network.apply({"params": params["network"]}, pixels, noise.T, active, method="infer")

    def output(params, hyperparameters, codes):
        active = hyperparameters["active"]
        return network.apply({"params": params["network"]}, codes.T, active, method="decode")

    def forward(params, hyperparameters, images, key):
        pixels, noise = as_pixels(images), standard_normal(key, allocation, len(images))
        mean, log_variance, output = infer(params, hyperparameters, pixels, noise)
        mean, log_variance = mean.T, log_variance.T
        codes = mean + jnp.exp(0.5 * log_variance) * noise * hyperparameters["active"]
        return Forward(pixels, codes, mean, log_variance, output)

    def negative_log_likelihood(params, hyperparameters, output, pixels):
        return likelihood.negative_log_likelihood(output, pixels, sigma_of(params, hyperparameters))

    def encode(params, hyperparameters, images):
        noise = jnp.zeros((len(images), sum(allocation)))
        mean, log_variance, _ = infer(params, hyperparameters, as_pixels(images), noise)
        return Codes(mean.T, log_variance.T, partition.level_of_unit(allocation))

    def decode(params, hyperparameters, codes):
        return as_images(likelihood.mean(output(params, hyperparameters, codes)))

    return Autoencoder(init, forward, output, negative_log_likelihood, likelihood.mean, encode, decode)


METHODS = {
    "nvae": MethodSpec(
        build,
        equation_of(build),
        about="a prior that depends on the levels above: a compact NVAE (Vahdat and Kautz 2020).",
        hyperparameters={
            "balance": Hyperparameter(1.0, "balancing of the levels' KL while it is warmed up", highest=1.0)
        },
        flat=False,
        network="",
        check=check_sizes,
        settings={"": LADDER},  # ours: the published sizes are for latents of feature maps
    ),
}
