"""Dependence between units, without factors (Locatello et al. 2019; Burda et al. 2016)."""

from typing import Any

import numpy as np

from scaledis.metrics.shared.information import BINS, binned, entropy, joint_entropies
from scaledis.metrics.shared.rows import checked_codes, standardized

ACTIVE = 0.01  # variance of the means
SINGULAR = 1e-12  # of the correlations: the smallest eigenvalue of copies


def compute(codes: np.ndarray, factors: np.ndarray | None = None, seed: int = 0, *, bins: int = BINS) -> dict[str, Any]:
    """Total correlation and Wasserstein distance of a Gaussian fit, mean information of pairs, active units.

        gaussian_tc = -1/2 log det R,   gaussian_wasserstein = 2 tr S - 2 tr (D^1/2 S D^1/2)^1/2

    with the correlations R and the covariance S of the units that vary, and D its diagonal. disentanglement_lib takes
    the logarithm of 0 for a dead unit and gives infinity for copies: here dead units are left out, and the total
    correlation of copies is None. All protocols are one. The Wasserstein distance grows with the scale of the codes;
    the normalized one, over tr S, only depends on that of the units to each other. Without factors there is no chance
    level; K independent units have a gaussian_tc of K (K - 1) / 4N and a mutual information of (B - 1)^2 / 2N.

    Args:
        codes: float [N, K].
        factors: unused.
        seed: unused, nothing here is random.
        bins: equal-width bins of each unit for the information.

    Returns:
        `gaussian_tc` in nats, or None; `gaussian_wasserstein`; `gaussian_wasserstein_normalized`;
        `mutual_information`, the mean over pairs of units in nats; `active_units`, how many have a variance above 0.01;
        `warnings`.

    Raises:
        UserError: codes that `checked` refuses, fewer than one bin.
    """
    codes = checked_codes(codes)
    alive = codes[:, np.ptp(codes, axis=0) > 0]
    units = alive.shape[1]
    total_correlation = _gaussian_tc(alive)
    centered = alive - alive.mean(axis=0)
    covariance = centered.T @ centered / (len(codes) - 1)
    deviations = np.sqrt(np.diag(covariance))
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance * np.outer(deviations, deviations)), 0))
    trace = float(np.trace(covariance))
    distance = max(2 * trace - 2 * float(roots.sum()), 0.0)
    return {
        "gaussian_tc": total_correlation,
        "gaussian_wasserstein": distance,
        "gaussian_wasserstein_normalized": distance / trace if trace else 0.0,
        "mutual_information": _mean_information(alive, bins) if units > 1 else 0.0,
        "active_units": int((codes.var(axis=0) > ACTIVE).sum()),
        "warnings": [] if total_correlation is not None else ["gaussian_tc: units copy each other; it is infinite"],
    }


def _gaussian_tc(units: np.ndarray) -> float | None:
    """-1/2 log det of the correlations of `units` [N, K], or None where these have no inverse."""
    scaled = standardized(units)
    values = np.linalg.eigvalsh(scaled.T @ scaled / len(units))
    if (values < SINGULAR).any():
        return None
    return max(0.0, -0.5 * float(np.log(values).sum()))


def _mean_information(units: np.ndarray, bins: int) -> float:
    """Mean information between two different units of [N, K], K > 1."""
    cells = binned(units, bins)
    entropies = entropy(cells)
    nats = np.maximum(entropies[:, None] + entropies - joint_entropies(cells, cells), 0)
    return float((nats.sum() - np.trace(nats)) / (len(nats) * (len(nats) - 1)))
