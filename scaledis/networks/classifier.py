"""The classifier of all factors of an image at once."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from scaledis.networks.layers import Dense, Down


class OfFactors(nn.Module):
    """Images [C, H, W, N] in [0, 1] -> the logits of every factor's values, [V_k, N] each.

    sizes: V_k, how many values each factor has.
    channels: of the convolutions, each of which halves the sides.
    """

    sizes: tuple[int, ...]
    channels: tuple[int, ...] = (16, 32, 64, 64)
    features: int = 256

    @nn.compact
    def __call__(self, images: Array) -> list[Array]:
        state = images - 0.5
        for channels in self.channels:
            state = nn.relu(Down(channels)(state))
        state = nn.relu(Dense(self.features)(state.reshape(-1, state.shape[-1])))
        logits = Dense(sum(self.sizes), head=True)(state)
        ends = [sum(self.sizes[: k + 1]) for k in range(len(self.sizes) - 1)]
        return jnp.split(logits, ends)
