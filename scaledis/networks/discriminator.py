"""Discriminators: of codes (FactorVAE, density ratios) and of images (DAVA). `model.parameters` does not count them."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from scaledis.networks.layers import Dense, Down, each_unit

SLOPE = 0.2  # of the leaky rectifier


def _leaky(x: Array) -> Array:
    return nn.leaky_relu(x, SLOPE)


class OfCodes(nn.Module):
    """Codes [K, N] -> logit [N]: `layers` hidden layers of `features` units (FactorVAE: 6 of 1000, 5.0M parameters).

    `unit_keys` are those of the codes (partition.unit_keys).
    """

    features: int
    layers: int
    unit_keys: tuple[int, ...]

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        state = _leaky(Dense(self.features, each_unit(0, 0.5, self.unit_keys))(codes))
        for _ in range(self.layers - 1):
            state = _leaky(Dense(self.features)(state))
        return Dense(1, head=True)(state)[0]


class OfImages(nn.Module):
    """Images [C, H, W, N] in [0, 1] -> logit [N]: the encoder's trunk with instance normalization, then dense 256.

    Unlike DAVA's, it has no batch normalization on the dense layer, which would tie the images of a batch together.
    """

    channels: tuple[int, ...]

    @nn.compact
    def __call__(self, images: Array) -> Array:
        state = images
        for features in self.channels:
            state = _instance_norm(_leaky(Down(features)(state)))
        state = _leaky(Dense(256)(state.reshape(-1, state.shape[-1])))
        return Dense(1, head=True)(state)[0]


def _instance_norm(state: Array) -> Array:
    """Scales each channel of each image to mean 0 and variance 1 over its places, unless it has only one place."""
    if state.shape[1] * state.shape[2] == 1:
        return state
    mean = state.mean((1, 2), keepdims=True)
    variance = jnp.square(state - mean).mean((1, 2), keepdims=True)
    return (state - mean) / jnp.sqrt(variance + 1e-5)
