"""The mutual information gap of units (Li et al. 2020, proVLAE): does a unit know one factor alone?"""

import numpy as np

from scaledis.metrics.shared.information import BINS, Information, best_and_second
from scaledis.metrics.shared.rows import or_none
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, Result, Spec

SPEC = Spec(("mig_sup",), intervals={"mig_sup": ROWS}, groups=COMPONENT, kinds=ALL_KINDS)
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
) -> Result:
    """Returns MIG-sup: the lead of a unit's best factor over its second best, each as a share of the factor's entropy.

        MIG-sup = mean_j I(z_j; v_first(j)) / H(v_first(j)) - I(z_j; v_second(j)) / H(v_second(j))

    over active units. MIG-sup does not detect two units that copy each other; MIG does. Information is normalized
    before it is sorted, as in proVLAE's code; other public code divides by the entropy of the code and counts dead
    units.

    Protocols: every unit with variance is active, so that the scale of a unit does not matter. Under `paper` a unit is
    active if the variance of its means exceeds 0.01: the perfect code times 0.01 then scores 0 instead of 1.

    Args:
        active: the variance that an active unit exceeds; None: 0, or 0.01 under `paper`.

    Returns:
        `mig_sup` in [0, 1], 0 if no unit is active; `per_unit`, a list of K gaps, None for an inactive unit.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    least = active if active is not None else ACTIVE if protocol == "paper" else 0
    counts = (codes.var(axis=0) > least) & (np.ptp(codes, axis=0) > 0)
    best, second = best_and_second(table.shares.T)
    score = float((best - second)[counts].mean()) if counts.any() else 0.0
    return {"mig_sup": score, "per_unit": or_none(best - second, counts), "warnings": table.warnings}
