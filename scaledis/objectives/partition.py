"""Which units form which groups. Every penalty of both papers is a row of weights over the groups' log densities.

The units are cut into P parts: the levels of a ladder, or the blocks of a granularity. `parts` is 0/1 of shape [P, K];
a unit in no part (padding, where runs of different allocation share a program) is in no group.
The groups are, in this order: all units, the P parts, the K units; G = 1 + P + K.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def level_of_unit(allocation: Sequence[int]) -> np.ndarray:
    """Returns the level of each unit, 0 at the top, int [K]: (4, 2, 2, 2) -> 0 0 0 0 1 1 2 2 3 3."""
    return np.repeat(np.arange(len(allocation)), allocation)


def unit_keys(allocation: Sequence[int]) -> np.ndarray:
    """Returns a number for each unit, int [K], from its level and its place there; padding another level keeps it.

    The random numbers of a unit are drawn from a key that is folded with its number.
    """
    return np.asarray([level << 16 | place for level, units in enumerate(allocation) for place in range(units)])


def levels(allocation: Sequence[int]) -> np.ndarray:
    """Returns the parts of a ladder, top to bottom, [L, K]."""
    return np.asarray(np.arange(len(allocation))[:, None] == level_of_unit(allocation), np.float32)


def blocks(units: int, size: Array) -> Array:
    """Returns contiguous blocks of `size` units as parts, [K, K]; the last block may be smaller.

    There are as many rows as units, so that every size has the same shape; rows without a block are zero.
    """
    return (jnp.arange(units)[:, None] == jnp.arange(units) // size).astype(jnp.float32)


def membership(parts: Array) -> Array:
    """Returns the membership of units in groups, 0/1 of shape [G, K]."""
    in_use = parts.sum(0)
    return jnp.concatenate([in_use[None], parts, jnp.diag(in_use)])


class Contrasts(NamedTuple):
    """Rows of weights that turn log densities of groups [..., G] into dependences in nats.

    intra: [P, G]; log q(z_p) - sum_j log q(z_pj), whose mean is TC(q(z_p)) (Beyond Flat Latent, Eq. 9).
    inter: [G]; log q(z) - sum_p log q(z_p), whose mean is the dependence between the parts (Eq. 11).
    """

    intra: Array
    inter: Array


def contrasts(parts: Array) -> Contrasts:
    """Returns the contrasts of a partition; their sum is the total correlation of all units."""
    count, units = parts.shape
    present = jnp.any(parts > 0, axis=1).astype(jnp.float32)
    intra = jnp.concatenate([jnp.zeros((count, 1)), jnp.diag(present), -jnp.asarray(parts)], axis=1)
    inter = jnp.concatenate([jnp.ones(1), -present, jnp.zeros(units)])
    return Contrasts(intra, inter)


def combine(values: Array, rows: Array | np.ndarray) -> Array:
    """Returns the sums of values [..., G] of groups or units, weighted by rows [G] or [T, G]: [...] or [..., T].

    The product has full precision: log densities are large and nearly cancel, so that reduced precision loses them.
    """
    return jnp.matmul(values, rows.T, precision=jax.lax.Precision.HIGHEST)
