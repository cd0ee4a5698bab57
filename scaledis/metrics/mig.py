"""The mutual information gap (Chen et al. 2018; Eq. 16 of Beyond Flat Latent)."""

import numpy as np
from scipy.special import entr

from scaledis.errors import UserError
from scaledis.metrics import checked


def compute(codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, bins: int = 20) -> dict[str, float | list]:
    """Mutual information gap: the lead of a factor's best unit over the second best, as a share of its entropy.

        MIG = mean_k [I(z_first(k); v_k) - I(z_second(k); v_k)] / H(v_k)

    A constant factor has no entropy to share out and is left out of the mean. With a single unit the gap is to 0.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: unused, nothing here is random.
        bins: equal-width bins of each unit; factors are not binned.

    Returns:
        `mig`, the score in [0, 1]; `per_factor`, a list of the F gaps with None for a constant factor.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, no factor that varies.
    """
    information, entropies = mutual_information(codes, factors, bins), entropy(factors)
    varies = entropies > 0
    if not varies.any():
        raise UserError(f"factors: all {len(varies)} are constant over {len(factors)} rows; MIG needs one that varies")
    padded = np.pad(information, ((1, 0), (0, 0)))  # a row of 0 stands in for a missing second unit
    second, first = np.sort(padded, axis=0)[-2:]
    gaps = np.divide(first - second, entropies, out=np.zeros_like(entropies), where=varies)
    return {
        "mig": float(gaps[varies].mean()),
        "per_factor": [gap if kept else None for gap, kept in zip(gaps.tolist(), varies, strict=True)],
    }


def mutual_information(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> np.ndarray:
    """Plug-in mutual information of every unit with every factor, float [K, F] in nats: I = H(bin) + H(v) - H(bin, v).

    Units are cut into equal-width bins over their range; a constant unit falls into one bin and carries 0.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin.
    """
    codes, factors = checked(codes, factors)
    if bins < 1:
        raise UserError(f"bins: {bins}; at least 1 is needed")
    low, span = codes.min(axis=0), np.ptp(codes, axis=0)
    cells = np.minimum((codes - low) / np.where(span > 0, span, 1) * bins, bins - 1).astype(np.int64)
    cells += bins * np.arange(codes.shape[1])
    return np.stack([_information(cells, factor, (codes.shape[1], bins)) for factor in factors.T], axis=1)


def entropy(factors: np.ndarray) -> np.ndarray:
    """Entropy of every factor's observed classes: int [N, F] to float [F] in nats."""
    return np.array(
        [entr(np.unique(factor, return_counts=True)[1] / len(factor)).sum() for factor in np.asarray(factors).T]
    )


def _information(cells: np.ndarray, factor: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Mutual information [K] of one factor [N] with all units; `cells` [N, K] number (unit, bin) pairs of `shape`."""
    values, classes = np.unique(factor, return_inverse=True)
    size = np.prod(shape) * len(values)
    counts = np.bincount((cells * len(values) + classes[:, None]).ravel(), minlength=size)
    joint = counts.reshape(*shape, len(values)) / len(factor)
    nats = entr(joint.sum(axis=2)).sum(axis=1) + entr(joint.sum(axis=1)).sum(axis=1) - entr(joint).sum(axis=(1, 2))
    return np.maximum(nats, 0)  # rounding can leave -1e-16
