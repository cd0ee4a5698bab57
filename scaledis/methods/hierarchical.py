"""Ladders whose levels depend on each other in the prior: a compact NVAE (Vahdat and Kautz 2020)."""

import jax.numpy as jnp
from jax import Array, lax

from scaledis import gaussian, objective, partition
from scaledis.methods import Codes, Hyperparameter, Recipe
from scaledis.methods._descent import Objective, descending
from scaledis.methods._elbo import blank, per_level, pixels_of, sigma_of, standard_normal, starting, warmup
from scaledis.networks import ladder
from scaledis.networks.top_down import TopDown


def balance(kl: Array, weight: Array, strength: Array) -> Array:
    """Weights of the levels' KL [L], of mean 1: proportional to the KL while it is warmed up, equal once it is.

    NVAE's balancing without the size of its feature maps, which ours do not have; no gradient passes through it.
    """
    kl = lax.stop_gradient(kl)
    proportional = kl / jnp.maximum(kl.mean(), 1e-6)
    return 1.0 + strength * (1.0 - weight) * (proportional - 1.0)


def residual_ladder(config, dataset):
    """A compact NVAE (Vahdat and Kautz 2020, NVAE: A Deep Hierarchical Variational Autoencoder), our 10-unit design.

        L = L_rec + w sum_l balance_l KL(q(z_l | x, z_above) || p(z_l | z_above))

        p(z_l | z_above) = N(mu, sigma^2),  q(z_l | x, z_above) = N(mu + sigma m, (sigma s)^2)
        KL_l = 1/2 sum_j (m_j^2 + s_j^2 - log s_j^2 - 1)

    The codes are the residuals (z - mu) / sigma, whose prior is N(0, 1) and whose KL is that above. `encode` reports
    their posteriors with the levels above at their means, in order from the top. networks/top_down.py says what of the
    original is kept.
    """
    allocation = config.model.allocation
    network = of_capacity(config.model, dataset.image_shape)
    likelihood = objective.LIKELIHOODS[config.objective.likelihood]

    def init(key, hyperparameters):
        return starting(network.init(key, blank(dataset.image_shape))["params"], likelihood, hyperparameters), ()

    def infer(params, hyperparameters, images, noise):
        pixels = pixels_of(images)
        found = network.apply({"params": params["network"]}, pixels, noise.T, hyperparameters["active"], method="infer")
        return pixels, *found

    def loss(params, memory, hyperparameters, step, images, key):
        noise = standard_normal(key, allocation, len(images))
        pixels, mean, log_variance, output = infer(params, hyperparameters, images, noise)
        reconstruction = likelihood.nats(output, pixels, sigma_of(params, hyperparameters)).mean()

        kl = partition.combine(gaussian.kl_to_standard(mean, log_variance).T, partition.levels(allocation)).mean(0)
        weight = warmup(hyperparameters, step)
        balanced = jnp.sum(balance(kl, weight, hyperparameters["balance"]) * kl)

        total = reconstruction + weight * balanced
        terms = {
            "loss_nats": total,
            "reconstruction_nats": reconstruction,
            "regularisation_nats": balanced,
            "kl_nats": kl.sum(),
            "elbo_nats": -reconstruction - kl.sum(),
            "kl_weight": weight,
            "sigma": sigma_of(params, hyperparameters),
            **per_level("kl", kl),
        }
        return total, (terms, ())

    def remember(memory, hyperparameters, step, seen, key):
        return memory, {}

    def encode(state, images):
        noise = jnp.zeros((len(images), sum(allocation)))
        _, mean, log_variance, _ = infer(state.params, state.hyperparameters, images, noise)
        return Codes(mean.T, log_variance.T, partition.level_of_unit(allocation))

    def decode(state, codes):
        active = state.hyperparameters["active"]
        output = network.apply({"params": state.params["network"]}, codes.T, active, method="decode")
        return likelihood.mean(output).transpose(3, 1, 2, 0)

    return descending(Objective(init, loss, remember, encode, decode), config)


def of_capacity(model, image_shape) -> TopDown:
    """The network whose parameter count is nearest to that of the ladder."""

    def sized(width, allocation=model.allocation):
        channels = tuple(model.channels), tuple(model.ladder_channels)
        return TopDown(tuple(allocation), *channels, width, tuple(image_shape))

    return sized(ladder.width_for(model, lambda width: sized(width, ladder.nominal(model.allocation))))


nvae = Recipe(
    residual_ladder,
    residual_ladder,
    about="a prior that depends on the levels above: a compact NVAE (Vahdat and Kautz 2020).",
    hyperparameters={"balance": Hyperparameter(1.0, "balancing of the levels' KL while it is warmed up", highest=1.0)},
    flat=False,
)
