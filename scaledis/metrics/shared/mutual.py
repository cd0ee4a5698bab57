"""Mutual information of units and factors: of classes by counting, of numbers and angles by their nearest neighbors."""

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma

from scaledis.core import registry
from scaledis.metrics.shared import information as information_
from scaledis.metrics.shared import labels
from scaledis.metrics.shared.information import BINNINGS, BINS, Information
from scaledis.metrics.shared.rows import standardized
from scaledis.metrics.shared.sample import aligned

NEAREST, NEIGHBORS = "nearest", 10
NOISE = 1e-9  # standard deviations or radians, far below the gaps between values


def information(
    codes: object,
    factors: object,
    bins: int = BINS,
    estimator: str = "equal_width",
    corrected: bool = False,
    kinds: labels.Kinds | None = None,
    missing: object = None,
) -> np.ndarray:
    """Returns the mutual information of every unit and every factor, float [K, F] in nats.

    Args:
        codes: float [N, K].
        factors: [N, F], of any kind, as in `metrics.compute`.
        bins: bins per unit.
        estimator: "equal_width" or "quantile" bins of units, and 20 quantiles of numbers and angles; "nearest" takes
            nearest neighbors for numbers and angles instead, which has no bound, and quantiles of units for categories.
        corrected: subtracts the mean of independent units and factors, (B - 1)(V - 1) / 2N, from what is counted.
        kinds, missing: as in `metrics.compute`.

    Raises:
        UserError: codes or factors that `metrics.compute` refuses, fewer than one bin, an unknown estimator.
    """
    registry.check("metrics estimator", estimator, (*BINNINGS, NEAREST))
    units, known = aligned(codes, factors, kinds, missing)
    table = Information(units, known.classes).table(bins, "quantile" if estimator == NEAREST else estimator)
    nats = table.corrected if corrected else table.nats
    if estimator == NEAREST:
        for number, kind in enumerate(known.kinds):
            if kind != labels.CATEGORY:
                nats[:, number] = nearest_information(units, known, number)
    return nats


def entropy(factors: object, kinds: labels.Kinds | None = None, missing: object = None) -> np.ndarray:
    """Returns the entropy of every factor over the rows that have its label in nats, float [F].

    A number and an angle have that of their 20 bins. `factors`, `kinds` and `missing` are those of `metrics.compute`.
    """
    known = labels.read("factors", factors, kinds, missing)
    columns = zip(known.classes.T, known.there.T, strict=True)
    return np.array([information_.entropy(column[there, None])[0] if there.any() else 0.0 for column, there in columns])


def nearest_information(
    units: np.ndarray, known: labels.Labels, factor: int, neighbors: int = NEIGHBORS, seed: int = 0
) -> np.ndarray:
    """The information of every unit about a number or an angle in nats, [K], over the rows with a label.

        I = psi(k) + psi(N) - mean_i psi(n_i) + psi(m_i)                        (Kraskov et al. 2004, Eq. 8)

    with the number n_i of units, and m_i of labels, that are nearer to row i than its k-th neighbor by the larger of
    both distances, row i included. The distance of angles is that around the circle. Neighbors of equal distance have
    no order, so noise far below the gaps between values, which leaves the information as it is, breaks all ties.

    Args:
        units: float [N, K].
        known: labels of the same images; `factor` is one of their columns.
        neighbors: k.
        seed: draws the noise, the same for every unit.
    """
    there, angle = known.there[:, factor], known.kinds[factor] == labels.ANGLE
    amounts, turn = known.amounts[there, factor], labels.TURN if angle else 0.0
    noise = NOISE * np.random.default_rng([seed, *b"ties"]).random((2, len(amounts)))  # no metric draws by this stream
    other = (amounts + noise[1]) % turn if angle else standardized(amounts[:, None])[:, 0] + noise[1]
    columns = standardized(units[there]).T
    return np.array([_of_pair(unit + noise[0], other, turn, neighbors) if unit.any() else 0.0 for unit in columns])


def _of_pair(unit: np.ndarray, other: np.ndarray, turn: float, neighbors: int) -> float:
    """The estimate for two columns [N] without ties, the second of period `turn`, or of none if 0; at least 0."""
    count, near = len(unit), min(neighbors, len(unit) - 1)
    both, sides = np.stack([unit, other], axis=1), np.array([0.0, turn])
    radii = np.nextafter(cKDTree(both, boxsize=sides).query(both, near + 1, p=np.inf)[0][:, -1], 0)
    trees = (cKDTree(column[:, None], boxsize=side) for column, side in zip(both.T, sides, strict=True))
    inside = (tree.query_ball_point(tree.data, radii, p=np.inf, return_length=True) for tree in trees)
    return max(0.0, float(digamma(near) + digamma(count) - sum(digamma(each).mean() for each in inside)))
