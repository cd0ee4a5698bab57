"""DCIMIG (Sepliarskaia et al. 2020): the information that each factor has in a unit of its own."""

from typing import Any

import numpy as np

from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second

SCORES = ("dcimig",)


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    information: Information | None = None,
) -> dict[str, Any]:
    """DCIMIG: a unit's lead in information goes to its best factor; a factor keeps the best of what it gets.

        DCIMIG = sum_k max_{j: first(j) = k} [I(z_j; v_first(j)) - I(z_j; v_second(j))] / sum_k H(v_k)

    It does not see copies of a unit, and does not say whether a factor is missing or mixed with another. Public code
    computes it in bits with 10 bins: the base of the logarithm cancels, the number of bins does not. All protocols
    are one.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: unused, nothing here is random.
        bins, binning: how units are cut, as in MIG.
        information: the tables of `codes` and `factors`, where they are at hand.

    Returns:
        `dcimig` in [0, 1]; `per_factor` [F], the part of each factor's entropy; `warnings` about bins that outliers
        empty.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, an unknown binning.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    return {**of_table(table), "warnings": table.warnings}


def of_table(table: Table) -> dict[str, Any]:
    """`dcimig` and `per_factor` [F] of a table."""
    best, second = best_and_second(table.nats.T)
    leads = np.zeros_like(table.nats)
    leads[np.arange(len(leads)), table.nats.argmax(axis=1)] = best - second
    kept = leads.max(axis=0)
    return {
        "dcimig": float(kept.sum() / table.factor_entropies.sum()),
        "per_factor": kept / np.maximum(table.factor_entropies, 1e-300),
    }
