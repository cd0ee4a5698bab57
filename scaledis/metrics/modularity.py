"""Modularity and explicitness (Ridgeway & Mozer 2018)."""

import numpy as np

from scaledis.metrics.shared import linear, rows
from scaledis.metrics.shared.information import BINS, Information
from scaledis.metrics.shared.labels import CATEGORY, Labels, of_classes
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, TEST_ROWS, Part, Result, Scores, Spec

RATIOS, EXPLICITNESS = ("modularity", "modularity_corrected"), "explicitness"
INTERVALS = {**dict.fromkeys(RATIOS, ROWS), EXPLICITNESS: TEST_ROWS}
SPEC = Spec(
    (*RATIOS, EXPLICITNESS),
    chance={EXPLICITNESS: 0.5},
    fits=True,
    ratios=RATIOS,
    intervals=INTERVALS,
    groups=COMPONENT,
    kinds=ALL_KINDS,
)


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    train_fraction: float = rows.TRAIN_FRACTION,
    protocol: str = "scaledis",
    information: Information | None = None,
    labels: Labels | None = None,
) -> Result:
    """Returns modularity, whether a unit knows one factor alone, and explicitness, whether classes are linear in codes.

        modularity = mean_j 1 - sum_{k != first(j)} I(z_j; v_k)^2 / [(F - 1) I(z_j; v_first(j))^2]

    Explicitness is the area under the ROC curve on test rows of one-versus-rest logistic regression of standardized
    codes, averaged over the classes among these rows and then over the factors that are categories. Its chance level is
    0.5 in closed form.

    Protocols: a unit counts if its information about some factor is more than three standard deviations above what
    independence gives, (B - 1)(V - 1) / 2N. About one unit of noise in 60 passes, with a modularity of up to 0.9.
    `metrics.compute` returns None under every protocol if no unit knows more of any factor than by chance. Under
    `library` every unit counts, and one without information scores 0: a perfect code of three factors and two constant
    units scores 3/5 there.

    Returns:
        `modularity` in [0, 1], 0 if no unit counts; `modularity_corrected`, the same of the information above chance;
        both None for codes that vary and know nothing; `per_unit`, a list of K, None for a unit that does not count;
        `explicitness` in [0, 1]; `explicitness_per_factor` [F].
    """
    codes, factors = rows.checked(codes, factors)
    known = labels or of_classes(factors)
    split, defined = rows.split_at(factors, train_fraction, known.numbers), known.of_kind(CATEGORY)
    fits = [linear.one_versus_rest(codes, factor, split) for factor in factors[:, defined].T]
    classes, odds = [each[0] for each in fits], [each[1] for each in fits]

    def explicitness(factors: np.ndarray, *odds: np.ndarray) -> Result:
        areas = np.ma.array(np.zeros(len(defined)), mask=~defined)
        areas[defined] = [linear.mean_area(*each) for each in zip(odds, factors[:, defined].T, classes, strict=True)]
        return {"explicitness": float(areas.mean()) if defined.any() else None, "explicitness_per_factor": areas}

    def modularity(tables: Information) -> Result:
        table = tables.table(bins, binning)
        counts = np.ones(codes.shape[1], bool) if protocol == "library" else table.informative
        per_unit, corrected = of_units(table.nats), of_units(table.corrected)
        return {
            "modularity": float(per_unit[counts].mean()) if counts.any() else 0.0,
            "modularity_corrected": float(corrected[counts].mean()) if counts.any() else 0.0,
            "per_unit": rows.or_none(per_unit, counts),
        }

    tables = information or Information(codes, factors)
    tested = [factors[split:], *(each[split:] for each in odds)]
    warnings = tables.table(bins, binning).warnings + rows.rare_classes(factors, split, known.numbers)
    if not defined.any():
        warnings.append("explicitness: it is defined for categories, and no factor is one")
    return Scores(
        {**modularity(tables), **explicitness(*tested), "warnings": warnings},
        {
            TEST_ROWS: Part(explicitness, tested, known.there[split:]),
            ROWS: Part(lambda *drawn: modularity(Information(*drawn)), (codes, factors), known.there),
        },
    )


def of_units(nats: np.ndarray) -> np.ndarray:
    """The modularity of every unit of information [K, F]: 0 for a unit without any, 1 with a single factor."""
    best = nats.max(axis=1, keepdims=True)
    squares = (np.divide(nats, best, out=np.zeros_like(nats), where=best > 0) ** 2).sum(axis=1)
    others = (squares - 1) / max(nats.shape[1] - 1, 1)
    return np.where(best[:, 0] > 0, 1 - others, 0)
