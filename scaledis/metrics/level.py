"""Which level of a hierarchy knows of which factor, and how the levels depend on each other."""

import functools
from typing import Any

import numpy as np
from scipy.special import entr

from scaledis.metrics import dci
from scaledis.metrics.shared import aggregate
from scaledis.metrics.shared.arguments import check_count
from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second, share
from scaledis.metrics.shared.rows import TRAIN_FRACTION, FittedScores, checked, split_at

SCORES = ("concentration", "redundancy", "gap")
KNOWN = 0.05  # of a factor's entropy, from which on a level knows it
SAMPLES = 1024
FINITE = 700  # abs of a log variance: above, the variance or its inverse is infinite in float64
CORRELATIONS = ("tc_within", "tc_within_error", "tc_between", "tc_between_error", "tc_total", "tc_total_error")


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    train_fraction: float = TRAIN_FRACTION,
    backend: str = "lightgbm",
    samples: int = SAMPLES,
    levels: np.ndarray | None = None,
    log_variances: np.ndarray | None = None,
    information: Information | None = None,
) -> dict[str, Any]:
    """How factors are shared out among levels, for what papers show in pictures.

        M_jk = max(0, I(z_j; v_k) - (B - 1)(V - 1) / 2N) / H(v_k),   M_k(l) = max_{j in l} M_jk

    The correction matters here, since levels have different numbers of units. All protocols are one. The chance levels
    are those of codes that know nothing in the same levels; where one level is all there is, concentration is 1 by
    chance too.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the classifiers and of the sampled codes.
        bins, binning: how units are cut, as in MIG.
        train_fraction, backend: of the classifiers, as in DCI.
        samples: codes for the total correlations.
        levels: int [K], the level of each unit, top first; None: all units are one level.
        log_variances: float [N, K] of the posteriors whose means are `codes`, for the total correlations.
        information: the tables of `codes` and `factors`, where they are at hand.

    Returns:
        `concentration`, 1 - mean_k of the entropy (base L) of factor k's allocation, over factors of which anything is
        known: 1 if each has one level, as with a single level; `redundancy`, the mean over factors that some level
        knows (M_k(l) > 0.05) of the second best M_k(l) over the best: 0 if each has one level, 1 if a level repeats
        another; `gap`, the mean of best minus second best, a MIG between levels. All three lie in [0, 1].
        `allocation` [L, F], the sum of M over a level's units as a share of all; `informativeness` [L, F], the accuracy
        of the DCI classifier on a level's units alone, above that of the commonest class, over its headroom, or None
        without levels; `backend`, of that classifier. With log variances `tc_within` [L], `tc_between` and `tc_total`,
        exact total correlations of the aggregate posterior over the N rows in nats, each with its standard error under
        `<key>_error`; their chain rule is exact; None where a variance is 0 or infinite. `warnings`.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, an unknown binning or backend, rows that
            `split_at` refuses, fewer than 10 samples.
    """
    codes, factors = checked(codes, factors)
    check_count("samples", samples, least=aggregate.FOLDS)
    table = (information or Information(codes, factors)).table(bins, binning)
    given = np.zeros(codes.shape[1], int) if levels is None else levels
    members = [np.flatnonzero(given == name) for name in np.unique(given)]
    warnings = [] if levels is not None else ["levels: none are given; all units are one level"]
    found = {**of_table(table, given), "informativeness": None, "warnings": warnings + table.warnings}
    if levels is not None:
        fit = functools.partial(dci.compute, seed=seed, train_fraction=train_fraction, backend=backend)
        accuracy = [fit(codes[:, units], factors)["informativeness_per_factor"] for units in members]
        found["backend"] = backend
        found["informativeness"] = _above_chance(np.stack(accuracy), factors, split_at(factors, train_fraction))
    if log_variances is not None and (np.abs(log_variances) > FINITE).any():
        warning = "tc: a posterior without noise, or of infinite variance, has no total correlation"
        found |= dict.fromkeys(CORRELATIONS) | {"warnings": [*found["warnings"], warning]}
    elif log_variances is not None:
        tc = aggregate.dependence(codes, log_variances, given, np.random.default_rng(seed), samples)
        found |= dict(zip(CORRELATIONS, (np.asarray(each).tolist() for each in tc), strict=True))

    def closed(codes: np.ndarray, factors: np.ndarray) -> dict[str, Any]:
        return of_table(Information(codes, factors).table(bins, binning), given)

    return FittedScores(lambda rows: {}, len(codes), found, (closed, codes, factors))


def of_table(table: Table, levels: np.ndarray) -> dict[str, Any]:
    """`concentration`, `redundancy`, `gap` and `allocation` [L, F] of a table, for the level of each unit, int [K]."""
    known = share(table.corrected, table.factor_entropies)
    members = [levels == name for name in np.unique(levels)]
    mass = np.stack([known[units].sum(axis=0) for units in members])
    allocation = np.divide(mass, mass.sum(axis=0), out=np.zeros_like(mass), where=mass.sum(axis=0) > 0)
    best, second = best_and_second(np.stack([known[units].max(axis=0) for units in members]))
    return {
        "concentration": _concentration(allocation),
        "redundancy": float((second / np.maximum(best, KNOWN))[best > KNOWN].mean()) if (best > KNOWN).any() else 0.0,
        "gap": float((best - second).mean()),
        "allocation": allocation,
    }


def _concentration(allocation: np.ndarray) -> float:
    """1 minus the entropy, in base L, of the columns of [L, F] that are not empty, on average; 0 if all are."""
    there = allocation.any(axis=0)
    if not there.any():
        return 0.0
    return float(1 - entr(allocation[:, there]).sum(axis=0).mean() / np.log(max(len(allocation), 2)))


def _above_chance(accuracy: np.ndarray, factors: np.ndarray, split: int) -> np.ndarray:
    """Accuracy [L, F] on test rows, so that always guessing the commonest training class is 0 and no error is 1."""
    classes = np.stack([np.unique(factor, return_inverse=True)[1] for factor in factors.T], axis=1)
    commonest = [np.bincount(factor).argmax() for factor in classes[:split].T]
    blind = (classes[split:] == commonest).mean(axis=0)
    return np.clip((accuracy - blind) / np.maximum(1 - blind, 1e-12), 0, 1)
