"""The mutual information gap (Chen et al. 2018; Eq. 16 of Beyond Flat Latent)."""

from typing import Any

import numpy as np

from scaledis.metrics.shared.encoding import sampled
from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second, entropy
from scaledis.metrics.shared.information import information as mutual_information
from scaledis.metrics.shared.rows import LARGEST

__all__ = ["compute", "entropy", "mutual_information"]

SCORES = ("mig", "mig_sampled")


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    bins: int = BINS,
    binning: str = "equal_width",
    protocol: str = "library",
    information: Information | None = None,
    log_variances: np.ndarray | None = None,
) -> dict[str, Any]:
    """Mutual information gap: the lead of a factor's best unit over the second best, as a share of its entropy.

        MIG = mean_k [I(z_first(k); v_k) - I(z_second(k); v_k)] / H(v_k)

    MIG does not see two factors in one unit; MIG-sup does.

    Chen et al. define it on samples of the posteriors, and beta-TCVAE's code divides by the logarithm of the number of
    values; disentanglement_lib takes means and the entropy, as here. A unit that has collapsed (std 1, mean 1e-6 * v)
    scores 1 by its means and 0 by its samples, so both are given wherever log variances are known. Edges are float64:
    float32 edges of a narrow range collapse.

    Protocols: `library` scores the codes as given. `hfs` cuts factors to 20 bins too: a perfect code of 24 classes
    scores 1.00 instead of 0.92, one of 183 1.00 instead of 0.56. `paper` takes the samples for the headline.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the samples; nothing else is random.
        bins: bins of each unit; factors are not binned.
        binning: "equal_width" over a unit's range, or "quantile", which outliers cannot empty.
        protocol: which codes count for the headline.
        information: the tables of `codes` and `factors`, where they are at hand.
        log_variances: float [N, K] of the posteriors whose means are `codes`.

    Returns:
        `mig`, the score in [0, 1]; `per_factor` [F]; `warnings` about bins that outliers empty. With log variances
        also `mig_sampled`, None where samples are infinite, and `unit_kl_nats`, a list of K with the mean KL of every
        unit to N(0, 1), None where it is infinite, as that of a unit without noise is.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, an unknown binning.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    scores = {**of_table(table), "warnings": table.warnings}
    if log_variances is None:
        return scores
    with np.errstate(over="ignore", invalid="ignore"):
        samples = sampled(codes, log_variances, np.random.default_rng(seed))
        nats = 0.5 * (codes**2 + np.exp(log_variances) - 1 - log_variances).mean(axis=0)
    finite = np.isfinite(nats)
    warnings = [f"unit_kl_nats: the KL of unit {unit} is infinite" for unit in np.flatnonzero(~finite)]
    drawn: dict[str, Any] = {"mig": None, "per_factor": None, "warnings": table.warnings}
    if (np.abs(samples) <= LARGEST).all():
        of_samples = Information(samples, factors).table(bins, binning)
        drawn = {**of_table(of_samples), "warnings": of_samples.warnings}
    else:
        warnings.append("mig_sampled: samples of the posteriors are infinite")
    headline = drawn if protocol == "paper" else scores
    return headline | {
        "mig_sampled": drawn["mig"],
        "unit_kl_nats": [kl if known else None for kl, known in zip(nats.tolist(), finite, strict=True)],
        "warnings": [*headline["warnings"], *warnings],
    }


def of_table(table: Table) -> dict[str, Any]:
    """`mig` and `per_factor` [F] of a table; a lone unit leads by all that it knows."""
    best, second = best_and_second(table.shares)
    return {"mig": float((best - second).mean()), "per_factor": best - second}
