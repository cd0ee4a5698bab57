"""The axes of a search's keys and objectives: where a value lies on them, and their ticks."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scaledis.core.values import literals
from scaledis.report.summary import shown

CHOICE, LOGARITHMIC, WHOLE = "choice", ("log", "logint"), ("int", "logint")  # kinds of ranges
FENCE = 3.0  # interquartile ranges: a value that is worse by more lies at the edge
NEAR = 0.12  # of an axis: ticks at most as near as that to another one are left out


class Axis(NamedTuple):
    """An axis from 0, its low end, to 1: of numbers, or of categories at equal distances.

    low, high: the numbers at its ends.
    logarithmic: whether equal distances are equal ratios.
    whole: whether it has whole numbers only.
    categories: the words on it, the first one at 0; () for numbers.
    """

    low: float = 0.0
    high: float = 1.0
    logarithmic: bool = False
    whole: bool = False
    categories: Sequence[str] = ()

    def place(self, value: Any) -> float | None:
        """Where a value lies, 0 to 1, or the nearer end for a number beyond; None for a value that has no place."""
        if self.categories:
            last = max(len(self.categories) - 1, 1)
            return self.categories.index(words(value)) / last if words(value) in self.categories else None
        if not is_number(value) or (self.logarithmic and value <= 0):
            return None
        low, high, at = (math.log(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return min(1.0, max(0.0, (at - low) / (high - low))) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """The places of the ticks with their words: all categories, or both ends and round numbers between."""
        if self.categories:
            return [(self.place(each) or 0.0, each) for each in self.categories]
        if self.low == self.high:
            return [(0.5, words(self.low))]
        found = [(0.0, words(self.low)), (1.0, words(self.high))]
        for value in self._round():
            at = self.place(value)
            if at is not None and all(abs(at - other) > NEAR for other, _ in found):
                found.append((at, words(value)))
        return sorted(found)

    def _round(self) -> Iterable[float]:
        if self.logarithmic:
            return [
                10.0**power for power in range(math.ceil(math.log10(self.low)), 1 + math.floor(math.log10(self.high)))
            ]
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9))
        numbers = range(math.ceil(self.low / step), 1 + math.floor(self.high / step))
        rounded = [number * step for number in numbers]
        return [each for each in rounded if each.is_integer()] if self.whole else rounded


def of_range(text: str, values: Sequence[Any]) -> Axis:
    """The axis of a range of a space, such as "log:1..64" or "choice:a,b", and of the values that were tried."""
    kind, _, bounds = text.partition(":")
    ends = [value for value in map(_number, bounds.split("..")) if value is not None] if kind != CHOICE else []
    numbers = [float(value) for value in values if is_number(value)]
    if len(ends) == 2 and (kind not in LOGARITHMIC or ends[0] > 0):
        return Axis(ends[0], ends[1], kind in LOGARITHMIC, kind in WHOLE)
    if kind != CHOICE and numbers and len(numbers) == len(values):
        return Axis(min(numbers), max(numbers))
    named = literals(bounds) if kind == CHOICE else []
    return Axis(categories=tuple(dict.fromkeys(map(words, [*named, *values]))))


def of_values(values: Sequence[float], best: str) -> Axis:
    """The axis of an objective.

    It ends at the worst value, or where values are worse than the quartiles by `FENCE` interquartile ranges: one that
    went astray does not press all others together.
    """
    low, high = min(values), max(values)
    first, third = np.percentile(values, (25, 75)).tolist()
    room = FENCE * (third - first)
    if room and best == "max":
        low = max(low, first - room)
    if room and best == "min":
        high = min(high, third + room)
    return Axis(low, high)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def words(value: Any, digits: str = ".4g") -> str:
    """A value as text: numbers with four digits, an allocation as 4-2-2-2."""
    if not is_number(value):
        return shown(tuple(value) if isinstance(value, list) else value)
    if isinstance(value, int) or 1e4 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:{digits}}".replace("-", "−")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
