"""Diagonal Gaussians by their mean and log variance, in nats."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

LOG_TWO_PI = 1.8378770664093453


def log_density(x: Array, mean: ArrayLike, log_variance: Array) -> Array:
    """Returns log N(x; mean, exp(log_variance)) of each entry; the three arrays broadcast."""
    return -0.5 * (LOG_TWO_PI + log_variance + (x - mean) ** 2 * jnp.exp(-log_variance))


def kl_to_standard(mean: ArrayLike, log_variance: ArrayLike) -> Array:
    """Returns KL(N(mean, exp(log_variance)) || N(0, 1)) of each entry."""
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance)
