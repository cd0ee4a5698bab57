"""Likelihoods of images, by name: `config.objective.likelihood`. Each gives nats per image, summed over its pixels."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis.objectives import gaussian
from scaledis.types import Likelihood

EDGE = 1e-6  # how near to 0 and 1 a logit is taken
PIXELS = (0, 1, 2)  # the axes of one image in [C, H, W, B]


def _gaussian(output: Array, pixels: Array, sigma: Array) -> Array:
    return -gaussian.log_density(pixels, output, 2 * jnp.log(sigma)).sum(PIXELS)


def _bernoulli(output: Array, pixels: Array, sigma: Array) -> Array:
    del sigma  # a Bernoulli has no scale
    return (jax.nn.softplus(output) - pixels * output).sum(PIXELS)


def _clip(output: Array) -> Array:
    return jnp.clip(output, 0.0, 1.0)


def _in_float32(
    negative_log_likelihood: Callable[[Array, Array, Array], Array],
    mean: Callable[[Array], Array],
    output: Callable[[Array], Array],
    learns_sigma: bool = False,
) -> Likelihood:
    """Returns the likelihood of these functions in float32, whatever number format the decoder's output has."""
    return Likelihood(
        lambda found, pixels, sigma: negative_log_likelihood(found.astype(jnp.float32), pixels, sigma),
        lambda found: mean(found.astype(jnp.float32)),
        output,
        learns_sigma,
    )


LIKELIHOODS = {
    "gaussian": _in_float32(_gaussian, _clip, _clip),
    "gaussian_learned": _in_float32(_gaussian, _clip, _clip, learns_sigma=True),
    "bernoulli": _in_float32(
        _bernoulli, jax.nn.sigmoid, lambda pixels: jax.scipy.special.logit(jnp.clip(pixels, EDGE, 1 - EDGE))
    ),
}


def of_expected(name: str, sigma: float, expected: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Returns -log p(x | z) in nats, [B], of images given their expected values, both [B, H, W, C] in [0, 1]."""
    likelihood = LIKELIHOODS[name]
    output, pixels = (jnp.asarray(each).transpose(3, 1, 2, 0) for each in (expected, images))
    return np.asarray(likelihood.negative_log_likelihood(likelihood.output(output), pixels, jnp.asarray(sigma)))
