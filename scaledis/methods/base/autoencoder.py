"""A network with its likelihood, as pure functions on one run's params. Pixels and outputs are [C, H, W, B]."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from scaledis import networks
from scaledis.core.streams import each
from scaledis.networks.spec import apply
from scaledis.objectives import partition
from scaledis.objectives.likelihood import LIKELIHOODS
from scaledis.types import Codes, Config, Hyperparameters, ImageSpec, Likelihood, Pytree

Params = dict[str, Pytree]  # "network", and "log_sigma" where the likelihood learns its sigma


class Forward(NamedTuple):
    """One pass over a batch.

    pixels: [C, H, W, B] in [0, 1].
    codes, mean, log_variance: [B, K], samples and their posteriors.
    output: [C, H, W, B]; the likelihood turns it into pixels.
    """

    pixels: Array
    codes: Array
    mean: Array
    log_variance: Array
    output: Array


class Autoencoder(NamedTuple):
    """A network and a likelihood, on which the methods of this package build. `hyperparameters` are those of a step.

    init: (key, hyperparameters) -> params.
    forward: (params, hyperparameters, images uint8 [B, H, W, C], key) -> Forward.
    output: (params, hyperparameters, codes [B, K]) -> output.
    negative_log_likelihood: (params, hyperparameters, output, pixels) -> [B].
    mean: output -> expected pixels in [0, 1].
    encode: (params, hyperparameters, images uint8 [B, H, W, C]) -> Codes.
    decode: (params, hyperparameters, codes [B, K]) -> expected images float [B, H, W, C] in [0, 1].
    """

    init: Callable[[Array, Hyperparameters], Params]
    forward: Callable[[Params, Hyperparameters, Array, Array], Forward]
    output: Callable[[Params, Hyperparameters, Array], Array]
    negative_log_likelihood: Callable[[Params, Hyperparameters, Array, Array], Array]
    mean: Callable[[Array], Array]
    encode: Callable[[Params, Hyperparameters, Array], Codes]
    decode: Callable[[Params, Hyperparameters, Array], Array]


def blank(image_shape: tuple[int, int, int]) -> Array:
    """Returns one image of zeros as networks take it, [C, H, W, 1], for which parameters are drawn."""
    height, width, channels = image_shape
    return jnp.zeros((channels, height, width, 1))


def as_pixels(images: Array) -> Array:
    """Returns images uint8 [B, H, W, C] as pixels, float [C, H, W, B] in [0, 1]."""
    return images.transpose(3, 1, 2, 0).astype(jnp.float32) / 255.0


def as_images(pixels: Array) -> Array:
    """Returns pixels [C, H, W, B] as images [B, H, W, C]."""
    return pixels.transpose(3, 1, 2, 0)


def initial_params(network: Pytree, likelihood: Likelihood, hyperparameters: Hyperparameters) -> Params:
    """Returns a run's params: those of the network, and log sigma if the likelihood learns it."""
    return {"network": network} | ({"log_sigma": jnp.log(hyperparameters["sigma"])} if likelihood.learns_sigma else {})


def sigma_of(params: Params, hyperparameters: Hyperparameters) -> Array:
    """Returns the sigma of the likelihood, learned or given."""
    return jnp.exp(params["log_sigma"]) if "log_sigma" in params else hyperparameters["sigma"]


def standard_normal(key: Array, allocation: tuple[int, ...], batch: int) -> Array:
    """Returns standard normal noise [B, K]; each unit has its key, so that padding a level changes no other unit's."""
    keys = each(key, partition.unit_keys(allocation))
    return jax.vmap(lambda key: jax.random.normal(key, (batch,), jnp.float32), out_axes=1)(keys)


def make_autoencoder(config: Config, images: ImageSpec, clear: bool = False) -> Autoencoder:
    """Returns the autoencoder of a config: its network and its likelihood.

    The presence p of a level multiplies its output to the decoder, and its input from the encoder (Li et al. 2020).
    With `clear` the level reads the whole state of the encoder, and p multiplies its noise instead: z = m + p s eps.
    """
    allocation = config.model.allocation
    network = networks.make(config, images)
    likelihood = LIKELIHOODS[config.objective.likelihood]

    def init(key: Array, hyperparameters: Hyperparameters) -> Params:
        return initial_params(network.init(key, blank(images.shape))["params"], likelihood, hyperparameters)

    def posterior(params: Params, hyperparameters: Hyperparameters, pixels: Array) -> tuple[Array, Array]:
        # An absent level still reads the trunk: its weighted KL trains it towards the prior.
        presence = hyperparameters["presence"]
        reads = jnp.where((presence > 0) & (not clear), presence, 1.0)
        mean, log_variance = apply(network, {"params": params["network"]}, pixels, reads, method="encode")
        active = hyperparameters["active"]
        return mean.T * active, log_variance.T * active

    def output(params: Params, hyperparameters: Hyperparameters, codes: Array) -> Array:
        codes = (codes * hyperparameters["active"]).T
        variables = {"params": params["network"]}
        return jnp.asarray(apply(network, variables, codes, hyperparameters["presence"], method="decode"))

    def forward(params: Params, hyperparameters: Hyperparameters, images: Array, key: Array) -> Forward:
        pixels = as_pixels(images)
        mean, log_variance = posterior(params, hyperparameters, pixels)
        noise = standard_normal(key, allocation, len(images))
        if clear:
            noise = noise * partition.combine(hyperparameters["presence"], partition.levels(allocation).T)
        codes = mean + jnp.exp(0.5 * log_variance) * noise * hyperparameters["active"]
        return Forward(pixels, codes, mean, log_variance, output(params, hyperparameters, codes))

    def negative_log_likelihood(
        params: Params, hyperparameters: Hyperparameters, output: Array, pixels: Array
    ) -> Array:
        return likelihood.negative_log_likelihood(output, pixels, sigma_of(params, hyperparameters))

    def encode(params: Params, hyperparameters: Hyperparameters, images: Array) -> Codes:
        mean, log_variance = posterior(params, hyperparameters, as_pixels(images))
        return Codes(mean, log_variance, partition.level_of_unit(allocation))

    def decode(params: Params, hyperparameters: Hyperparameters, codes: Array) -> Array:
        return as_images(likelihood.mean(output(params, hyperparameters, codes)))

    return Autoencoder(init, forward, output, negative_log_likelihood, likelihood.mean, encode, decode)
