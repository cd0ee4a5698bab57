"""Explicitness and size, the two letters that DCI-ES adds to DCI (Eastwood et al. 2023)."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from scaledis.core import registry
from scaledis.metrics.shared.rows import TRAIN_FRACTION, FittedScores, checked, rare_classes, split_at, standardized

SCORES = ("explicitness",)
FITS = True
CAPACITIES = range(1, 11)
TREES = 10
RIDGE = 1e-3  # of the squares of the features


def _forest(inputs: np.ndarray, classes: np.ndarray, split: int, seed: int) -> Iterator[np.ndarray]:
    """Predicted classes [N] of a random forest of each depth from 1 to 10."""
    from sklearn.ensemble import RandomForestClassifier

    for depth in CAPACITIES:
        model = RandomForestClassifier(TREES, max_depth=depth, random_state=seed)
        yield model.fit(inputs[:split], classes[:split]).predict(inputs)


def _fourier(inputs: np.ndarray, classes: np.ndarray, split: int, seed: int) -> Iterator[np.ndarray]:
    """Predicted classes [N] by least squares from 2, 4, .., 1,024 random Fourier features (Rahimi & Recht 2007)."""
    rng = np.random.default_rng(seed)
    values, numbers = np.unique(classes[:split], return_inverse=True)
    target = np.eye(len(values))[numbers]
    directions = rng.standard_normal((inputs.shape[1], 2 ** CAPACITIES[-1])) / np.sqrt(inputs.shape[1])
    features = np.cos(inputs @ directions + rng.uniform(0, 2 * np.pi, directions.shape[1]))
    for capacity in CAPACITIES:
        few = np.concatenate([features[:, : 2**capacity], np.ones((len(inputs), 1))], axis=1)
        squares = few[:split].T @ few[:split] + RIDGE * split * np.eye(few.shape[1])
        yield values[(few @ np.linalg.solve(squares, few[:split].T @ target)).argmax(axis=1)]


PROBES = {"forest": _forest, "fourier": _fourier}


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    probe: str = "forest",
    train_fraction: float = TRAIN_FRACTION,
) -> dict[str, Any]:
    """Explicitness: how small a probe finds the factors. Size: how many factors there are for each unit.

        E = mean_k 1 - area of (l_k(c) - l_k*) / (l_k0 - l_k*) over the capacity c from least to largest

    with the test error l_k(c) of a probe of capacity c, the least error l_k* of all capacities, and the error l_k0 of
    always guessing the commonest class: 1 if the smallest probe is as good as the largest, 0 if none is better than a
    guess. Capacity and baseline are choices of each paper; here they are the depth of a random forest of ten trees, 1
    to 10, or the logarithm of the number of random Fourier features. The area is not halved. All protocols are one.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the probes.
        probe: one of `PROBES`.
        train_fraction: share of the rows that train.

    Returns:
        `explicitness` in [0, 1]; `size`, F / K; `explicitness_per_factor` [F]; `warnings`.

    Raises:
        UserError: codes or factors that `checked` refuses, an unknown probe, rows that `split_at` refuses.
    """
    codes, factors = checked(codes, factors)
    probes = registry.choose("metrics.dci_es.probe", probe, PROBES)
    split = split_at(factors, train_fraction)
    inputs = standardized(codes)

    def wrong(factor: np.ndarray) -> np.ndarray:
        """bool [capacities + 1, test rows], the last line that of a guess."""
        values, counts = np.unique(factor[:split], return_counts=True)
        guess = np.full(len(factor), values[counts.argmax()])
        lone = len(values) == 1
        predicted = [guess] * len(CAPACITIES) if lone else list(probes(inputs, factor, split, seed))
        return np.stack([*predicted, guess])[:, split:] != factor[split:]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = np.stack(list(pool.map(wrong, factors.T)))

    def explicitness(rows: np.ndarray) -> dict[str, Any]:
        losses = errors[..., rows].mean(axis=2)
        curve, guess = losses[:, :-1], losses[:, -1]
        best = curve.min(axis=1)
        headroom = guess - best
        excess = np.clip((curve - best[:, None]) / np.where(headroom > 0, headroom, 1)[:, None], 0, 1)
        areas = np.trapezoid(excess, axis=1) / (len(CAPACITIES) - 1)
        scores = np.where(headroom > 0, 1 - areas, 0)
        return {"explicitness": float(scores.mean()), "explicitness_per_factor": scores}

    fixed = {"size": factors.shape[1] / codes.shape[1], "warnings": rare_classes(factors, split)}
    return FittedScores(explicitness, len(codes) - split, fixed)
