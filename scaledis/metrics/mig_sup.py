"""The mutual information gap of units (Li et al. 2020, proVLAE): does a unit know of one factor alone?"""

from typing import Any

import numpy as np

from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second

SCORES = ("mig_sup",)
ACTIVE = 0.01  # variance of the means


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    active: float | None = None,
    protocol: str = "library",
    information: Information | None = None,
) -> dict[str, Any]:
    """MIG-sup: how far a unit's best factor leads its second best, each information as a share of its factor's entropy.

        MIG-sup = mean_j I(z_j; v_first(j)) / H(v_first(j)) - I(z_j; v_second(j)) / H(v_second(j))

    over active units. It does not see two units that copy each other; MIG does. Information is normalized before it is
    sorted, as in proVLAE's code; another public code divides by the entropy of the code and counts dead units too.

    Protocols: by default every unit with variance is active, so that the scale of a unit cannot matter. `paper` takes
    the units whose means have a variance above 0.01: the crafted codes x 0.01 then score 0 instead of 1.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: unused, nothing here is random.
        bins, binning: how units are cut, as in MIG.
        active: variance above which a unit counts; None: 0, or 0.01 under `paper`.
        protocol: see above.
        information: the tables of `codes` and `factors`, where they are at hand.

    Returns:
        `mig_sup` in [0, 1], 0 if no unit is active; `per_unit`, a list of K gaps with None for an inactive unit;
        `warnings` about bins that outliers empty.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, an unknown binning.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    least = active if active is not None else ACTIVE if protocol == "paper" else 0
    counts = (codes.var(axis=0) > least) & (np.ptp(codes, axis=0) > 0)
    return {**of_table(table, counts), "warnings": table.warnings}


def of_table(table: Table, counts: np.ndarray) -> dict[str, Any]:
    """`mig_sup` and `per_unit` of a table, over the units that count, bool [K]."""
    best, second = best_and_second(table.shares.T)
    gaps = best - second
    return {
        "mig_sup": float(gaps[counts].mean()) if counts.any() else 0.0,
        "per_unit": [gap if counted else None for gap, counted in zip(gaps.tolist(), counts, strict=True)],
    }
