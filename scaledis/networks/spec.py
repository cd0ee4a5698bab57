"""The base class of networks, and the declaration of a network: how it is made, and which configs it refuses."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from scaledis.config import Config, no_check
from scaledis.core import kinds
from scaledis.types import ImageSpec, Pytree


class Network(nn.Module):
    """An encoder and a decoder: the base class of what `config.model.network` names.

    A subclass defines `encode` and `decode`. The batch N is the innermost axis of all arrays; C, H, W are channels,
    height and width of an image, K the units of all levels, top to bottom, and L the levels.

        encode: images [C, H, W, N] in [0, 1], presence [L] -> mean [K, N], log_variance [K, N]
        decode: codes [K, N], presence [L] -> output [C, H, W, N]

    The likelihood turns the output into pixels: a Gaussian takes it unchanged, a Bernoulli as logits. `presence` says
    how far each level has faded in, and is all ones except in a progressive method. Such a method needs a network that
    multiplies a level's input, and what the level adds to the decoder, by its presence.

    Attributes:
      allocation: units per level, top to bottom.
      image_shape: (H, W, C).
    """

    allocation: tuple[int, ...]
    image_shape: tuple[int, int, int]

    def encode(self, images: Array, presence: Array) -> tuple[Array, Array]:
        """images [C, H, W, N], presence [L] -> mean [K, N], log_variance [K, N]."""
        raise NotImplementedError(f"{type(self).__name__}.encode")

    def decode(self, codes: Array, presence: Array) -> Array:
        """codes [K, N], presence [L] -> output [C, H, W, N]."""
        raise NotImplementedError(f"{type(self).__name__}.decode")

    def __call__(self, images: Array) -> Array:
        """images [C, H, W, N] -> the output at their posterior means. `init` of flax calls it."""
        presence = jnp.ones(len(self.allocation))
        return self.decode(self.encode(images, presence)[0], presence)


def apply(network: nn.Module, variables: Pytree, *inputs: Array, method: str = "__call__") -> Any:
    """Returns `network.apply`, whose type in flax includes variables that no network here changes."""
    return network.apply(variables, *inputs, method=method)


@dataclasses.dataclass(frozen=True, eq=False)  # each is one registration
class NetworkSpec:
    """How a network is made from a config.

    Attributes:
      make: (config, ImageSpec) -> Network. The first line of its docstring is what `scaledis list` shows.
      check: raises UserError for a config that the network cannot run with.
      pads: whether runs that differ in `model.allocation` or `model.parameters` train in one program, the smaller ones
        padded with units and hidden features of zeros. It takes a key for each unit (layers.each_unit), activations
        that are 0 at 0, and no layer that reads two hidden layers side by side.

    Raises UserError for an attribute of another kind.
    """

    make: Callable[[Config, ImageSpec], Network]
    check: Callable[[Config], None] = no_check
    pads: bool = False

    def __post_init__(self) -> None:
        kinds.check_fields("", self)
