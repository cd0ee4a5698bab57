"""Dependence between units, without factors (Locatello et al. 2019; Burda et al. 2016)."""

import numpy as np

from scaledis.metrics.shared.information import BINS, binned, entropy, joint_entropies
from scaledis.metrics.shared.rows import checked_codes, standardized
from scaledis.metrics.shared.spec import ROWS, Result, Spec

CONTINUOUS = ("gaussian_tc", "gaussian_wasserstein", "gaussian_wasserstein_normalized", "mutual_information")
SPEC = Spec(intervals=dict.fromkeys(CONTINUOUS, ROWS))
ACTIVE = 0.01  # variance of the means
SINGULAR = 1e-12  # of the correlations: the smallest eigenvalue of copies


def compute(codes: np.ndarray, factors: np.ndarray | None = None, seed: int = 0, *, bins: int = BINS) -> Result:
    """Returns total correlation and Wasserstein distance of a Gaussian fit, information of pairs, and active units.

        gaussian_tc = -1/2 log det R,   gaussian_wasserstein = 2 tr S - 2 tr (D^1/2 S D^1/2)^1/2

    with the correlations R and the covariance S of the units that vary, and D the diagonal of S. disentanglement_lib
    takes the logarithm of 0 for a dead unit and returns infinity for copies. Here dead units are left out, and the
    total correlation of copies is None. All protocols agree. The Wasserstein distance grows with the scale of the
    codes; the normalized one, divided by tr S, depends only on the relative scale of the units. There is no chance
    level without factors; K independent units have a gaussian_tc of K (K - 1) / 4N and a mutual information of (B -
    1)^2 / 2N.

    Args:
        factors: ignored.
        bins: bins of equal width per unit for the information.

    Returns:
        `gaussian_tc` in nats, or None; `gaussian_wasserstein`; `gaussian_wasserstein_normalized`;
        `mutual_information`, the mean over pairs of units in nats; `active_units`, the number of units with a variance
        above 0.01.
    """
    codes = checked_codes(codes)
    alive = codes[:, np.ptp(codes, axis=0) > 0]
    units = alive.shape[1]
    scaled = standardized(alive)
    eigenvalues = np.linalg.eigvalsh(scaled.T @ scaled / len(alive))
    total_correlation = None
    if not (eigenvalues < SINGULAR).any():
        total_correlation = max(0.0, -0.5 * float(np.log(eigenvalues).sum()))
    centered = alive - alive.mean(axis=0)
    scale = float(np.abs(centered).max(initial=0)) or 1.0  # the fourth power of a code need not be a number
    centered = centered / scale
    covariance = centered.T @ centered / (len(codes) - 1)
    deviations = np.sqrt(np.diag(covariance))
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance * np.outer(deviations, deviations)), 0))
    trace = float(np.trace(covariance))
    distance = max(2 * trace - 2 * float(roots.sum()), 0.0)
    nats = np.zeros((1, 1))
    if units > 1:
        cells = binned(alive, bins)
        entropies = entropy(cells)
        nats = np.maximum(entropies[:, None] + entropies - joint_entropies(cells, cells), 0)
    return {
        "gaussian_tc": total_correlation,
        "gaussian_wasserstein": scale**2 * distance,
        "gaussian_wasserstein_normalized": distance / trace if trace else 0.0,
        "mutual_information": float((nats.sum() - np.trace(nats)) / max(units * (units - 1), 1)),
        "active_units": int((codes.var(axis=0) > ACTIVE).sum()),
        "warnings": [] if total_correlation is not None else ["gaussian_tc: units copy each other; it is infinite"],
    }
