"""Modularity and explicitness (Ridgeway & Mozer 2018)."""

from typing import Any

import numpy as np

from scaledis.metrics.shared import linear
from scaledis.metrics.shared.information import BINS, Information, Table
from scaledis.metrics.shared.rows import TRAIN_FRACTION, FittedScores, checked, rare_classes, split_at

SCORES = ("modularity", "modularity_corrected", "explicitness")
RATIOS = ("modularity", "modularity_corrected")
CHANCE = {"explicitness": 0.5}
FITS = True


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    train_fraction: float = TRAIN_FRACTION,
    protocol: str = "scaledis",
    information: Information | None = None,
) -> dict[str, Any]:
    """Modularity: does each unit know of one factor alone? Explicitness: does a linear classifier find each class?

        modularity = mean_j 1 - sum_{k != first(j)} I(z_j; v_k)^2 / [(F - 1) I(z_j; v_first(j))^2]

    Explicitness is the area under the curve of one-versus-rest logistic regression of standardized codes on test rows,
    the mean over the classes that these rows have and then over factors. Its chance level is 0.5 in
    closed form: permuted test rows have no order that a classifier could have learned.

    Protocols: by default a unit counts if its information is more than three standard deviations above what chance
    gives, (B - 1)(V - 1) / 2N, since noise scores at random. One unit of noise in 60 or so passes, and has a
    modularity of up to 0.9: `metrics.compute` returns None, under every protocol, where no unit knows more of any
    factor than by chance. Under `library` every unit counts, and one without information scores 0: a perfect code of
    three factors and two constant units is 1 by default and 3/5 there.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: unused, nothing here is random.
        bins, binning: how units are cut, as in MIG.
        train_fraction: share of the rows that train the classifiers.
        protocol: see above.
        information: the tables of `codes` and `factors`, where they are at hand.

    Returns:
        `modularity` in [0, 1], 0 if no unit counts, None for codes that vary and know nothing; `explicitness` in
        [0, 1]; `explicitness_per_factor` [F]; `modularity_corrected`, the same of the information above chance;
        `per_unit`, a list of K with None for a unit that does not count; `warnings`.

    Raises:
        UserError: codes or factors that `checked` refuses, rows that `split_at` refuses, fewer than one bin, an unknown
            binning.
    """
    codes, factors = checked(codes, factors)
    table = (information or Information(codes, factors)).table(bins, binning)
    split = split_at(factors, train_fraction)
    probabilities = [linear.one_versus_rest(codes, factor, split) for factor in factors.T]

    def explicitness(rows: np.ndarray) -> dict[str, Any]:
        areas = np.array(
            [
                linear.mean_area(scores[split:][rows], factor[split:][rows], classes)
                for (classes, scores), factor in zip(probabilities, factors.T, strict=True)
            ]
        )
        return {"explicitness": float(areas.mean()), "explicitness_per_factor": areas}

    def scores(table: Table) -> dict[str, Any]:
        return of_table(table, np.ones(codes.shape[1], bool) if protocol == "library" else table.informative)

    return FittedScores(
        explicitness,
        len(codes) - split,
        {
            **scores(table),
            "warnings": table.warnings + rare_classes(factors, split),
        },
        (lambda codes, factors: scores(Information(codes, factors).table(bins, binning)), codes, factors),
    )


def of_table(table: Table, counts: np.ndarray) -> dict[str, Any]:
    """`modularity`, `modularity_corrected` and `per_unit` of a table, over the units that count, bool [K]."""
    per_unit, corrected = of_units(table.nats), of_units(table.corrected)
    return {
        "modularity": float(per_unit[counts].mean()) if counts.any() else 0.0,
        "modularity_corrected": float(corrected[counts].mean()) if counts.any() else 0.0,
        "per_unit": [score if counted else None for score, counted in zip(per_unit.tolist(), counts, strict=True)],
    }


def of_units(nats: np.ndarray) -> np.ndarray:
    """The modularity of every unit of information [K, F]: 0 for a unit without any, 1 with a single factor."""
    best = nats.max(axis=1, keepdims=True)
    squares = (np.divide(nats, best, out=np.zeros_like(nats), where=best > 0) ** 2).sum(axis=1)
    others = (squares - 1) / max(nats.shape[1] - 1, 1)
    return np.where(best[:, 0] > 0, 1 - others, 0)
