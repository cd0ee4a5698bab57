"""The ladder VAE's networks (Beyond Flat Latent, section 2.1, Eq. 3-8).

Feature maps are [C, H, W, N] and vectors [F, N], the batch innermost; images come in as [C, H, W, N] in [0, 1].
A ladder of L levels sits on four convolutions: the level at depth d reads h = [channels_d, 64 / 2^d, 64 / 2^d] and is
injected into the decoder one stage below, at half that resolution. Levels are listed from top to bottom.
"""

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis.networks import conv

DEPTH = 4  # convolutions of stride 2: 64 pixels become 4
LADDER_CHANNELS = {1: 8, 2: 16, 3: 16}  # of the map that joins a level to the trunk at each depth
LOG_VARIANCE_RANGE = (-12.0, 4.0)
INJECTIONS = ("map", "vector")

_hidden = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
_linear = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def depths(levels: int) -> tuple[int, ...]:
    """Depth of each level in the trunk, top to bottom: 4 -> (4, 3, 2, 1), 3 -> (4, 3, 2), 2 -> (4, 2), 1 -> (4,)."""
    return tuple(math.ceil(DEPTH * level / levels) for level in range(levels, 0, -1))


def _each_unit(axis: int, scale: float):
    """Initialiser that draws every unit from a key of its own, so that padding a level changes no other unit."""

    def init(key, shape, dtype=jnp.float32):
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(shape[axis]))
        return scale * jax.vmap(lambda key: jax.random.normal(key, (shape[1 - axis],), dtype), out_axes=axis)(keys)

    return init


class Dense(nn.Module):
    """[I, N] -> [features, N]."""

    features: int
    kernel_init: nn.initializers.Initializer = _hidden

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return kernel.T @ x + bias[:, None]


class Down(nn.Module):
    """[I, H, W, N] -> [features, H/2, W/2, N]: 4x4 convolution of stride 2."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", _hidden, (4, 4, x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return conv.down(x, kernel) + bias[:, None, None, None]


class Up(nn.Module):
    """[I, H, W, N] -> [features, 2H, 2W, N]: transposed 4x4 convolution of stride 2 (each output sees 2x2 inputs)."""

    features: int
    gain: float = 2.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        init = nn.initializers.normal(math.sqrt(self.gain / (4 * x.shape[0])))
        kernel = self.param("kernel", init, (4, 4, x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return conv.up(x, kernel) + bias[:, None, None, None]


class Encoder(nn.Module):
    """h_l = g_l(h_{l-1}), and mu_l, log sigma_l^2 from h_l (Eq. 7-8)."""

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        """images [C, H, W, N] -> mean [K, N], log_variance [K, N]."""
        state, states = images, {}
        for depth in range(1, DEPTH + 1):
            state = nn.relu(Down(self.channels[depth - 1], name=f"g{depth}")(state))
            states[depth] = state
        posteriors = [
            self._posterior(states[depth], depth, units)
            for depth, units in zip(depths(len(self.allocation)), self.allocation, strict=True)
        ]
        mean, log_variance = (jnp.concatenate(rows) for rows in zip(*posteriors, strict=True))
        return mean, jnp.clip(log_variance, *LOG_VARIANCE_RANGE)

    def _posterior(self, state: Array, depth: int, units: int) -> tuple[Array, Array]:
        if depth < DEPTH:
            state = nn.relu(Down(LADDER_CHANNELS[depth], name=f"ladder{depth}")(state))
        features = self.width * (4 if depth == DEPTH else 1)
        hidden = nn.relu(Dense(features, name=f"hidden{depth}")(state.reshape(-1, state.shape[-1])))
        mean = Dense(units, _each_unit(1, 1 / math.sqrt(features)), name=f"mean{depth}")(hidden)
        log_variance = Dense(units, _each_unit(1, 0.1 / math.sqrt(features)), name=f"log_variance{depth}")(hidden)
        return mean, log_variance


class Decoder(nn.Module):
    """z~_L = f_L(z_L), z~_l = u_l([z~_{l+1}; v_l(z_l)]), output f_0(z~_1) (Eq. 3-6)."""

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    width: int
    injection: str
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        """codes [K, N] -> output [C, H, W, N], which the likelihood turns into pixels."""
        height, width, image_channels = self.image_shape
        codes = jnp.split(codes, np.cumsum(self.allocation)[:-1])
        levels = dict(zip(depths(len(self.allocation)), codes, strict=True))

        state = nn.relu(Dense(4 * self.width, _hidden_of_units, name="f_hidden")(levels.pop(DEPTH)))
        state = nn.relu(Dense(self.channels[-1] * (height >> DEPTH) * (width >> DEPTH), name="f")(state))
        state = state.reshape(self.channels[-1], height >> DEPTH, width >> DEPTH, -1)
        for depth in range(DEPTH - 1, 0, -1):
            if depth in levels:
                state = jnp.concatenate([state, self._inject(levels[depth], depth, state.shape)])
            state = nn.relu(Up(self.channels[depth - 1], name=f"u{depth}")(state))
        return Up(image_channels, gain=1.0, name="f0")(state)

    def _inject(self, codes: Array, depth: int, shape: Sequence[int]) -> Array:
        """v_l: a dense map of its own for every place, or one vector that is the same everywhere."""
        channels, places = LADDER_CHANNELS[depth], shape[1:3] if self.injection == "map" else (1, 1)
        hidden = nn.relu(Dense(self.width, _hidden_of_units, name=f"v{depth}_hidden")(codes))
        injected = nn.relu(Dense(channels * math.prod(places), name=f"v{depth}")(hidden))
        return jnp.broadcast_to(injected.reshape(channels, *places, -1), (channels, *shape[1:]))


_hidden_of_units = _each_unit(0, 1.0)


class Ladder(nn.Module):
    """Encoder and decoder of a ladder VAE.

    Attributes:
      allocation: units per level, top to bottom; 1 to 4 levels.
      channels: output channels of the four convolutions, from the image up.
      width: units of each hidden dense layer of a level (the top level has four times as many).
      injection: how v_l enters the decoder, "map" or "vector".
      image_shape: (H, W, C).
    """

    allocation: tuple[int, ...]
    channels: tuple[int, ...]
    width: int
    injection: str
    image_shape: tuple[int, int, int]

    def setup(self):
        self.encoder = Encoder(self.allocation, self.channels, self.width)
        self.decoder = Decoder(self.allocation, self.channels, self.width, self.injection, self.image_shape)

    def encode(self, images: Array) -> tuple[Array, Array]:
        return self.encoder(images)

    def decode(self, codes: Array) -> Array:
        return self.decoder(codes)

    def __call__(self, images: Array) -> Array:
        return self.decode(self.encode(images)[0])


def parameter_shapes(ladder: Ladder):
    """The ladder's parameters as shapes, without any computation."""
    height, width, channels = ladder.image_shape
    images = jax.ShapeDtypeStruct((channels, height, width, 1), jnp.float32)
    return jax.eval_shape(ladder.init, jax.random.key(0), images)


def parameter_count(ladder: Ladder) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameter_shapes(ladder)))


def of_capacity(
    parameters: int,
    allocation: Sequence[int],
    channels: Sequence[int],
    injection: str,
    image_shape: tuple[int, int, int],
) -> Ladder:
    """The ladder whose parameter count is nearest to `parameters`, by its width ("same model capacity", Table 2).

    The width depends on the number of levels but not on the allocation, so that runs of different allocation can
    share a program. Raises ValueError if the convolutions alone are larger than `parameters`.
    """
    ladder = Ladder(tuple(allocation), tuple(channels), 1, injection, tuple(image_shape))
    nominal = ladder.clone(allocation=(2,) * len(allocation))
    one, two = (parameter_count(nominal.clone(width=width)) for width in (1, 2))
    width = 1 + round((parameters - one) / (two - one))
    if width < 1:
        raise ValueError(
            f"model.parameters: {parameters} is too few; with these channels the smallest ladder has {one}."
        )
    return ladder.clone(width=width)
