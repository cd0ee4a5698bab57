"""JEMMIG (Do & Tran 2020): the mutual information gap, reduced by what the best unit knows besides its factor."""

import numpy as np

from scaledis.metrics.shared.information import BINS, Information, best_and_second
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, Result, Spec

SPEC = Spec(("jemmig",), intervals={"jemmig": ROWS}, groups=COMPONENT, kinds=ALL_KINDS)


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    information: Information | None = None,
) -> Result:
    """Returns JEMMIG, the joint entropy minus the mutual information gap, normalized so that 1 is best.

        JEMMIG = mean_k 1 - [H(v_k, z_first(k)) - I(z_first(k); v_k) + I(z_second(k); v_k)] / [H(v_k) + log B]

    with B bins per unit. A best unit that also knows other factors has a larger joint entropy, so JEMMIG detects two
    factors in one unit, which MIG does not. Among equally good units the one with the smallest joint entropy is first.
    Public code computes it in bits with 10 bins; the base of the logarithm cancels, the number of bins does not. All
    protocols agree.

    Returns:
        `jemmig` in [0, 1]; `per_factor` [F].
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    best, second = best_and_second(table.nats)
    joint = table.unit_entropies + table.factor_entropies - table.nats
    joint = np.where(table.nats >= best - 1e-12, joint, np.inf).min(axis=0)
    scores = 1 - (joint - best + second) / np.maximum(table.factor_entropies + np.log(bins), 1e-300)
    return {"jemmig": float(scores.mean()), "per_factor": scores, "warnings": table.warnings}
