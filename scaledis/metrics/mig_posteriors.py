"""The mutual information gap by posteriors (Chen et al. 2018, Appendix C), of units, of groups and of levels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from scaledis.metrics.shared import arguments, linear, parallel, rows
from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.information import best_and_second, share
from scaledis.metrics.shared.labels import Labels, of_classes
from scaledis.metrics.shared.mutual import entropy
from scaledis.metrics.shared.spec import JOINT, Result, Spec

BOUNDS = ("upper", "lower")
NAMES = ("mig", "mig_groups", "mig_levels")
SPEC = Spec(NAMES, fits=True, groups=JOINT)
DRAWS, SHARE = 1500, 25  # codes; of them in one piece of work
LEAST = 1e-30  # sum of float32 densities over the largest one that is exact enough
FINITE = 700  # abs of a log variance: above, the variance or its inverse is infinite in float64
FARTHEST = 1e18  # range of a unit's means over its least deviation, whose square is finite in float32


class Nats(NamedTuple):
    """What S sets of units know, for both bounds.

    Attributes:
        factors: {bound: [S, F]}, of each factor.
        image: {bound: [S]}, of the image.
    """

    factors: dict[str, np.ndarray]
    image: dict[str, np.ndarray]


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    draws: int = DRAWS,
    levels: np.ndarray | None = None,
    log_variances: np.ndarray | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    labels: Labels | None = None,
) -> Result:
    """Returns MIG by the densities of the posteriors, against the aggregate posterior of all N rows; no histograms.

        I(z_S; v) = E[ log q(z_S | v) - log q(z_S) ],    q(z_S | v) = mean over the N_v rows with v of q(z_S | x_n)

    for z ~ q(z | x_n) of M rows drawn at random. A set S of units counts as one joint variable, as in the code of
    Disentangling Granularity: units alone, the groups, and the levels. MIG is the lead of a factor's best set over its
    second best, over the factor's entropy, the mean over factors; with one set its second best is 0.

    The upper bound has the row's own posterior in both means, as published code does. Where posteriors no longer
    overlap it goes to log(N / N_v), whatever the codes know: from about log N_v nats of the image in a set on it says
    nothing. The lower bound leaves the own posterior out of both, and with it the rows that are alone in their class.
    Where the bounds differ the information is not known. All protocols agree.

    Args:
        seed: draws the rows and their codes.
        draws: M, at most N.

    Returns:
        `mig`, `mig_groups` and `mig_levels` in [0, 1], by the upper bound, and `<key>_lower`; `mig_sup` of units and of
        each kind of set, `<key>_sup`, the lead of a set's best factor over its second best, by the lower bound;
        `<key>_per_factor` [F]; `<key>_nats` [S, F] and `<key>_image_nats`, a list of S, both by the lower bound, and
        `log_rows` [F], log N_v. Groups and levels that are not given are None, as is everything without log
        variances or with a posterior that has no noise; `warnings` says so.
    """
    codes, factors = rows.checked(codes, factors)
    arguments.check("draws", draws, int, 2)
    found: dict[str, Any] = dict.fromkeys([*NAMES, *(f"{name}_lower" for name in NAMES)])
    if log_variances is None or not _overlap(codes, log_variances):
        reason = "none are given" if log_variances is None else "a posterior has no noise, or infinite variance"
        return found | {"warnings": [f"log_variances: {reason}, and so there is no information by posteriors"]}
    units = codes.shape[1]
    sets: dict[str, list[Sequence[int]]] = {"mig": [(unit,) for unit in range(units)], "mig_groups": list(groups or ())}
    given = np.zeros(0) if levels is None else levels
    sets["mig_levels"] = [np.flatnonzero(given == each).tolist() for each in np.unique(given)]
    known = information(codes, log_variances, factors, [each for own in sets.values() for each in own], draws, seed)
    entropies, start = entropy(factors, missing=MISSING), 0
    for name, own in sets.items():
        part, start = slice(start, start + len(own)), start + len(own)
        if own:
            found |= _scores(name, Nats(*({bound: each[bound][part] for bound in BOUNDS} for each in known)), entropies)
    counts = [rows.counted(factor)[1] for factor in factors.T]
    numbers, alone = (labels or of_classes(factors)).numbers, [int((count == 1).sum()) for count in counts]
    warnings = [
        f"factor {number}: the lower bound leaves out the rows that are alone in their class, {few} of {len(factors)}"
        for number, few in zip(numbers, alone, strict=True)
        if few
    ]
    return found | {"log_rows": np.log([count @ count / count.sum() for count in counts]), "warnings": warnings}


def _overlap(codes: np.ndarray, log_variances: np.ndarray) -> bool:
    """Whether all posteriors have finite noise that is not nothing beside the range of the means."""
    if (np.abs(log_variances) > FINITE).any():
        return False
    return bool((np.ptp(codes, axis=0) <= FARTHEST * np.exp(log_variances.min(axis=0) / 2)).all())


def _scores(name: str, nats: Nats, entropies: np.ndarray) -> Result:
    shares = {bound: share(np.maximum(nats.factors[bound], 0), entropies) for bound in BOUNDS}
    gaps = {bound: np.subtract(*best_and_second(shares[bound])) for bound in BOUNDS}
    return {
        name: float(gaps["upper"].mean()),
        f"{name}_lower": float(gaps["lower"].mean()),
        f"{name}_sup": float(np.subtract(*best_and_second(shares["lower"].T)).mean()),
        f"{name}_per_factor": gaps["upper"],
        f"{name}_nats": nats.factors["lower"],
        f"{name}_image_nats": nats.image["lower"].tolist(),
    }


def information(
    codes: np.ndarray,
    log_variances: np.ndarray,
    factors: np.ndarray,
    sets: Sequence[Sequence[int]],
    draws: int = DRAWS,
    seed: int = 0,
) -> Nats:
    """Returns the nats that sets of units know of each factor and of the image, by posteriors of N rows.

    Args:
        codes, log_variances: float [N, K], of the posteriors.
        factors: int [N, F]; rows without a label of a factor are left out of what is said about it.
        sets: S sets of units.
        draws: M; the rows whose codes are drawn.
        seed: draws rows and codes.
    """
    least = log_variances.min(axis=0)  # in units of the least deviation float32 holds all densities
    codes, log_variances = (codes - codes.mean(axis=0)) / np.exp(least / 2), log_variances - least
    rng = np.random.default_rng(seed)
    index = rng.choice(len(codes), min(draws, len(codes)), replace=False)
    noise = rng.standard_normal((len(index), codes.shape[1]))
    drawn = (codes[index] + np.exp(log_variances[index] / 2) * noise).astype(np.float32)
    mean, precision = codes.T.astype(np.float32), (0.5 * np.exp(-log_variances.T)).astype(np.float32)
    constant = (0.5 * (log_variances.T + np.log(2 * np.pi))).astype(np.float32)
    membership = np.zeros((len(sets), len(mean)), np.float32)
    for row, own in zip(membership, sets, strict=True):
        row[list(own)] = 1
    classes = np.ascontiguousarray(factors.T)
    there = classes != MISSING  # [F, N]
    labeled = np.ones((1, len(codes)), bool) if there.all() else np.vstack([np.ones(len(codes), bool), there])

    def of_rows(some: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [of_code(number) for number in some]

    def of_code(number: int) -> tuple[np.ndarray, np.ndarray]:
        """Nats of one drawn code, of the image [2, S] and of each factor [2, S, F]; NaN where a bound has no row."""
        row = index[number]
        energy = drawn[number][:, None] - mean
        energy *= energy
        energy *= precision
        energy += constant
        density = -(membership @ energy)  # [S, N]
        own = density[:, row].astype(np.float64)
        density[:, row] = -np.inf
        among = np.vstack([classes == classes[:, row, None], labeled])
        counts = among.sum(axis=1)
        means = _means(_log_sums(density, among), own[:, None], counts)
        given, image, every = np.split(means, [len(classes), len(classes) + 1], axis=2)
        known = there[:, row] & (counts[: len(classes)] > [[[0]], [[1]]])  # the lower bound needs another row
        return own - image[..., 0], np.where(known, given - (every if every.size else image), np.nan)

    with linear.libraries().limit(limits=1):  # its threads would wait for those of the pool
        parts = parallel.mapped(of_rows, np.array_split(np.arange(len(index)), max(1, len(index) // SHARE)))
    image, known = (np.stack(each) for each in zip(*(pair for part in parts for pair in part), strict=True))
    counted = ~np.isnan(known)
    means = np.where(counted, known, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    return Nats(dict(zip(BOUNDS, means, strict=True)), dict(zip(BOUNDS, image.mean(axis=0), strict=True)))


def _log_sums(density: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The log of the densities of [S, N] summed over each of A sets of rows, `among` bool [A, N]: [S, A]."""
    most = density.max(axis=1, keepdims=True)
    sums = np.exp(density - most) @ among.T.astype(np.float32)
    logs: np.ndarray = most + np.log(np.maximum(sums, LEAST))
    for each in np.flatnonzero((sums <= LEAST).any(axis=0)):  # all of its rows are far away
        logs[:, each] = logsumexp(density[:, among[each]], axis=1) if among[each].any() else -np.inf
    return logs


def _means(others: np.ndarray, own: np.ndarray, count: np.ndarray | int) -> np.ndarray:
    """The logs of the mean densities with the own posterior and without it, from the log of the others' sum."""
    return np.stack(
        [np.logaddexp(others, own) - np.log(np.maximum(count, 1)), others - np.log(np.maximum(count, 2) - 1)]
    )
