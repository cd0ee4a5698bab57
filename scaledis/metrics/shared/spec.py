"""What a metric declares about its scores, and the bootstrap intervals that follow from it."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

CATEGORIES, ALL_KINDS = ("category",), ("category", "number", "angle")  # of factors
ROWS, TEST_ROWS, VOTES = "all rows", "test rows", "test votes"  # what the bootstrap draws
COMPONENT, JOINT = "first principal component", "summed importances"  # what stands for a group of units
INTERVAL = (2.5, 97.5)  # percentiles
PER_FIT = 4  # a metric that fits models takes one permutation in so many


Options = Mapping[str, Mapping[str, Any]]  # metric -> its keyword arguments
Result = dict[str, Any]  # name -> a score, an array or a list of scores, None, sentences or another fact


class Spec(NamedTuple):
    """The declaration of a metric, `SPEC` in its module; a module without one declares the defaults.

    Attributes:
        scores: the scores that lie in [0, 1], the headline first; each has a chance level.
        chance: {score: level} where the level has a closed form; {score: None} for a score that is not among `scores`
            and whose level comes from permutations.
        fits: whether the metric fits models, and so takes a quarter of the permutations.
        ratios: the scores that are None where no unit knows more of any factor than by chance.
        intervals: {score: what the bootstrap draws}, `ROWS`, `TEST_ROWS` or `VOTES`, for the scores that have an
            interval.
        kinds: the kinds of factors that the metric is defined for; it gets no others.
        groups: what stands for a group of units, `COMPONENT` or `JOINT`: the metric gets the first principal component
            of each group in its place, or the groups as its argument `groups`; None: the metric takes no groups.
    """

    scores: tuple[str, ...] = ()
    chance: Mapping[str, float | None] = {}
    fits: bool = False
    ratios: tuple[str, ...] = ()
    intervals: Mapping[str, str] = {}
    kinds: tuple[str, ...] = CATEGORIES
    groups: str | None = None

    @property
    def with_chance(self) -> list[str]:
        """The scores that have a chance level."""
        return list(dict.fromkeys([*self.scores, *self.chance]))

    def permutations(self, chance: int) -> int:
        """The number of permutations that the metric takes where a user asks for `chance`."""
        if not self.with_chance:
            return 0
        return -(-chance // PER_FIT) if self.fits else chance


def spec_of(metric: ModuleType) -> Spec:
    """The declaration of the module of a metric."""
    spec: Spec = getattr(metric, "SPEC", Spec())
    return spec


class Part(NamedTuple):
    """What a resample computes some of the scores from.

    Attributes:
        score: (*arrays) -> scores.
        arrays: of n rows: the model's predictions at test rows or votes, or codes and factors of all rows.
        there: bool [n, F], whether a row has a label of each factor that the scores need.
    """

    score: Callable[..., Result]
    arrays: Sequence[np.ndarray]
    there: np.ndarray


class Scores(Result):
    """The scores of a metric that fits models, with what a resample computes some of them from.

    Args:
        scores: {score: value}, all of them.
        parts: {`ROWS`, `TEST_ROWS` or `VOTES`: what a resample of them computes scores from}.
    """

    def __init__(self, scores: Result, parts: Mapping[str, Part]):
        super().__init__(scores)
        self.parts = parts


class Results(Result):
    """The results of several metrics, {<metric>/<key>: value}; the repr has each metric's first score alone."""

    def __repr__(self) -> str:
        first: dict[str, str] = {}
        for key, value in self.items():
            if isinstance(value, float):
                first.setdefault(key.partition("/")[0], key)
        words = [f"{key} {self[key]:.3f}{self._beside(key)}" for key in first.values()]
        return f"Results({', '.join(words)}; {len(self)} keys)"

    def _beside(self, key: str) -> str:
        level = self.get(f"{key}_chance")
        return "" if level is None else f" (chance {level:.3f})"


def intervals(spec: Spec, parts: Mapping[str, Part], seed: int, resamples: int) -> dict[str, list[float]]:
    """The 2.5th and 97.5th percentile over resamples of the scores with an interval, under `<score>_interval`.

    A resample draws as many rows of each part as it has, with replacement, and computes the part's scores from them. No
    model is fitted again. A draw of rows without any label of a factor is left out. A score that no resample has, or
    that some resample gives as None, has no interval.
    """
    rng = np.random.default_rng(seed)
    draws = [_resampled(parts, rng) for _ in range(resamples)]
    values = {name: np.array([draw[name] for draw in draws if name in draw], float) for name in spec.intervals}
    known = {name: each for name, each in values.items() if each.size and not np.isnan(each).any()}
    return {f"{name}_interval": np.percentile(each, INTERVAL).tolist() for name, each in known.items()}


def _resampled(parts: Mapping[str, Part], rng: np.random.Generator) -> Result:
    scores: Result = {}
    for score, arrays, there in parts.values():
        rows = rng.integers(len(arrays[0]), size=len(arrays[0]))
        if there[rows].any(axis=0).all():
            scores |= score(*(array[rows] for array in arrays))
    return scores
