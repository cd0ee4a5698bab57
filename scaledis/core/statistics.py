"""Compares settings over seeds: differences with their intervals, tests, and verdicts over a family of tests.

Runs of one seed share their data and first weights, so if both settings have the same seeds the difference is paired:

    difference +- t_{n - 1} s / sqrt(n),    s the standard deviation of the n differences seed by seed;

else it is Welch's (1947), with the degrees of freedom of Satterthwaite (1946).
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas
from scipy import stats

from scaledis.core import UserError, convert, kinds, registry
from scaledis.core.values import plain

LEVEL = 0.05  # of a family of tests
POWER = 0.8
COUNTS = 0.05  # the smallest difference of a score that counts
MOST_SEEDS = 10_000
COLUMNS = (
    *("one", "other", "test", "seeds_one", "seeds_other", "mean_one", "mean_other", "difference", "low", "high"),
    *("p", "holm", "verdict", "seeds_needed"),
)
LEFT_OUT = ("dropped_at", "diverged")  # columns with the step at which a run ended early
DATA = "fingerprint"  # the column of the data set
Scores = Mapping[int, float]  # seed -> score


class Difference(NamedTuple):
    """The difference between the mean scores of two settings.

    Attributes:
      test: "paired" over common seeds, or "welch".
      seeds: the numbers of seeds of the first and of the second setting; both are the same if they are paired.
      means: the mean scores of the two settings over these seeds.
      difference: the first mean minus the second.
      deviation: the standard deviation of a difference of two single runs, NaN for one seed.
      error, freedom: the standard error of the difference and its degrees of freedom.
    """

    test: str
    seeds: tuple[int, int]
    means: tuple[float, float]
    difference: float
    deviation: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        """The two-sided p-value; NaN for too few seeds."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.difference) / self.error, self.freedom))

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Returns Student's interval of the difference; None for too few seeds."""
        if math.isnan(self.error):
            return None
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error if self.error else 0.0
        return self.difference - half, self.difference + half

    def seeds_needed(self, level: float = LEVEL, power: float = POWER) -> int | None:
        """Returns how many seeds of each setting show a true difference of this size; None above 10,000."""
        if math.isnan(self.error) or self.difference == 0:
            return None
        if self.error == 0:
            return 2
        grouped = self.test == "welch"

        def enough(seeds: int) -> bool:
            freedom = (2 if grouped else 1) * (seeds - 1)
            shift = abs(self.difference) / self.deviation * math.sqrt(seeds)
            return bool(stats.nct.sf(stats.t.isf(level / 2, freedom), freedom, shift) >= power)

        low, high = 1, MOST_SEEDS
        if not enough(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high


class Judged(NamedTuple):
    """A difference as one of a family of tests: Holm's p-value and a verdict on "above 0".

    verdict: "holds" or "does not hold" if Holm's p is below the level; else "no difference that counts" if the interval
    of 1 - 2 level is within the smallest difference that counts (two one-sided tests), or "undecided".
    """

    difference: Difference
    holm: float
    verdict: str


def difference(one: Scores, other: Scores) -> Difference:
    """Returns one setting's scores minus another's: paired if both have the same seeds, else by Welch.

    Raises UserError if one of them has no score.
    """
    if not one or not other:
        raise UserError("scores: one of two settings has none; there is nothing to compare.")
    if one.keys() == other.keys():
        return paired(one, other)
    values = [np.fromiter(scores.values(), float) for scores in (one, other)]
    counts = [len(each) for each in values]
    means = [float(each.mean()) for each in values]
    variances = [float(each.var(ddof=1)) if len(each) > 1 else math.nan for each in values]
    parts = [variance / count for variance, count in zip(variances, counts, strict=True)]
    error = math.sqrt(sum(parts))
    spread = sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True) if part)
    freedom = sum(parts) ** 2 / spread if spread else math.nan
    seeds, pair = (counts[0], counts[1]), (means[0], means[1])
    return Difference("welch", seeds, pair, means[0] - means[1], math.sqrt(sum(variances)), error, freedom)


def paired(one: Scores, other: Scores) -> Difference:
    """Returns one setting's scores minus another's over the seeds of both. Raises UserError if they share no seed."""
    common = [seed for seed in one if seed in other]
    if not common:
        raise UserError("seeds: two settings share none, so that their scores cannot be paired.")
    own, others = (np.array([scores[seed] for seed in common]) for scores in (one, other))
    differences, count = own - others, len(common)
    deviation = float(differences.std(ddof=1)) if count > 1 else math.nan
    means, error = (float(own.mean()), float(others.mean())), deviation / math.sqrt(count)
    return Difference("paired", (count, count), means, float(differences.mean()), deviation, error, count - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns Holm's (1979) adjusted p-values: max over smaller ones of (m - rank) p, at most 1; NaN counts as 1."""
    known = np.nan_to_num(np.asarray(p_values, float), nan=1.0)
    order = np.argsort(known, kind="stable")
    adjusted = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    found = np.empty(len(known))
    found[order] = np.minimum(adjusted, 1)
    return found.tolist()


def judge(differences: Sequence[Difference], counts: float = COUNTS, level: float = LEVEL) -> list[Judged]:
    """Judges differences as one family of tests, in their order.

    Args:
      differences: all differences that are tested together.
      counts: the smallest difference that counts.
      level: the level of the family, kept by Holm's method.
    """
    adjusted = holm([each.p for each in differences])
    return [Judged(each, p, _verdict(each, p, counts, level)) for each, p in zip(differences, adjusted, strict=True)]


@kinds.checked
def compare(
    results: pandas.DataFrame,
    score: str = "dci/disentanglement",
    *,
    by: str | Sequence[str] = "method.name",
    against: str | bool | float | tuple[object, ...] | None = None,
    counts: float = COUNTS,
    level: float = LEVEL,
) -> pandas.DataFrame:
    """Compares settings over their seeds, and returns a table with one row for each pair, judged as one family.

    Args:
      results: one row for each run, as `load_results` returns them, with the columns `by`, `score` and "seed".
        Runs that were dropped at a rung or diverged are left out.
      score: the column of numbers to compare. Runs without it are left out.
      by: the column or columns that define the settings; runs of one setting differ only in their seed.
      against: the setting with which all others are compared; by default every pair of settings is compared.
      counts: the smallest difference that counts.
      level: the level of the family, kept by Holm's method.

    Returns:
      Columns one, other, test, seeds_one, seeds_other, mean_one, mean_other, difference, low, high (the 95 % interval),
      p, holm, verdict and, for an undecided pair, seeds_needed.

    Raises:
      UserError: a column that is not in the table, or none at all; a score that is no number, or infinite; an unknown
        setting; fewer than two settings; two runs of one seed or of two data sets in a setting; a level outside 0 to 1.

    >>> import pandas
    >>> table = pandas.DataFrame({"method.name": ["a", "a", "b", "b"], "seed": [0, 1, 0, 1], "mig": [.3, .4, .1, .2]})
    >>> float(compare(table, "mig").loc[0, "difference"].round(3))
    0.2
    """
    keys = [by] if isinstance(by, str) else list(by)
    for argument, key in (*(("by", key) for key in keys), ("score", score), ("results", "seed")):
        registry.check(argument, key, [each for each in results if isinstance(each, str)])
    if not keys:
        raise UserError("by: names no column; one or several tell the settings apart.")
    if not 0 < level < 1:
        raise UserError(f"level: {level} must lie between 0 and 1.")
    against = plain(against)
    scores: dict[object, dict[int, float]] = {}
    results = results[results.reindex(columns=LEFT_OUT).isna().all(axis=1)].dropna(subset=[score])
    known = results[score].infer_objects()
    numbers = convert.numbers("score", known)[:, 0].astype(float) if len(known) else np.zeros(0)
    if np.isinf(numbers).any():
        seed = results["seed"][np.isinf(numbers)].iloc[0]
        raise UserError(
            f"score: {score!r} is infinite in a run of seed {seed}; leave it out, or compare another score."
        )
    for values, runs in results.assign(**{score: numbers}).groupby(keys, sort=False, dropna=False):
        name = values[0] if len(keys) == 1 else values
        if runs["seed"].duplicated().any():
            seed = runs["seed"][runs["seed"].duplicated()].iloc[0]
            raise UserError(f"results: {name} has two runs of seed {seed}; name in `by` what else tells them apart.")
        if DATA in runs and runs[DATA].nunique() > 1:
            raise UserError(f"results: {name} has runs of {runs[DATA].nunique()} data sets; take the runs of one.")
        scores[name] = dict(zip(runs["seed"], runs[score], strict=True))
    if len(scores) < 2:
        raise UserError(f"by: {', '.join(keys)} gives {len(scores)} setting with {score!r}; two are needed.")
    if against is not None and against not in scores:
        raise UserError(f"against: {registry.short(against)} is none of {', '.join(map(str, scores))}.")
    pairs = [(name, against) for name in scores if name != against]
    if against is None:
        pairs = list(itertools.combinations(scores, 2))
    family = judge([difference(scores[one], scores[other]) for one, other in pairs], counts, level)
    rows = [_row(pair, each, level / len(pairs)) for pair, each in zip(pairs, family, strict=True)]
    return pandas.DataFrame(rows, columns=COLUMNS)


def interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Returns the interval of a mean by Student's t, mean +- t_{n - 1} s / sqrt(n); None for fewer than two values."""
    known = list(values)
    if len(known) < 2:
        return None
    mean, half = np.mean(known), stats.t.ppf((1 + confidence) / 2, len(known) - 1) * stats.sem(known)
    return float(mean - half), float(mean + half)


def _verdict(found: Difference, p: float, counts: float, level: float) -> str:
    if p < level:
        return "holds" if found.difference > 0 else "does not hold"
    within = found.interval(1 - 2 * level)
    return "no difference that counts" if within and -counts < within[0] and within[1] < counts else "undecided"


def _row(pair: tuple[object, object], judged: Judged, level: float) -> tuple[object, ...]:
    found = judged.difference
    low, high = found.interval() or (math.nan, math.nan)
    needed = found.seeds_needed(level) if judged.verdict == "undecided" else None
    numbers = *found.seeds, *found.means, found.difference, low, high, found.p, judged.holm
    return *pair, found.test, *numbers, judged.verdict, needed
