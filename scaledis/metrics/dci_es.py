"""Explicitness and size, which DCI-ES adds to DCI (Eastwood et al. 2023)."""

from collections.abc import Iterator

import numpy as np

from scaledis.core import registry
from scaledis.metrics.shared import parallel, rows
from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.labels import Labels, of_classes
from scaledis.metrics.shared.spec import TEST_ROWS, Part, Result, Scores, Spec

SPEC = Spec(("explicitness",), fits=True, intervals={"explicitness": TEST_ROWS})
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
    """Predicted classes [N] of least squares on 2, 4, .., 1,024 random Fourier features (Rahimi & Recht 2007)."""
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
    train_fraction: float = rows.TRAIN_FRACTION,
    labels: Labels | None = None,
) -> Result:
    """Returns explicitness, how small a probe predicts the factors well, and size, the number of factors per unit.

        E = mean_k 1 - area of (l_k(c) - l_k*) / (l_k0 - l_k*) over the capacity c from least to largest

    where l_k(c) is the test error of a probe of capacity c, l_k* the least error over all capacities, and l_k0 the
    error of predicting the most common class. E is 1 if the smallest probe is as good as the largest, and 0 if none is
    better than that prediction. Capacity and baseline differ between papers. Here the capacity is the depth of a random
    forest of ten trees, 1 to 10, or the logarithm of the number of random Fourier features, and the area is not halved.
    All protocols agree.

    Args:
        seed: seeds the probes.
        probe: one of `PROBES`.

    Returns:
        `explicitness` in [0, 1]; `size`, F / K; `explicitness_per_factor` [F].
    """
    codes, factors = rows.checked(codes, factors)
    probes = registry.choose("metrics.dci_es.probe", probe, PROBES)
    known = labels or of_classes(factors)
    split = rows.split_at(factors, train_fraction, known.numbers)
    inputs = rows.standardized(codes)

    def errors(factor: np.ndarray, most_common: int) -> np.ndarray:
        """1 where wrong, [test rows, capacities + 1], NaN without a label; the last predicts the most common class."""
        guess = np.full(len(factor), most_common)
        there, found = factor != MISSING, np.full((len(factor), len(CAPACITIES) + 1), np.nan)
        labeled, guess, trained = factor[there], guess[there], int(there[:split].sum())
        lone = len(np.unique(labeled[:trained])) < 2
        predicted = [guess] * len(CAPACITIES) if lone else probes(inputs[there], labeled, trained, seed)
        found[there] = np.stack([*predicted, guess], axis=1) != labeled[:, None]
        return found[split:]

    wrong = np.stack(parallel.mapped(errors, factors.T, rows.commonest(factors[:split])), axis=1)
    size, warnings = factors.shape[1] / codes.shape[1], rows.rare_classes(factors, split, known.numbers)
    scores = {**_explicitness(wrong), "size": size, "warnings": warnings}
    return Scores(scores, {TEST_ROWS: Part(_explicitness, [wrong], known.there[split:])})


def _explicitness(wrong: np.ndarray) -> Result:
    """`explicitness` and `explicitness_per_factor` of errors [n, F, capacities + 1], NaN where there is no label."""
    losses = rows.mean_of_labeled(wrong)
    curve, guess = losses[:, :-1], losses[:, -1]
    best = curve.min(axis=1)
    headroom = guess - best
    excess = np.clip((curve - best[:, None]) / np.where(headroom > 0, headroom, 1)[:, None], 0, 1)
    areas = np.trapezoid(excess, axis=1) / (len(CAPACITIES) - 1)
    scores = np.where(headroom > 0, 1 - areas, 0)
    return {"explicitness": float(scores.mean()), "explicitness_per_factor": scores}
