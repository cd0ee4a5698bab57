"""The layers of every network here. Feature maps are [C, H, W, N] and vectors [F, N], the batch innermost.

They take any number format, and compute and return activations in that of `numerics.using`.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from scaledis.core.streams import each
from scaledis.networks import conv, numerics

Initializer = Callable[[Array, tuple[int, ...]], Array]  # (key, shape) -> a kernel
hidden = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def each_unit(axis: int, scale: float, unit_keys: Sequence[int] | None = None) -> Initializer:
    """Returns an initializer that draws every unit from a separate key, so that padding a level changes no other unit.

    A layer that sees all levels takes `unit_keys` (partition.unit_keys); a layer of one level counts its units.
    """

    def init(key: Array, shape: tuple[int, ...]) -> Array:
        keys = each(key, jnp.arange(shape[axis]) if unit_keys is None else jnp.asarray(unit_keys))
        return scale * jax.vmap(lambda key: jax.random.normal(key, (shape[1 - axis],), jnp.float32), out_axes=axis)(
            keys
        )

    return init


of_units = each_unit(0, 1.0)  # of a layer that reads latent units


class Dense(nn.Module):
    """[I, N] -> [features, N]; a `head`, whose result no layer reads, computes in float32."""

    features: int
    kernel_init: Initializer = hidden
    head: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if self.head:
            return kernel.T @ x.astype(kernel.dtype) + bias[:, None]
        return numerics.held(numerics.held(kernel.T) @ numerics.held(x) + bias[:, None])


class Down(nn.Module):
    """[I, H, W, N] -> [features, H/2, W/2, N]: 4x4 convolution of stride 2."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", hidden, (4, 4, x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return numerics.held(conv.down(numerics.held(x), numerics.held(kernel)) + bias[:, None, None, None])


class Up(nn.Module):
    """[I, H, W, N] -> [features, 2H, 2W, N]: transposed 4x4 convolution of stride 2 (each output sees 2x2 inputs)."""

    features: int
    gain: float = 2.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        init = nn.initializers.normal(math.sqrt(self.gain / (4 * x.shape[0])))
        kernel = self.param("kernel", init, (4, 4, x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return numerics.held(conv.up(numerics.held(x), numerics.held(kernel)) + bias[:, None, None, None])
