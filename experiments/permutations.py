"""What "up to" is worth: the largest gain of a grid, against the largest that the grid gives where b tells nothing.

The paper's gain of "up to a fifth" is a maximum over many cells. Some cell is always best, so that maximum is compared
with those of the same grid whose runs were given their b at random: within a condition and a seed, since runs of one
seed share their data and their first weights.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

DRAWS = 10_000


class Maximum(NamedTuple):
    """The largest gain of a grid.

    gain: the largest mean over seeds of a score at some b minus that at the first b.
    condition, block: where it is, as places on the axes of the scores.
    by_chance: the mean of the largest gains of permuted grids.
    high: that which 5 % of the permuted grids exceed.
    p: the share of permuted grids whose largest gain is at least as large.
    exact: whether all permutations were counted, instead of DRAWS of them and the grid itself.
    """

    gain: float
    condition: int
    block: int
    by_chance: float
    high: float
    p: float
    exact: bool


def largest_gain(scores, draws=DRAWS, seed=0):
    """The Maximum of scores [seeds, blocks] of each condition; the first block is what all others are compared with.

    Conditions may have other seeds, and other numbers of them. All runs of a seed must be there: raises ValueError for
    a score that is not finite, for a condition without a seed, and for fewer than two blocks.
    """
    scores = [np.asarray(each, float) for each in scores]
    if any(each.ndim != 2 or len(each) < 1 or each.shape[1] < 2 or not np.isfinite(each).all() for each in scores):
        raise ValueError(f"scores {[each.shape for each in scores]} must be finite, [seeds, two or more blocks] each")
    rows = np.concatenate(scores)  # in each of which b is exchangeable
    counts = np.array([len(each) for each in scores])
    means = np.repeat(np.diag(1 / counts), counts, axis=1)  # [conditions, rows], of the seeds of a condition
    gains = _gains(means @ rows)
    condition, block = np.unravel_index(gains.argmax(), gains.shape)
    several = math.factorial(rows.shape[1]) ** len(rows)
    exact = several <= draws
    permuted = _all_orders(rows) if exact else _drawn_orders(rows, draws, np.random.default_rng(seed))
    found = np.array([_gains(means @ each).max() for each in permuted])
    at_least = (found >= gains.max() - 1e-12).sum()
    p = at_least / several if exact else (1 + at_least) / (1 + draws)
    high = float(np.quantile(found, 0.95))
    return Maximum(float(gains.max()), int(condition), int(block) + 1, float(found.mean()), high, float(p), exact)


def _gains(means):
    """Every block minus the first, [conditions, blocks - 1], of means over seeds."""
    return means[:, 1:] - means[:, :1]


def _all_orders(rows):
    """The rows in every combination of their orders."""
    for orders in itertools.product(itertools.permutations(range(rows.shape[1])), repeat=len(rows)):
        yield np.take_along_axis(rows, np.array(orders), axis=1)


def _drawn_orders(rows, draws, rng):
    """The rows, each in an order drawn at random, so many times."""
    for _ in range(draws):
        yield rng.permuted(rows, axis=1)
