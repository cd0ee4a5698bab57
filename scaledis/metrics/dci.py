"""Disentanglement, completeness and informativeness (Eastwood & Williams 2018; Eq. 14-15 of Beyond Flat Latent).

Each backend imports its library when it is called: the two take longer to import than all of JAX.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.special import entr, softmax

from scaledis import registry
from scaledis.errors import UserError
from scaledis.metrics import checked

ROUNDS, DEPTH, RATE = 100, 3, 0.1
MAX_STEP = 20  # unbounded Newton steps diverge when a factor has many classes


def _sklearn(codes: np.ndarray, factor: np.ndarray, split: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The reference, exact splits: importances [K] and predicted classes [N], learned from the first `split` rows."""
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(n_estimators=ROUNDS, max_depth=DEPTH, learning_rate=RATE, random_state=seed)
    model.fit(codes[:split], factor[:split])
    return model.feature_importances_, model.predict(codes)


def _lightgbm(codes: np.ndarray, factor: np.ndarray, split: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The algorithm of `_sklearn` with LightGBM's histogram trees: splits by squared error, Newton steps in leaves.

    LightGBM's own objective splits by the second-order gain, which moves DCI-D by up to 0.05. Its trees always prefer
    the first of equally good units, so ten boosters, each with its own order of units and its own bins, take turns.
    """
    import lightgbm

    values, classes = np.unique(factor[:split], return_inverse=True)
    target = np.eye(len(values))[classes]
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(codes.shape[1]), (10, 1)), axis=1)
    boosters = []
    for turn, order in enumerate(orders):
        settings = {
            "objective": "none",
            "num_class": len(values),
            "max_depth": DEPTH,
            "num_leaves": 2**DEPTH,
            "min_data_in_leaf": 1,
            "min_sum_hessian_in_leaf": 0,
            "bin_construct_sample_cnt": max(split // 2, 1),
            "data_random_seed": seed + turn,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": 1,  # factors run side by side instead
            "verbosity": -1,
        }
        boosters.append(lightgbm.Booster(settings, lightgbm.Dataset(codes[:split, order], classes, params=settings)))

    scores = np.tile(np.log(target.mean(axis=0)), (len(codes), 1))
    for step in range(ROUNDS):
        turn, booster = step // len(boosters), boosters[step % len(boosters)]
        residual = target - softmax(scores[:split], axis=1)
        if booster.update(fobj=lambda *_, residual=residual: (-residual, np.ones_like(residual))):
            break  # nothing left to split
        inputs = codes[:, orders[step % len(boosters)]]
        leaves = booster.predict(inputs, pred_leaf=True, start_iteration=turn, num_iteration=1, num_threads=1)
        leaves = leaves.astype(np.int64) + 2**DEPTH * np.arange(len(values))
        curvature = np.abs(residual) * (1 - np.abs(residual))
        slopes, curvatures = (
            np.bincount(leaves[:split].ravel(), weights.ravel(), 2**DEPTH * len(values))
            for weights in (residual, curvature)
        )
        steps = np.divide(slopes, curvatures, out=np.zeros_like(slopes), where=curvatures > 1e-150)
        scores += RATE * (1 - 1 / len(values)) * np.clip(steps, -MAX_STEP, MAX_STEP)[leaves]
    gains = sum(
        booster.feature_importance("gain")[np.argsort(order)] for booster, order in zip(boosters, orders, strict=True)
    )
    return gains, values[scores.argmax(axis=1)]


BACKENDS = {"lightgbm": _lightgbm, "sklearn": _sklearn}


def compute(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, backend: str = "lightgbm", train_fraction: float = 2 / 3
) -> dict[str, float | list | str]:
    """DCI-D, DCI-C and informativeness from one gradient-boosted classifier per factor (100 rounds, depth 3, rate 0.1).

    The first `train_fraction` of the rows train and the rest test: give them in random order and drawn without
    replacement (10,000 + 5,000 is usual). Codes are not scaled, as trees see only their order.
    A factor with one class among the training rows is left out of every score; a class unseen there counts as an error.

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
        UserError: codes or factors that `checked` refuses, an unknown backend, no rows left to train or to test on, no
            factor that varies among the training rows.
    """
    codes, factors = checked(codes, factors)
    fit = registry.choose("metrics.dci.backend", backend, BACKENDS)
    split = round(len(codes) * train_fraction)
    if not 0 < split < len(codes):
        raise UserError(
            f"train_fraction: {train_fraction} leaves {split} of {len(codes)} rows to train on; both parts need one"
        )
    varies = np.ptp(factors[:split], axis=0) > 0
    if not varies.any():
        raise UserError(
            f"factors: all {len(varies)} are constant over {split} training rows; DCI needs one that varies"
        )

    # Equal units share: only the distinct ones are fitted, in an order that does not depend on the caller's.
    distinct, unit, copies = np.unique(codes, axis=1, return_inverse=True, return_counts=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fits = list(pool.map(lambda factor: fit(distinct, factor, split, seed), factors.T[varies]))
    importances = np.zeros((codes.shape[1], factors.shape[1]))
    importances[:, varies] = np.stack([gains / (gains.sum() or 1) / copies for gains, _ in fits], axis=1)[unit]
    correct = np.stack([predicted for _, predicted in fits], axis=1) == factors[:, varies]
    accuracy = iter(correct[split:].mean(axis=0).tolist())
    return {
        "disentanglement": disentanglement(importances[:, varies]),
        "completeness": completeness(importances[:, varies]),
        "informativeness": float(correct[split:].mean()),
        "informativeness_train": float(correct[:split].mean()),
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
