"""The mutual information gap (Chen et al. 2018; Eq. 16 of Beyond Flat Latent)."""

import numpy as np

from scaledis.metrics.shared import encoding, rows
from scaledis.metrics.shared.information import BINS, Information, Table, best_and_second
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, Result, Spec

SPEC = Spec(("mig", "mig_sampled"), intervals={"mig": ROWS, "mig_sampled": ROWS}, groups=COMPONENT, kinds=ALL_KINDS)


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
) -> Result:
    """Returns the mutual information gap: the lead of a factor's best unit over its second best, over its entropy.

        MIG = mean_k [I(z_first(k); v_k) - I(z_second(k); v_k)] / H(v_k)

    MIG does not detect two factors in one unit; MIG-sup does.

    Chen et al. define MIG on samples of the posteriors, and the code of beta-TCVAE divides by the logarithm of the
    number of values. disentanglement_lib takes means and divides by the entropy, as done here. A collapsed unit (std 1,
    mean 1e-6 * v) scores 1 by its means and 0 by its samples, so both scores are returned if the log variances are
    given. Bin edges are float64: float32 edges of a narrow range coincide.

    Protocols: `library` scores the codes as given. `hfs` also cuts factors into 20 bins: a perfect code of 24 classes
    scores 1.00 instead of 0.92, one of 183 classes 1.00 instead of 0.56. `paper` takes samples for `mig`.

    Args:
        seed: seeds the samples of the posteriors.

    Returns:
        `mig` in [0, 1]; `per_factor` [F]. With log variances also `mig_sampled`, None if samples are infinite, and
        `unit_kl_nats`, a list of K with the mean KL of every unit to N(0, 1), None where it is infinite.
    """
    table = (information or Information(codes, factors)).table(bins, binning)
    by_means = _gaps(table)
    if log_variances is None:
        return by_means
    with np.errstate(over="ignore", invalid="ignore"):
        samples = encoding.sampled(codes, log_variances, np.random.default_rng(seed))
        nats = 0.5 * (codes**2 + np.exp(log_variances) - 1 - log_variances).mean(axis=0)
    finite = np.isfinite(nats)
    warnings = [f"unit_kl_nats: the KL of unit {unit} is infinite" for unit in np.flatnonzero(~finite)]
    by_samples: Result = {"mig": None, "per_factor": None, "warnings": table.warnings}
    if (np.abs(samples) <= rows.LARGEST).all():
        by_samples = _gaps(Information(samples, factors).table(bins, binning))
    else:
        warnings.append("mig_sampled: samples of the posteriors are infinite")
    headline = by_samples if protocol == "paper" else by_means
    beside = {"mig_sampled": by_samples["mig"], "unit_kl_nats": rows.or_none(nats, finite)}
    return headline | beside | {"warnings": [*headline["warnings"], *warnings]}


def _gaps(table: Table) -> Result:
    """`mig`, `per_factor` and `warnings` of a table. The gap of a single unit is to 0."""
    best, second = best_and_second(table.shares)
    return {"mig": float((best - second).mean()), "per_factor": best - second, "warnings": table.warnings}
