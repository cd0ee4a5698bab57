"""JEMMIG (Do & Tran 2020): the mutual information gap, less what the best unit knows beside its factor."""

from typing import Any

import numpy as np

from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second

SCORES = ("jemmig",)


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    information: Information | None = None,
) -> dict[str, Any]:
    """JEMMIG, the joint entropy minus the mutual information gap, turned so that 1 is best.

        JEMMIG = mean_k 1 - [H(v_k, z_first(k)) - I(z_first(k); v_k) + I(z_second(k); v_k)] / [H(v_k) + log B]

    with B bins of each unit. A best unit that also knows of other factors has a larger joint entropy, so unlike MIG
    it sees two factors in one unit. Of equally good units the one with the smaller joint entropy is first. Public code
    computes it in bits with 10 bins: the base of the logarithm cancels, the number of bins does not. All protocols are
    one.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: unused, nothing here is random.
        bins, binning: how units are cut, as in MIG.
        information: the tables of `codes` and `factors`, where they are at hand.

    Returns:
        `jemmig` in [0, 1]; `per_factor` [F]; `warnings` about bins that outliers empty.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, an unknown binning.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    return {**of_table(table, bins), "warnings": table.warnings}


def of_table(table: Table, bins: int) -> dict[str, Any]:
    """`jemmig` and `per_factor` [F] of a table of so many bins."""
    best, second = best_and_second(table.nats)
    joint = table.unit_entropies[:, None] + table.factor_entropies - table.nats
    joint = np.where(table.nats >= best - 1e-12, joint, np.inf).min(axis=0)
    scores = 1 - (joint - best + second) / np.maximum(table.factor_entropies + np.log(bins), 1e-300)
    return {"jemmig": float(scores.mean()), "per_factor": scores}
