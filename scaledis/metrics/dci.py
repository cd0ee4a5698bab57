"""Disentanglement, completeness and informativeness (Eastwood & Williams 2018; Eq. 14-15 of Beyond Flat Latent)."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from lightgbm import LGBMClassifier
from scipy.special import entr
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier

from scaledis import choices
from scaledis.metrics import checked


def _lightgbm(seed: int) -> ClassifierMixin:
    """Same trees as `_sklearn`, but on 255 quantile bins and with second-order gains."""
    return LGBMClassifier(
        n_estimators=100,
        max_depth=3,
        num_leaves=8,
        learning_rate=0.1,
        min_child_samples=1,
        reg_lambda=1,  # at 0, leaves of tiny curvature diverge when a factor has many classes (183: accuracy 0.25, not 0.83)
        importance_type="gain",
        random_state=seed,
        deterministic=True,
        force_col_wise=True,
        n_jobs=1,  # factors run side by side instead, and one thread per fit gives the same numbers on any machine
        verbosity=-1,
    )


def _sklearn(seed: int) -> ClassifierMixin:
    """The reference: exact splits, minutes where the other takes seconds."""
    return GradientBoostingClassifier(n_estimators=100, max_depth=3, learning_rate=0.1, random_state=seed)


BACKENDS = {"lightgbm": _lightgbm, "sklearn": _sklearn}


def compute(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, backend: str = "lightgbm", train_fraction: float = 2 / 3
) -> dict[str, float | list | str]:
    """DCI-D, DCI-C and informativeness from one gradient-boosted classifier per factor (100 rounds, depth 3, rate 0.1).

    The first `train_fraction` of the rows train and the rest test: give them in random order and drawn without
    replacement (10,000 + 5,000 is usual). Codes are not scaled, as trees see only their order.
    A factor with one class among the training rows is left out of every score.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: seed of the classifiers.
        backend: one of `BACKENDS`.
        train_fraction: share of the rows that train.

    Returns:
        `disentanglement` (DCI-D), `completeness` (DCI-C), `informativeness` (mean test accuracy), all in [0, 1];
        `informativeness_train`; `informativeness_per_factor`, a list of F with None for a factor left out;
        `importances`, K rows of F whose columns sum to 1, or to 0 for a factor left out or with no useful unit;
        `backend`.

    Raises:
        ValueError: codes or factors that `checked` refuses, an unknown backend, no rows left to train or to test on, no
            factor that varies among the training rows.
    """
    codes, factors = checked(codes, factors)
    classifier = choices.choose("metrics.dci.backend", backend, BACKENDS)
    split = round(len(codes) * train_fraction)
    if not 0 < split < len(codes):
        raise ValueError(
            f"train_fraction: {train_fraction} leaves {split} of {len(codes)} rows to train on; both parts need one"
        )
    varies = np.ptp(factors[:split], axis=0) > 0
    if not varies.any():
        raise ValueError(
            f"factors: all {len(varies)} are constant over {split} training rows; DCI needs one that varies"
        )

    # Of equal units LightGBM credits only the first: fit the distinct ones, in an order of their own, and share.
    distinct, unit, copies = np.unique(codes, axis=1, return_inverse=True, return_counts=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fits = list(pool.map(lambda factor: _fit(classifier(seed), distinct, factor, split), factors.T[varies]))
    importances = np.zeros((codes.shape[1], factors.shape[1]))
    importances[:, varies] = np.stack([fit.importances / copies for fit in fits], axis=1)[unit]
    accuracy = iter(fit.test for fit in fits)
    return {
        "disentanglement": disentanglement(importances[:, varies]),
        "completeness": completeness(importances[:, varies]),
        "informativeness": float(np.mean([fit.test for fit in fits])),
        "informativeness_train": float(np.mean([fit.train for fit in fits])),
        "informativeness_per_factor": [next(accuracy) if kept else None for kept in varies],
        "importances": importances.tolist(),
        "backend": backend,
    }


def disentanglement(importances: np.ndarray) -> float:
    """DCI-D of importances R [K, F], Eq. 14: a unit weighs its share of R, so a dead one nothing; 0 if R is 0.

    D = 1 - sum_j (sum_k R_jk / sum R) H_F(R_j. / sum_k R_jk), with the entropy in base F; a single factor gives 1.
    """
    mass = importances.sum(axis=1)
    return float(mass @ _concentration(importances) / (mass.sum() or 1))


def completeness(importances: np.ndarray) -> float:
    """DCI-C of importances R [K, F], Eq. 15: the plain mean over factors; one that no unit explains counts 0.

    C = 1 - mean_k H_K(R_.k / sum_j R_jk), with the entropy in base K (dead units included); a single unit gives 1.
    """
    return float(_concentration(importances.T).mean())


def _concentration(rows: np.ndarray) -> np.ndarray:
    """One minus the base-B entropy of each row of [A, B] over its sum: 1 for one entry, 0 for an even or empty row."""
    mass = rows.sum(axis=1, keepdims=True)
    shares = np.divide(rows, mass, out=np.zeros_like(rows), where=mass > 0)
    base = max(rows.shape[1], 2)  # one column has entropy 0 in any base, but base 1 divides by 0
    return np.where(mass[:, 0] > 0, 1 - entr(shares).sum(axis=1) / np.log(base), 0)


class _Fit(NamedTuple):
    importances: np.ndarray  # [K], summing to 1, or 0 if no unit was of use
    train: float  # accuracy
    test: float


def _fit(classifier: ClassifierMixin, codes: np.ndarray, factor: np.ndarray, split: int) -> _Fit:
    """Learns one factor [N] from the first `split` rows of codes [N, K]; a class not seen there counts as an error."""
    classifier.fit(codes[:split], factor[:split])
    correct = classifier.predict(codes) == factor
    gains = np.asarray(classifier.feature_importances_, np.float64)
    return _Fit(gains / (gains.sum() or 1), float(correct[:split].mean()), float(correct[split:].mean()))
