"""Which level of a hierarchy knows which factor, and how the levels depend on each other (ours)."""

import functools

import numpy as np
from scipy.special import entr

from scaledis.metrics import dci
from scaledis.metrics.shared import aggregate, arguments, rows
from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second, share
from scaledis.metrics.shared.labels import CATEGORY, Labels, of_classes
from scaledis.metrics.shared.spec import ALL_KINDS, ROWS, Part, Result, Scores, Spec

SCORES = ("concentration", "redundancy", "gap")
SPEC = Spec(SCORES, intervals=dict.fromkeys(SCORES, ROWS), kinds=ALL_KINDS)
KNOWN = 0.05  # of a factor's entropy; a level that knows more knows the factor
SAMPLES = 1024
FINITE = 700  # abs of a log variance: above, the variance or its inverse is infinite in float64


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    train_fraction: float = rows.TRAIN_FRACTION,
    backend: str = "lightgbm",
    samples: int = SAMPLES,
    levels: np.ndarray | None = None,
    log_variances: np.ndarray | None = None,
    information: Information | None = None,
    labels: Labels | None = None,
) -> Result:
    """Returns how factors are allocated to levels, which papers show in pictures.

        M_jk = max(0, I(z_j; v_k) - (B - 1)(V - 1) / 2N) / H(v_k),   M_k(l) = max_{j in l} M_jk

    Chance is subtracted because levels have different numbers of units. All protocols agree. The chance levels are
    those of codes that know nothing, in the same levels; with a single level the chance level of concentration is 1.

    Args:
        seed: seeds the classifiers and the sampled codes.
        train_fraction, backend: of the classifiers, as in DCI.
        samples: codes drawn for the total correlations.
        levels: int [K], the level of each unit, top first; None: all units are one level.

    Returns:
        `concentration`, 1 - mean_k of the entropy (base L) of factor k's allocation, over factors about which anything
        is known: 1 if each has one level, as with a single level. `redundancy`, the mean over factors that some level
        knows (M_k(l) > 0.05) of the second best M_k(l) over the best: 0 if each has one level, 1 if a level repeats
        another. `gap`, the mean of best minus second best, a MIG between levels. All three are in [0, 1].
        `allocation` [L, F], the sum of M over a level's units as a share of the sum over all units. With levels,
        `informativeness` [L, F], the accuracy of the DCI classifier on a level's units, rescaled so that predicting the
        most common class is 0 and no error is 1, and its `backend`; without levels `informativeness` is None. With log
        variances `tc_within` [L], `tc_between` and `tc_total`, the exact total correlations in nats of the aggregate
        posterior over the N rows, each with its standard error under `<key>_error`; their chain rule is exact; None if
        a variance is 0 or infinite.
    """
    codes, factors = rows.checked(codes, factors)
    arguments.check("samples", samples, int, aggregate.FOLDS)
    given = np.zeros(codes.shape[1], int) if levels is None else levels
    members = given == np.unique(given)[:, None]  # bool [L, K]

    table = (information or Information(codes, factors)).table(bins, binning)
    found = {**allocated(table, members), "informativeness": None, "warnings": table.warnings}
    if levels is None:
        found["warnings"] = ["levels: none are given; all units are one level", *table.warnings]
    else:
        fit = functools.partial(dci.compute, backend=backend, train_fraction=train_fraction)
        known = labels or of_classes(factors)
        fits = [fit(codes[:, units], factors, seed, labels=known) for units in members]
        accuracy = np.stack([each["informativeness_per_factor"] for each in fits])
        split = rows.split_at(factors, train_fraction, known.numbers)
        common = np.where(known.there, factors == rows.commonest(factors[:split]), np.nan)
        blind = np.where(known.of_kind(CATEGORY), rows.mean_of_labeled(common[split:]), 0)
        found["informativeness"] = np.clip((accuracy - blind) / np.maximum(1 - blind, 1e-12), 0, 1)
        found["backend"] = backend
    if log_variances is not None and (np.abs(log_variances) > FINITE).any():
        warning = "tc: a posterior without noise, or of infinite variance, has no total correlation"
        found |= dict.fromkeys(aggregate.NAMES) | {"warnings": [*found["warnings"], warning]}
    elif log_variances is not None:
        found |= aggregate.dependence(codes, log_variances, given, np.random.default_rng(seed), samples)

    def drawn(codes: np.ndarray, factors: np.ndarray) -> Result:
        return allocated(Information(codes, factors).table(bins, binning), members)

    return Scores(found, {ROWS: Part(drawn, (codes, factors), factors != MISSING)})


def allocated(table: Table, members: np.ndarray) -> Result:
    """`concentration`, `redundancy`, `gap` and `allocation` [L, F] of a table, for the units bool [L, K] of levels."""
    known = share(table.corrected, table.factor_entropies)
    mass = np.stack([known[units].sum(axis=0) for units in members])
    allocation = np.divide(mass, mass.sum(axis=0), out=np.zeros_like(mass), where=mass.sum(axis=0) > 0)
    best, second = best_and_second(np.stack([known[units].max(axis=0) for units in members]))
    overlap = (second / np.maximum(best, KNOWN))[best > KNOWN]
    spread = entr(allocation[:, allocation.any(axis=0)]).sum(axis=0)
    return {
        "concentration": float(1 - spread.mean() / np.log(max(len(members), 2))) if len(spread) else 0.0,
        "redundancy": float(overlap.mean()) if len(overlap) else 0.0,
        "gap": float((best - second).mean()),
        "allocation": allocation,
    }
