"""DCIMIG (Sepliarskaia et al. 2020): the information that one unit has about one factor alone."""

import numpy as np

from scaledis.metrics.shared.information import BINS, Information, best_and_second
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, Result, Spec

SPEC = Spec(("dcimig",), intervals={"dcimig": ROWS}, groups=COMPONENT, kinds=ALL_KINDS)


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    information: Information | None = None,
) -> Result:
    """Returns DCIMIG: each unit offers its gap in information to its best factor, which keeps the largest offer.

        DCIMIG = sum_k max_{j: first(j) = k} [I(z_j; v_first(j)) - I(z_j; v_second(j))] / sum_k H(v_k)

    DCIMIG cannot detect copies of a unit, and does not distinguish a missing factor from one that is mixed with
    another. Public code computes it in bits with 10 bins; the base of the logarithm cancels, the number of bins does
    not. All protocols agree.

    Returns:
        `dcimig` in [0, 1]; `per_factor` [F], what each factor keeps over its entropy.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    best, second = best_and_second(table.nats.T)
    offers = np.zeros_like(table.nats)
    offers[np.arange(len(offers)), table.nats.argmax(axis=1)] = best - second
    kept, entropies = offers.max(axis=0), table.factor_entropies
    score, per_factor = float(kept.sum() / max(entropies.sum(), 1e-300)), kept / np.maximum(entropies, 1e-300)
    return {"dcimig": score, "per_factor": per_factor, "warnings": table.warnings}
