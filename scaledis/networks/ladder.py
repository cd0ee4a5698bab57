"""The ladder VAE's networks (Beyond Flat Latent, section 2.1, Eq. 3-8). A flat VAE's network is a ladder of one level.

Feature maps are [C, H, W, N] and vectors [F, N], the batch innermost; images come in as [C, H, W, N] in [0, 1].
A ladder of L levels sits on four convolutions: the level at depth d reads h = [channels_d, 64 / 2^d, 64 / 2^d] and is
injected into the decoder one stage below, at half that resolution. Levels are listed from top to bottom.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis.core import UserError, registry
from scaledis.networks import sizing
from scaledis.networks.layers import Dense, Down, Up, each_unit, of_units
from scaledis.networks.spec import Network, NetworkSpec
from scaledis.types import Config, ImageSpec

DEPTH = 4  # convolutions of stride 2: 64 pixels become 4
FLAT_WIDTH = 64  # dense 256: 766,295 parameters with 10 units on 64x64 RGB, the flat baselines' common network
LOG_VARIANCE_RANGE = (-12.0, 4.0)
Rectifier = Callable[[Array], Array]


def depths(levels: int) -> tuple[int, ...]:
    """Returns the depths of the levels, top to bottom: 4 -> (4, 3, 2, 1), 3 -> (4, 3, 2), 2 -> (4, 2), 1 -> (4,)."""
    return tuple(math.ceil(DEPTH * level / levels) for level in range(levels, 0, -1))


class Encoder(nn.Module):
    """h_l = g_l(h_{l-1}), and mu_l, log sigma_l^2 from h_l (Eq. 7-8)."""

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    ladder_channels: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, images: Array, presence: Array) -> tuple[Array, Array]:
        """images [C, H, W, N], presence [L] -> mean [K, N], log_variance [K, N]."""
        state, states = images, {}
        for depth in range(1, DEPTH + 1):
            state = nn.relu(Down(self.channels[depth - 1], name=f"g{depth}")(state))
            states[depth] = state
        posteriors = [
            self._posterior(present * states[depth], depth, units)
            for depth, units, present in zip(depths(len(self.allocation)), self.allocation, presence, strict=True)
        ]
        mean, log_variance = (jnp.concatenate(rows) for rows in zip(*posteriors, strict=True))
        return mean, jnp.clip(log_variance, *LOG_VARIANCE_RANGE)

    def _posterior(self, state: Array, depth: int, units: int) -> tuple[Array, Array]:
        if depth < DEPTH:
            state = nn.relu(Down(self.ladder_channels[depth - 1], name=f"ladder{depth}")(state))
        features = self.width * (4 if depth == DEPTH else 1)
        hidden = nn.relu(Dense(features, name=f"hidden{depth}")(state.reshape(-1, state.shape[-1])))
        mean = Dense(units, each_unit(1, 1 / math.sqrt(features)), head=True, name=f"mean{depth}")(hidden)
        log_variance = Dense(units, each_unit(1, 0.1 / math.sqrt(features)), head=True, name=f"log_variance{depth}")(
            hidden
        )
        return mean, log_variance


class Decoder(nn.Module):
    """z~_L = f_L(z_L), z~_l = u_l([z~_{l+1}; v_l(z_l)]), output f_0(z~_1) (Eq. 3-6)."""

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    ladder_channels: tuple[int, ...]
    width: int
    injection: str
    image_shape: tuple[int, int, int]
    rectifier: Rectifier

    @nn.compact
    def __call__(self, codes: Array, presence: Array) -> Array:
        """codes [K, N], presence [L] -> output [C, H, W, N], which the likelihood turns into pixels."""
        height, width, image_channels = self.image_shape
        of_level = jnp.split(codes, np.cumsum(self.allocation)[:-1])
        levels = dict(zip(depths(len(self.allocation)), zip(of_level, presence, strict=True), strict=True))

        top, _ = levels.pop(DEPTH)
        state = nn.relu(Dense(4 * self.width, of_units, name="f_hidden")(top))
        state = nn.relu(Dense(self.channels[-1] * (height >> DEPTH) * (width >> DEPTH), name="f")(state))
        state = state.reshape(self.channels[-1], height >> DEPTH, width >> DEPTH, -1)
        for depth in range(DEPTH - 1, 0, -1):
            if depth in levels:
                codes, present = levels[depth]
                state = jnp.concatenate([state, present * self._inject(codes, depth, state.shape)])
            state = nn.relu(Up(self.channels[depth - 1], name=f"u{depth}")(state))
        return Up(image_channels, gain=1.0, name="f0")(state)

    def _inject(self, codes: Array, depth: int, shape: Sequence[int]) -> Array:
        """v_l: a dense map with weights for every place, or one vector that is the same everywhere."""
        channels, places = self.ladder_channels[depth - 1], shape[1:3] if self.injection == "map" else (1, 1)
        hidden = self.rectifier(Dense(self.width, of_units, name=f"v{depth}_hidden")(codes))
        injected = self.rectifier(Dense(channels * math.prod(places), name=f"v{depth}")(hidden))
        return jnp.broadcast_to(injected.reshape(channels, *places, -1), (channels, *shape[1:]))


class Ladder(Network):
    """Encoder and decoder of a ladder VAE.

    `presence` [L] fades a level in: it multiplies the state that the level reads and what it injects into the decoder
    (Li et al. 2020, Progressive Learning and Disentanglement of Hierarchical Representations).

    Attributes:
      allocation: units per level, top to bottom; 1 to 4 levels.
      channels: output channels of the four convolutions, from the image up.
      ladder_channels: of the maps that join the levels below the top to them, from the image up.
      width: units of each hidden dense layer of a level (the top level has four times as many).
      injection: how v_l enters the decoder, "map" or "vector".
      rectifier: of v_l.
    """

    channels: tuple[int, ...]
    ladder_channels: tuple[int, ...]
    width: int
    injection: str
    rectifier: Rectifier = nn.relu

    def setup(self) -> None:
        sizes = self.allocation, self.channels, self.ladder_channels, self.width
        self.encoder = Encoder(*sizes)
        self.decoder = Decoder(*sizes, self.injection, self.image_shape, self.rectifier)

    def encode(self, images: Array, presence: Array) -> tuple[Array, Array]:
        return self.encoder(images, presence)

    def decode(self, codes: Array, presence: Array) -> Array:
        return self.decoder(codes, presence)


def check_sizes(config: Config) -> None:
    """Raises UserError for more levels than convolutions, and unless there is a number of channels for each of them."""
    model = config.model
    if len(model.allocation) > DEPTH:
        raise UserError(f"model.allocation: {registry.short(model.allocation)} must have 1 to {DEPTH} levels.")
    for key, count in {"channels": DEPTH, "ladder_channels": DEPTH - 1}.items():
        if len(given := getattr(model, key)) != count:
            raise UserError(f"model.{key}: {registry.short(given)} must be {count} whole numbers.")


def make_ladder(config: Config, images: ImageSpec, rectifier: Rectifier = nn.relu) -> Ladder:
    """The ladder of four convolutions; with one level, the flat baselines' common network."""
    model = config.model

    def sized(width: int, allocation: Sequence[int] = model.allocation) -> Ladder:
        channels = tuple(model.channels), tuple(model.ladder_channels)
        return Ladder(tuple(allocation), images.shape, *channels, width, model.injection, rectifier)

    if len(model.allocation) == 1 and not model.parameters:
        return sized(FLAT_WIDTH)
    return sized(sizing.width_for(model, lambda width: sized(width, sizing.nominal(model.allocation))))


def make_ladder_elu(config: Config, images: ImageSpec) -> Ladder:
    """The ladder with exponential linear units in the v_l, as in the networks of Li et al. 2020.

    What a late level injects at first only disturbs a decoder that has learned without it, and rectified linear units
    then die for good within some twenty steps.
    """
    return make_ladder(config, images, nn.elu)


NETWORKS = {
    "ladder": NetworkSpec(make_ladder, check_sizes, pads=True),
    "ladder_elu": NetworkSpec(make_ladder_elu, check_sizes, pads=True),
}
