"""Ladders whose levels depend on each other in the prior: a compact NVAE (Vahdat and Kautz 2020)."""

import jax.numpy as jnp
from jax import Array, lax

from scaledis.methods.base import elbo
from scaledis.methods.base.autoencoder import (
    Autoencoder,
    Forward,
    Params,
    as_images,
    as_pixels,
    blank,
    initial_params,
    sigma_of,
    standard_normal,
)
from scaledis.methods.base.spec import LADDER, Hyperparameter, MethodSpec, equation_of
from scaledis.networks import ladder, spec, top_down
from scaledis.objectives import partition
from scaledis.objectives.likelihood import LIKELIHOODS
from scaledis.types import Codes, Config, Hyperparameters, ImageSpec, Method, Penalty, Posterior, Terms


def balance(kl: Array, weight: Array, strength: Array) -> Array:
    """Returns weights of the levels' KL [L], of mean 1: proportional to the KL during its warm-up, and equal after it.

    This is NVAE's balancing without the sizes of feature maps. No gradient passes through it.
    """
    kl = lax.stop_gradient(kl)
    proportional = kl / jnp.maximum(kl.mean(), 1e-6)
    return 1.0 + strength * (1.0 - weight) * (proportional - 1.0)


def build(config: Config, images: ImageSpec) -> Method:
    """A compact NVAE (Vahdat and Kautz 2020, NVAE: A Deep Hierarchical Variational Autoencoder), our 10-unit design.

        L = L_rec + w sum_l balance_l KL(q(z_l | x, z_above) || p(z_l | z_above))

        p(z_l | z_above) = N(mu, sigma^2),  q(z_l | x, z_above) = N(mu + sigma m, (sigma s)^2)
        KL_l = 1/2 sum_j (m_j^2 + s_j^2 - log s_j^2 - 1)

    The codes are the residuals (z - mu) / sigma, whose prior is N(0, 1) and whose KL is KL_l. `encode` returns their
    posteriors, computed from the top with the levels above at their means. networks/top_down.py says which parts of the
    original it keeps.
    """
    return elbo.make_penalized_method(config, make_residual_autoencoder(config, images), balanced_kl(config))


def balanced_kl(config: Config) -> Penalty:
    """Returns the penalty sum_l balance_l KL_l."""
    allocation = config.model.allocation

    def value(hyperparameters: Hyperparameters, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
        kl = partition.combine(elbo.kl_of_units(posterior), partition.levels(allocation)).mean(0)
        weights = balance(kl, hyperparameters["kl_weight"], hyperparameters["balance"])
        return jnp.sum(weights * kl), elbo.per_level("kl", kl)

    return elbo.stateless(value)


def make_residual_autoencoder(config: Config, images: ImageSpec) -> Autoencoder:
    """Returns the autoencoder whose codes are the residuals to the prior of their level."""
    allocation = config.model.allocation
    network = top_down.make_top_down(config, images)
    likelihood = LIKELIHOODS[config.objective.likelihood]

    def init(key: Array, hyperparameters: Hyperparameters) -> Params:
        return initial_params(network.init(key, blank(images.shape))["params"], likelihood, hyperparameters)

    def infer(
        params: Params, hyperparameters: Hyperparameters, pixels: Array, noise: Array
    ) -> tuple[Array, Array, Array]:
        mean, log_variance, output = spec.apply(
            network, {"params": params["network"]}, pixels, noise.T, hyperparameters["active"], method="infer"
        )
        return mean.T, log_variance.T, output

    def output(params: Params, hyperparameters: Hyperparameters, codes: Array) -> Array:
        variables = {"params": params["network"]}
        return jnp.asarray(spec.apply(network, variables, codes.T, hyperparameters["active"], method="decode"))

    def forward(params: Params, hyperparameters: Hyperparameters, images: Array, key: Array) -> Forward:
        pixels, noise = as_pixels(images), standard_normal(key, allocation, len(images))
        mean, log_variance, output = infer(params, hyperparameters, pixels, noise)
        codes = mean + jnp.exp(0.5 * log_variance) * noise * hyperparameters["active"]
        return Forward(pixels, codes, mean, log_variance, output)

    def negative_log_likelihood(
        params: Params, hyperparameters: Hyperparameters, output: Array, pixels: Array
    ) -> Array:
        return likelihood.negative_log_likelihood(output, pixels, sigma_of(params, hyperparameters))

    def encode(params: Params, hyperparameters: Hyperparameters, images: Array) -> Codes:
        noise = jnp.zeros((images.shape[0], sum(allocation)))  # which may be a symbol
        mean, log_variance, _ = infer(params, hyperparameters, as_pixels(images), noise)
        return Codes(mean, log_variance, partition.level_of_unit(allocation))

    def decode(params: Params, hyperparameters: Hyperparameters, codes: Array) -> Array:
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
        estimator=False,
        check=ladder.check_sizes,
        settings={"": LADDER},  # ours: the published sizes are for latents of feature maps
    ),
}
