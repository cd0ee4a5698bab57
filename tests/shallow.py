"""A network that compiles in little time, for tests where the network does not matter."""

import math

import jax
import jax.numpy as jnp

from scaledis.networks import sizing
from scaledis.networks.layers import Dense, each_unit
from scaledis.networks.spec import Network, NetworkSpec
from scaledis.objectives import partition


class Shallow(Network):
    """One hidden layer on both sides; every level reads it, and fades in by its units."""

    width: int

    def setup(self):
        units, keys = sum(self.allocation), partition.unit_keys(self.allocation)
        self.inner, self.outer = Dense(self.width), Dense(self.width, each_unit(0, 1.0, keys))
        self.mean = Dense(units, each_unit(1, 1 / math.sqrt(self.width), keys), head=True)
        self.log_variance = Dense(units, each_unit(1, 0.1 / math.sqrt(self.width), keys), head=True)
        self.pixels = Dense(math.prod(self.image_shape), jax.nn.initializers.normal(0.1))

    def encode(self, images, presence):
        hidden = jax.nn.relu(self.inner(images.reshape(-1, images.shape[-1])))
        return self._present(presence) * self.mean(hidden), self.log_variance(hidden)

    def decode(self, codes, presence):
        height, width, channels = self.image_shape
        hidden = jax.nn.relu(self.outer(self._present(presence) * codes))
        return self.pixels(hidden).reshape(channels, height, width, -1)

    def _present(self, presence):
        """Presence [L] of the levels -> [K, 1] of their units."""
        return jnp.take(presence, partition.level_of_unit(self.allocation))[:, None]


def make(config, images):
    """One hidden layer on both sides (for tests)."""

    def sized(width, allocation):
        return Shallow(tuple(allocation), images.shape, width)

    width = sizing.width_for(config.model, lambda width: sized(width, sizing.nominal(config.model.allocation)))
    return sized(width, config.model.allocation)


SPEC = NetworkSpec(make, pads=True)
