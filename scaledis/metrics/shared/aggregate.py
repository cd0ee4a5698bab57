"""Exact log densities of the aggregate posterior of Gaussian posteriors, and the dependence of its units."""

import numpy as np
from scipy.special import logsumexp

from scaledis.metrics.shared.spec import Result

CHUNK = 32  # codes at once; [CHUNK, N, K] numbers are in memory
FOLDS = 10
NAMES = ("tc_within", "tc_within_error", "tc_between", "tc_between_error", "tc_total", "tc_total_error")


def log_densities(
    codes: np.ndarray, means: np.ndarray, log_variances: np.ndarray, membership: np.ndarray
) -> np.ndarray:
    """log q(z_g) in nats, [B, G], of codes [B, K] for every group of units, under the mean of N Gaussian posteriors.

    Args:
        codes: [B, K].
        means, log_variances: [N, K], of the posteriors.
        membership: [G, K], 0 or 1, the units of each group.
    """
    precisions, constants = np.exp(-log_variances), np.log(2 * np.pi) + log_variances
    tables = []
    for start in range(0, len(codes), CHUNK):
        differences = codes[start : start + CHUNK, None] - means
        log_q = -0.5 * (constants + differences**2 * precisions)
        groups = [np.asarray(logsumexp(log_q[..., group > 0].sum(axis=2), axis=1)) for group in membership]
        tables.append(np.stack(groups, axis=1) - np.log(len(means)))
    return np.concatenate(tables)


def dependence(
    means: np.ndarray, log_variances: np.ndarray, levels: np.ndarray, rng: np.random.Generator, samples: int
) -> Result:
    """Estimates the total correlations of q(z) = E_x q(z | x) within and between levels from samples of it.

        TC(z_l) = E log q(z_l) - sum_{k in l} log q(z_k),   TC(levels) = E log q(z) - sum_l log q(z_l)

    Args:
        means, log_variances: [N, K], of all posteriors.
        levels: int [K], the level of each unit.
        rng: draws the samples.
        samples: their number; each is drawn from the posterior of a random row.

    Returns:
        `tc_within`, a list of L, between the units of each level; `tc_between` the levels; `tc_total` between all
        units, the sum of the others; in nats, each with its standard error over 10 folds of the samples.
    """
    groups = levels == np.unique(levels)[:, None]  # [L, K]
    rows = rng.integers(len(means), size=samples)
    codes = means[rows] + np.exp(0.5 * log_variances[rows]) * rng.normal(size=(samples, len(levels)))
    membership = np.concatenate([np.ones((1, len(levels))), groups, np.eye(len(levels))])
    table = log_densities(codes, means, log_variances, membership)
    together, of_levels, of_units = table[:, 0], table[:, 1 : len(groups) + 1], table[:, len(groups) + 1 :]
    within = _mean(of_levels - of_units @ groups.T.astype(float))
    between, total = _mean(together - of_levels.sum(axis=1)), _mean(together - of_units.sum(axis=1))
    return dict(zip(NAMES, (each.tolist() for each in (*within, *between, *total)), strict=True))


def _mean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the rows of [B, ...], and its standard error from the means of 10 folds."""
    folds = np.stack([fold.mean(axis=0) for fold in np.array_split(values, FOLDS)])
    return values.mean(axis=0), folds.std(axis=0, ddof=1) / np.sqrt(FOLDS)
