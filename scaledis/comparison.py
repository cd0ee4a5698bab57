"""A method against another over the same seeds: means, deviations, and paired differences with their intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from scaledis import registry


class Comparison(NamedTuple):
    """A method's score over its seeds, and how far it is from another method's on the seeds that both have.

    Attributes:
        seeds: how many seeds the method has.
        mean, deviation: over the seeds; the deviation has n - 1 and is None for one seed.
        difference: the mean of the differences seed by seed; None without a common seed.
        interval: of the difference, by Student's t; None with fewer than two common seeds.
    """

    seeds: int
    mean: float
    deviation: float | None
    difference: float | None
    interval: tuple[float, float] | None


def compared(
    scores: Mapping[str, Mapping[int, float]], against: str, confidence: float = 0.95
) -> dict[str, Comparison]:
    """Every method of `scores`, {method: {seed: score}}, compared with the method `against`.

        difference +- t_{n - 1} s / sqrt(n)

    with the standard deviation s of the n differences. Seeds share their data and their first weights, so that a
    paired difference varies less than the difference of two means.

    Raises:
        UserError: `against` is none of the methods.
    """
    other = registry.choose("against", against, scores)
    return {method: _comparison(own, other, confidence) for method, own in scores.items()}


def _comparison(own: Mapping[int, float], other: Mapping[int, float], confidence: float) -> Comparison:
    values = np.array(list(own.values()), float)
    differences = np.array([own[seed] - other[seed] for seed in own if seed in other])
    difference = float(differences.mean()) if len(differences) else None
    deviation = float(values.std(ddof=1)) if len(values) > 1 else None
    return Comparison(len(values), float(values.mean()), deviation, difference, interval(differences, confidence))


def interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float] | None:
    """The interval of a mean by Student's t, mean +- t_{n - 1} s / sqrt(n); None of fewer than two values."""
    if len(values) < 2:
        return None
    mean, half = np.mean(values), stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return float(mean - half), float(mean + half)
