"""A compact NVAE network (Vahdat and Kautz 2020): the ladder's trunk, and a top-down path that the posterior reads too.

The original's latents are feature maps, hundreds of thousands of units. Ours are the vectors of an allocation, 10 units
in all, so that traversals and scores mean the same as for the other methods. Two traits of NVAE remain: a prior that
depends on the levels above, and a posterior that is a residual to that prior. There are no batch statistics
and no spectral penalty. The batch is innermost, as in networks/ladder.py.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis.networks import sizing
from scaledis.networks.ladder import DEPTH, depths
from scaledis.networks.layers import Dense, Down, Up, each_unit, of_units
from scaledis.types import Config, ImageSpec


def soft_clamp(x: Array) -> Array:
    """5 tanh(x / 5): NVAE's bound on means and log deviations."""
    return 5.0 * jnp.tanh(x / 5.0)


class Trunk(nn.Module):
    """Bottom up: a vector of features for each level, which its posterior reads."""

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    ladder_channels: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, images: Array) -> dict[int, Array]:
        """images [C, H, W, N] -> {depth: [width, N]}."""
        state, states = images, {}
        for depth in range(1, DEPTH + 1):
            state = states[depth] = nn.swish(Down(self.channels[depth - 1], name=f"g{depth}")(state))
        return {depth: self._features(states[depth], depth) for depth in depths(len(self.allocation))}

    def _features(self, state: Array, depth: int) -> Array:
        if depth < DEPTH:
            state = nn.swish(Down(self.ladder_channels[depth - 1], name=f"ladder{depth}")(state))
        features = self.width * (4 if depth == DEPTH else 1)
        return nn.swish(Dense(features, name=f"hidden{depth}")(state.reshape(-1, state.shape[-1])))


class Path(nn.Module):
    """Top down: prior, posterior and injection of every level in turn, then the image.

    A code is the residual e of a unit to its prior, z = prior mean + prior deviation e. Whatever the levels above are,
    its prior is N(0, 1), and a posterior N(z; prior mean + prior deviation m, (prior deviation s)^2) is N(e; m, s^2).
    """

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    ladder_channels: tuple[int, ...]
    width: int
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, draws: Array, features: dict[int, Array] | None, active: Array) -> tuple[Array, Array, Array]:
        """Posteriors of the residuals and the output of the decoder.

        Args:
          draws: [K, N]; standard normal noise where there are `features`, else the residuals themselves.
          features: the trunk's, or None to decode.
          active: [K], 0 for padding.

        Returns:
          mean and log_variance [K, N] of the residuals (zeros without features), and output [C, H, W, N].
        """
        height, width, image_channels = self.image_shape
        cuts = np.cumsum(self.allocation)[:-1]
        levels = depths(len(self.allocation))
        draws_of = dict(zip(levels, jnp.split(draws * active[:, None], cuts), strict=True))
        active_of = dict(zip(levels, jnp.split(active[:, None], cuts), strict=True))
        size = dict(zip(levels, self.allocation, strict=True))
        shape = self.channels[-1], height >> DEPTH, width >> DEPTH, draws.shape[1]

        state = jnp.broadcast_to(self.param("top", nn.initializers.normal(1.0), shape[:3])[..., None], shape)
        posteriors = []
        for depth in range(DEPTH, 0, -1):
            if depth in levels:
                context = nn.swish(Dense(self.width, name=f"context{depth}")(state.mean((1, 2))))
                mean = log_variance = jnp.zeros_like(draws_of[depth])
                residual = draws_of[depth]
                if features is not None:
                    mean, log_variance = self._posterior(context, features[depth], depth, size[depth])
                    mean, log_variance = mean * active_of[depth], log_variance * active_of[depth]
                    residual = mean + jnp.exp(0.5 * log_variance) * residual
                posteriors.append((mean, log_variance))
                z = self._prior(context, residual, depth, size[depth]) * active_of[depth]
                state = self._inject(z, state, depth)
            if depth > 1:
                state = nn.swish(Up(self.channels[depth - 2], name=f"u{depth - 1}")(state))
        output = Up(image_channels, gain=1.0, name="f0")(state)
        mean, log_variance = (jnp.concatenate(rows) for rows in zip(*posteriors, strict=True))
        return mean, log_variance, output

    def _posterior(self, context: Array, features: Array, depth: int, units: int) -> tuple[Array, Array]:
        """Mean and log variance of the residual: N(0, 1), the prior, where the heads are zero."""
        hidden = nn.swish(Dense(self.width, name=f"posterior{depth}")(jnp.concatenate([context, features])))
        scale = 1 / math.sqrt(self.width)
        mean = Dense(units, each_unit(1, scale), head=True, name=f"mean{depth}")(hidden)
        log_deviation = Dense(units, each_unit(1, 0.1 * scale), head=True, name=f"log_deviation{depth}")(hidden)
        return soft_clamp(mean), 2 * soft_clamp(log_deviation)

    def _prior(self, context: Array, residual: Array, depth: int, units: int) -> Array:
        """z of the residual, by the prior given the levels above; the top level's is N(0, 1)."""
        if depth == DEPTH:
            return residual
        scale = 0.1 / math.sqrt(self.width)
        mean = soft_clamp(Dense(units, each_unit(1, scale), head=True, name=f"prior_mean{depth}")(context))
        log_deviation = soft_clamp(
            Dense(units, each_unit(1, scale), head=True, name=f"prior_log_deviation{depth}")(context)
        )
        return mean + jnp.exp(log_deviation) * residual

    def _inject(self, z: Array, state: Array, depth: int) -> Array:
        """At the top a map for every place, below a vector that is the same everywhere, as in the ladder."""
        channels, rows, columns, batch = state.shape
        top = depth == DEPTH
        hidden = nn.swish(Dense(4 * self.width if top else self.width, of_units, name=f"v{depth}_hidden")(z))
        places = (rows, columns) if top else (1, 1)
        features = channels if top else self.ladder_channels[depth - 1]
        injected = Dense(features * math.prod(places), name=f"v{depth}")(hidden)
        injected = injected.reshape(-1, *places, batch)
        if top:
            return nn.swish(state + injected)
        return jnp.concatenate([state, jnp.broadcast_to(nn.swish(injected), (len(injected), rows, columns, batch))])


class TopDown(nn.Module):
    """Trunk and path. Attributes as in networks.ladder.Ladder."""

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    ladder_channels: tuple[int, ...]
    width: int
    image_shape: tuple[int, int, int]

    def setup(self) -> None:
        sizes = self.allocation, self.channels, self.ladder_channels, self.width
        self.trunk = Trunk(*sizes)
        self.top_down = Path(*sizes, self.image_shape)

    def infer(self, images: Array, noise: Array, active: Array) -> tuple[Array, Array, Array]:
        """images [C, H, W, N], noise [K, N] -> mean and log_variance [K, N] of the residuals, output [C, H, W, N]."""
        return self.top_down(noise, self.trunk(images), active)

    def decode(self, codes: Array, active: Array) -> Array:
        """Residuals [K, N] -> output [C, H, W, N]."""
        return self.top_down(codes, None, active)[2]

    def __call__(self, images: Array) -> Array:
        units = sum(self.allocation)
        return self.infer(images, jnp.zeros((units, images.shape[-1])), jnp.ones(units))[2]


def make_top_down(config: Config, images: ImageSpec) -> TopDown:
    """Returns the NVAE's network of a config."""
    model = config.model

    def sized(width: int, allocation: Sequence[int] = model.allocation) -> TopDown:
        channels = tuple(model.channels), tuple(model.ladder_channels)
        return TopDown(tuple(allocation), *channels, width, images.shape)

    return sized(sizing.width_for(model, lambda width: sized(width, sizing.nominal(model.allocation))))
