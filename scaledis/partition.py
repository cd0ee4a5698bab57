"""Which units form which groups. Every penalty of both papers is a row of weights over the groups' log densities.

The groups of a ladder are, in this order: all K units, the L levels from top to bottom, the K units; G = 1 + L + K.
A unit that is not `active` (padding, where runs of different allocation share a program) belongs to no group.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def level_of_unit(allocation: Sequence[int]) -> np.ndarray:
    """The level of each unit, 0 at the top: int [K]. (4, 2, 2, 2) -> 0 0 0 0 1 1 2 2 3 3."""
    return np.repeat(np.arange(len(allocation)), allocation)


def units_of_level(allocation: Sequence[int]) -> np.ndarray:
    """0/1 membership of units in levels: [L, K]."""
    return (np.arange(len(allocation))[:, None] == level_of_unit(allocation)).astype(np.float32)


def membership(allocation: Sequence[int]) -> np.ndarray:
    """0/1 membership of units in groups: [G, K]."""
    levels = units_of_level(allocation)
    units = levels.shape[1]
    return np.concatenate([np.ones((1, units), np.float32), levels, np.eye(units, dtype=np.float32)])


class Contrasts(NamedTuple):
    """Rows of weights that turn log densities of groups [..., G] into dependences in nats.

    intra: [L, G]; log q(z_l) - sum_j log q(z_lj), whose mean is TC(q(z_l)) (Beyond Flat Latent, Eq. 9).
    inter: [G]; log q(z_1:L) - sum_l log q(z_l), whose mean is the inter-level dependence (Eq. 11).
    """

    intra: Array
    inter: Array


def contrasts(allocation: Sequence[int], active: Array) -> Contrasts:
    """The contrasts of a ladder; `active` is 0/1 of shape [K]. Their sum is the total correlation of all units."""
    levels = units_of_level(allocation)
    depth, units = levels.shape
    present = (levels @ active > 0).astype(levels.dtype)
    intra = jnp.concatenate([jnp.zeros((depth, 1)), jnp.diag(present), -levels * active], axis=1)
    inter = jnp.concatenate([jnp.ones(1), -present, jnp.zeros(units)])
    return Contrasts(intra, inter)


def combine(values: Array, rows: Array) -> Array:
    """Weighted sums of per-group (or per-unit) values [..., G] by rows [G] or [T, G]: [...] or [..., T].

    In full precision: log densities are large and nearly cancel, which a reduced-precision product would not survive.
    """
    return jnp.matmul(values, rows.T, precision=jax.lax.Precision.HIGHEST)


def scale_aware(rows: Contrasts, beta: Array, gamma: Array) -> Array:
    """sum_l (beta_l - 1) intra_l + gamma inter: [G], the penalty that the scale-aware VLAE adds to reconstruction + KL.

    The -1 is the total correlation that the KL already holds, so beta_l is the final weight, as in Eq. 10 and 13.
    """
    return (beta - 1.0) @ rows.intra + gamma * rows.inter
