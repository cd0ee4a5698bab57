"""Disentanglement, completeness and informativeness (Eastwood & Williams 2018; Eq. 14-15 of Beyond Flat Latent)."""

from collections.abc import Sequence

import numpy as np
from scipy.special import entr

from scaledis.core import registry
from scaledis.metrics.shared import boosting, parallel
from scaledis.metrics.shared.labels import CATEGORY, Labels, of_classes
from scaledis.metrics.shared.rows import (
    TRAIN_FRACTION,
    checked,
    commonest,
    counted,
    mean_of_labeled,
    rare_classes,
    split_at,
)
from scaledis.metrics.shared.spec import ALL_KINDS, JOINT, TEST_ROWS, Part, Result, Scores, Spec

SCORES = ("disentanglement", "completeness", "informativeness")
SPEC = Spec(SCORES, fits=True, intervals={"informativeness": TEST_ROWS}, groups=JOINT, kinds=ALL_KINDS)


def _sklearn(ranks: np.ndarray, factors: np.ndarray, split: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The reference: importances [K, F] and predicted classes [N, F], learned from the first `split` rows."""
    from sklearn.ensemble import GradientBoostingClassifier  # imported here: it takes longer than all of JAX

    def classifier(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = {"n_estimators": boosting.ROUNDS, "max_depth": boosting.DEPTH, "learning_rate": boosting.RATE}
        model = GradientBoostingClassifier(**size, random_state=seed)
        model.fit(ranks[:split], factor[:split])
        # A unit that no tree uses can have importance -1e-18, whose entropy is not defined.
        return np.maximum(model.feature_importances_, 0), model.predict(ranks)

    importances, predicted = zip(*parallel.mapped(classifier, factors.T), strict=True)
    return np.stack(importances, axis=1), np.stack(predicted, axis=1)


def _sklearn_regression(ranks: np.ndarray, targets: np.ndarray, split: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The reference of `boosting.regress`: importances [K] and predicted targets [N, T]."""
    from sklearn.ensemble import GradientBoostingRegressor

    size = {"n_estimators": boosting.ROUNDS, "max_depth": boosting.DEPTH, "learning_rate": boosting.RATE}
    models = [
        GradientBoostingRegressor(**size, random_state=seed).fit(ranks[:split], each[:split]) for each in targets.T
    ]
    weighted = [
        np.maximum(one.feature_importances_, 0) * each.var() for one, each in zip(models, targets.T, strict=True)
    ]
    return np.sum(weighted, axis=0), np.stack([model.predict(ranks) for model in models], axis=1)


BACKENDS = {"lightgbm": boosting.fit, "sklearn": _sklearn}
REGRESSIONS = {"lightgbm": boosting.regress, "sklearn": _sklearn_regression}


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    backend: str = "lightgbm",
    train_fraction: float = TRAIN_FRACTION,
    groups: Sequence[Sequence[int]] | None = None,
    labels: Labels | None = None,
) -> Result:
    """Returns DCI-D, DCI-C and informativeness from one gradient-boosted classifier per factor.

    A classifier has 100 rounds of trees of depth 3 at rate 0.1. Trees depend only on the order of a unit's values, so
    they are given dense ranks, and neither the scale nor the sign of a unit changes a score. A number has a regression
    of the same size in its place, an angle one of its cosine and sine; their informativeness is R^2, at least 0.

    The backend `lightgbm` gives every value of a unit its own bin up to 4,000 training rows. With more rows it cuts a
    unit into 255 bins, which differ between its boosters: on 10 mixed units of 3DShapes' factors with 10,000 training
    rows DCI-D is 0.279 and DCI-C 0.250, against 0.273 and 0.246 with exact bins, in a third of the time. Coarse bins
    hide small classes, so a factor whose classes have fewer than 100 training rows on average gets exact bins in four
    of ten boosters. On mixed units of Cars3D's factors DCI-D is 0.422 with 255 bins, 0.437 with this rule, 0.468 with
    exact bins in all boosters (in twice the time) and 0.475 with the backend `sklearn`.

    The chance levels come from permuted rows. The trees overfit noise: its informativeness is below the frequency of
    the most common class, and its importances are not even.

    Conventions: importances are gains, clipped at 0 (disentanglement_lib takes absolute values). An empty row or column
    of importances has concentration 0; disentanglement_lib adds 1e-11 instead. Completeness is the plain mean over
    factors, as in Eq. 15: a factor that no unit explains counts 0, where disentanglement_lib gives it no weight (0.4
    against 1 on its own test of missed factors). The importances of a group are summed.

    Args:
        seed: seeds the classifiers.
        backend: one of `BACKENDS`.

    Returns:
        `disentanglement` (DCI-D), `completeness` (DCI-C) and `informativeness` (mean test accuracy or R^2), in [0, 1];
        `informativeness_train`; `informativeness_per_factor` [F]; `importances` [K, F], whose columns sum to 1, or to 0
        for a factor that no unit explains; `backend`.
    """
    codes, factors = checked(codes, factors)
    known, fit = labels or of_classes(factors), registry.choose("metrics.dci.backend", backend, BACKENDS)
    split = split_at(factors, train_fraction, known.numbers)
    ranks, unit, copies = _distinct(codes)
    categories, gains = known.of_kind(CATEGORY), np.zeros((ranks.shape[1], factors.shape[1]))
    right = np.where(categories, factors == commonest(factors[:split]), 0.0)  # without a fit; 0 is the R^2 of the mean
    varies = np.array([len(counted(factor)[0]) > 1 for factor in factors[:split].T]) & (ranks.shape[1] > 0)
    whole = varies & categories & known.there.all(axis=0)
    if whole.any():
        gains[:, whole], predicted = fit(ranks, factors[:, whole], split, seed)
        right[:, whole] = predicted == factors[:, whole]
    for number in np.flatnonzero(varies & ~whole):
        there = known.there[:, number]
        trained, rows = int(there[:split].sum()), ranks[there]
        if categories[number]:
            gains[:, [number]], predicted = fit(rows, factors[there, number, None], trained, seed)
            right[there, number] = predicted[:, 0] == factors[there, number]
        else:
            targets = known.targets(int(number))[there]
            gains[:, number], predicted = REGRESSIONS[backend](rows, targets, trained, seed)
            right[there, number] = _explained(predicted, targets, trained)
    right[~known.there] = np.nan
    importances = np.zeros((codes.shape[1], factors.shape[1]))
    importances[unit >= 0] = (gains / np.maximum(gains.sum(axis=0), 1e-300) / copies[:, None])[unit[unit >= 0]]
    if groups is not None:
        importances = np.stack([importances[list(group)].sum(axis=0) for group in groups])
    scores = {
        "disentanglement": disentanglement(importances),
        "completeness": completeness(importances),
        **_informativeness(right[split:]),
        "informativeness_train": _informativeness(right[:split])["informativeness"],
        "importances": importances,
        "backend": backend,
        "warnings": rare_classes(factors[:, categories], split, known.chosen(categories).numbers),
    }
    return Scores(scores, {TEST_ROWS: Part(_informativeness, [right[split:]], known.there[split:])})


def _informativeness(right: np.ndarray) -> Result:
    """`informativeness` of [n, F], per row whether it is right or its share of R^2; NaN without a label."""
    each = np.clip(mean_of_labeled(right), 0, 1)
    return {"informativeness": float(each.mean()), "informativeness_per_factor": each}


def _explained(predicted: np.ndarray, targets: np.ndarray, split: int) -> np.ndarray:
    """What every row adds to R^2, [n], so that its mean over training rows, and over test rows, is theirs."""
    errors = ((predicted - targets) ** 2).sum(axis=1)
    spread = ((targets - targets[:split].mean(axis=0)) ** 2).sum(axis=1)
    parts = (slice(0, split), slice(split, None))
    return np.concatenate([1 - errors[part] / max(spread[part].mean(), 1e-300) for part in parts if errors[part].size])


def disentanglement(importances: np.ndarray) -> float:
    """DCI-D of importances R [K, F], Eq. 14. A unit is weighted by its share of R; 0 if R is 0.

    D = 1 - sum_j (sum_k R_jk / sum R) H_F(R_j. / sum_k R_jk), with the entropy in base F; a single factor gives 1.
    """
    mass = importances.sum(axis=1)
    return float(mass @ _concentration(importances) / (mass.sum() or 1))


def completeness(importances: np.ndarray) -> float:
    """DCI-C of importances R [K, F], Eq. 15: the plain mean over factors; a factor that no unit explains counts 0.

    C = 1 - mean_k H_K(R_.k / sum_j R_jk), with the entropy in base K (dead units included); a single unit gives 1.
    """
    return float(_concentration(importances.T).mean())


def _distinct(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dense ranks of the units that trees can distinguish, in an order that does not depend on the order of the units.

    Returns ranks int [N, D]; for each unit the column of its ranks, int [K], -1 for a unit without variance; and the
    number of units per column, int [D]. Copies of a unit share a column, and so do negated copies.
    """
    ranks = np.stack([np.unique(unit, return_inverse=True)[1] for unit in codes.T], axis=1)
    centered = 2 * ranks - ranks.max(axis=0)
    first = np.take_along_axis(centered, (centered != 0).argmax(axis=0)[None], axis=0)[0]
    ranks = np.where(first > 0, ranks.max(axis=0) - ranks, ranks)
    alive = ranks.max(axis=0) > 0
    unit = np.full(codes.shape[1], -1)
    distinct, unit[alive], copies = np.unique(ranks[:, alive], axis=1, return_inverse=True, return_counts=True)
    return distinct, unit, copies


def _concentration(rows: np.ndarray) -> np.ndarray:
    """1 minus the base-B entropy of each row of [A, B] over its sum: 1 for one entry, 0 for an even or empty row."""
    mass = rows.sum(axis=1, keepdims=True)
    shares = np.divide(rows, mass, out=np.zeros_like(rows), where=mass > 0)
    base = max(rows.shape[1], 2)  # one column has entropy 0 in any base, but base 1 divides by 0
    return np.where(mass[:, 0] > 0, 1 - entr(shares).sum(axis=1) / np.log(base), 0)
