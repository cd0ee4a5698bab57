"""dSprites in color, in noise and on a painting: the variants of Locatello et al. (2019), as sets of fixed images.

In the paper, the color, the noise and the place were drawn each time an image was read. Here they follow from the place
of the image in the data set, so that an image is the same in every step, run and score. All arithmetic is on whole
numbers, so that it is the same on every machine, too.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from scaledis.core import runtime
from scaledis.core.streams import each, stream
from scaledis.datasets import Dataset

Paint = Callable[[Array, Array, Any], Array]  # (inside bool [H, W, 1], key, more) -> uint8 [H, W, 3]


def painted(name: str, dataset: Dataset, paint: Paint, more: Any = ()) -> Dataset:
    """Returns a set of gray images with its sprites painted: `more` are the arrays that `paint` needs besides."""

    @jax.jit
    def paint_all(images: Array, index: Array, more: Any) -> Array:
        keys = each(jax.random.key(0, impl=runtime.KEYS), index)
        return jax.vmap(paint, in_axes=(0, 0, None))(images > 127, keys, more)

    @runtime.pinned()
    def gather(source: Any, index: Array) -> Array:
        images, more = source
        return paint_all(dataset.gather(images, index), jnp.asarray(index), more)

    shape, source = (*dataset.image_shape[:2], 3), (dataset.source, more)
    return dataclasses.replace(dataset, name=name, image_shape=shape, source=source, gather=gather)


def color(key: Array) -> Array:
    """Returns one color uint8 [3], each channel from 128 to 255."""
    return 128 + jax.random.bits(key, (3,), "uint8") // 2


def colored(inside: Array, key: Array, more: tuple[()] = ()) -> Array:
    """A sprite of one random color on black."""
    return inside * color(stream(key, "color"))


def noisy(inside: Array, key: Array, more: tuple[()] = ()) -> Array:
    """A white sprite on noise, uniform in every pixel and channel."""
    return jnp.where(inside, jnp.uint8(255), jax.random.bits(stream(key, "noise"), (*inside.shape[:2], 3), "uint8"))


def on_background(inside: Array, key: Array, background: Array) -> Array:
    """A random piece of a picture uint8 [h, w, 3], halfway to a random color, and inverted inside of the sprite."""
    (rows, columns), (height, width) = background.shape[:2], inside.shape[:2]
    row = jax.random.randint(stream(key, "row"), (), 0, rows - height + 1)
    column = jax.random.randint(stream(key, "column"), (), 0, columns - width + 1)
    piece = jax.lax.dynamic_slice(background, (row, column, 0), (height, width, 3)).astype(jnp.uint16)
    mixed = ((piece + jax.random.bits(stream(key, "color"), (3,), "uint8")) // 2).astype(jnp.uint8)
    return jnp.where(inside, 255 - mixed, mixed)
