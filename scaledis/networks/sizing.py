"""The width of a network: the one whose number of parameters is nearest to `model.parameters`."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scaledis.config import Model
from scaledis.core import UserError
from scaledis.types import Pytree

LADDER_PARAMETERS = 1_200_000  # of Beyond Flat Latent
WIDEST = 4096
ImageShape = tuple[int, int, int]


def parameter_shapes(network: nn.Module) -> Pytree:
    """Returns a network's parameters as shapes, without any computation."""
    height, width, channels = network.image_shape
    images = jax.ShapeDtypeStruct((channels, height, width, 1), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), images)


@functools.cache  # of a network that many runs share
def parameter_count(network: nn.Module) -> int:
    """Returns the number of a network's parameters."""
    return count(parameter_shapes(network))


def count(params: Pytree) -> int:
    """Returns how many numbers a pytree of arrays, or of their shapes, holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def arithmetic(model: Model, image_shape: ImageShape) -> float:
    """Returns the approximate number of multiplications that a ladder of `model.parameters` makes for one image.

    A convolution's kernel counts at each of its places, every other parameter once. The convolutions are the same at
    every width, and do nine tenths of the work at the papers' sizes.
    """
    height, width, channels = image_shape
    kernels = [16 * fine * coarse for fine, coarse in itertools.pairwise((channels, *model.channels))]
    places = [(height >> depth) * (width >> depth) for depth in range(1, len(kernels) + 1)]
    convolutions = 2 * sum(kernel * count for kernel, count in zip(kernels, places, strict=True))  # down and up
    return convolutions + max(model.parameters - 2 * sum(kernels), 0)


def nominal(allocation: Sequence[int]) -> tuple[int, ...]:
    """Returns the allocation that sets the width of every ladder of this depth, so that all of them share a program."""
    return (2,) * len(allocation)


def width_for(model: Model, sized: Callable[[int], nn.Module]) -> int:
    """Returns the width whose parameter count is nearest to `model.parameters` ("same model capacity", Table 2).

    Raises UserError if the convolutions alone have more parameters, or if the widest network has a tenth fewer.
    """
    wanted = model.parameters or LADDER_PARAMETERS
    one, two, three = (parameter_count(sized(width)) for width in (1, 2, 3))
    # The count is a parabola in the width: at most one of its layers is wide on both sides.
    bend = (three - two) - (two - one)
    counts = one + (two - one) * np.arange(WIDEST) + bend * np.arange(WIDEST) * (np.arange(WIDEST) - 1) // 2
    if wanted < one - (two - one) / 2:
        raise UserError(f"model.parameters: {wanted} is too few; with these channels the smallest network has {one}.")
    if wanted > 1.1 * counts[-1]:
        raise UserError(
            f"model.parameters: {wanted} is too many; with these channels the widest network has {counts[-1]}."
        )
    return 1 + int(np.argmin(np.abs(counts - wanted)))
