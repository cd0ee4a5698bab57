"""The space of a search: the range of each key, in a config file (`def search_space()`) or as text (`--space`).

def search_space():
    return {"method.beta": log_uniform(1, 64), "train.batch": choice(32, 64)}

--space="method.beta=log:1..64" --space="train.batch=choice:32,64"
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from scaledis.core import UserError, registry
from scaledis.core.values import literal, literals
from scaledis.types import Run

NAME = "search_space"  # the function of a config file
METHOD = "method.name"
LAST = 1 - 2**-53  # the largest share of a range


class Range(NamedTuple):
    """The values that a search may give to a key.

    kind: one of `KINDS`.
    bounds: the least and the largest value, or all choices.
    """

    kind: str
    bounds: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.kind}:{KINDS[self.kind].written(self.bounds)}"

    def at(self, share: float) -> Any:
        """Returns the value at a share of the range, from 0 up to 1: equal shares hold equally many values."""
        return KINDS[self.kind].at(self.bounds, share)


class Kind(NamedTuple):
    """A kind of ranges.

    at: (bounds, share from 0 up to 1) -> the value there.
    check: bounds -> whether they are a range of this kind.
    must: what they must be, in words.
    written: bounds -> text.
    """

    at: Callable[[Sequence[Any], float], Any]
    check: Callable[[Sequence[Any]], bool]
    must: str
    written: Callable[[Sequence[Any]], str] = lambda bounds: "..".join(map(str, bounds))


def uniform(low: float, high: float) -> Range:
    """Returns a range of numbers, all equally likely. Raises UserError unless low is less than high."""
    return _checked("uniform", float(low), float(high))


def log_uniform(low: float, high: float) -> Range:
    """Returns a range of numbers whose logarithms are equally likely. Raises UserError unless 0 < low < high."""
    return _checked("log", float(low), float(high))


def integers(low: int, high: int, log: bool = False) -> Range:
    """Returns the whole numbers from low to high, equally likely, or their logarithms.

    Raises UserError unless low is less than high, and with `log` at least 1.
    """
    return _checked("logint" if log else "int", low, high)


def choice(*values: Any) -> Range:
    """Returns a range of single values, all equally likely. Raises UserError for fewer than two different ones."""
    return _checked("choice", *values)


def _whole(bounds: Sequence[Any], share: float) -> int:
    low, high = map(int, bounds)
    return min(high, low + math.floor(share * (high - low + 1)))


def _log(bounds: Sequence[Any], share: float) -> float:
    found = math.exp(math.log(bounds[0]) + share * math.log(bounds[1] / bounds[0]))
    return min(max(found, float(bounds[0])), float(bounds[1]))


def _rises(bounds: Sequence[Any], kind: Callable[..., Any], least: float = -math.inf) -> bool:
    fits = len(bounds) == 2 and all(type(each) is kind and math.isfinite(each) for each in bounds)
    return fits and least <= bounds[0] < bounds[1]


KINDS = {
    "uniform": Kind(
        lambda bounds, share: bounds[0] + share * (bounds[1] - bounds[0]),
        lambda bounds: _rises(bounds, float),
        "two numbers, the smaller one first, such as uniform:0..8",
    ),
    "log": Kind(
        _log,
        lambda bounds: _rises(bounds, float, math.ulp(0)),
        "two numbers above 0, the smaller one first, such as log:1..64",
    ),
    "int": Kind(
        _whole,
        lambda bounds: _rises(bounds, int),
        "two whole numbers, the smaller one first, such as int:2..10",
    ),
    "logint": Kind(
        lambda bounds, share: min(bounds[1], math.floor(_log((bounds[0], bounds[1] + 1), share))),
        lambda bounds: _rises(bounds, int, 1),
        "two whole numbers from 1 on, the smaller one first, such as logint:16..2048",
    ),
    "choice": Kind(
        lambda bounds, share: bounds[math.floor(share * len(bounds))],
        lambda bounds: len(bounds) == len({*map(str, bounds)}) > 1,
        "at least two different values, such as choice:32,64",
        lambda bounds: ",".join(str(each).replace(", ", ",") for each in bounds),
    ),
}
Space = Mapping[str, Range]  # dotted key -> its range


def _checked(kind: str, *bounds: Any, key: str = "space") -> Range:
    if not KINDS[kind].check(bounds):
        raise UserError(f"{key}: {kind} of {registry.short(bounds)} must be {KINDS[kind].must}.")
    return Range(kind, bounds)


def parse(texts: Sequence[str]) -> dict[str, Range]:
    """Returns the space of texts such as "method.beta=log:1..64".

    Raises UserError for an unknown kind of range, and for bounds that this kind cannot have.
    """
    found: dict[str, Range] = {}
    for text in texts:
        key, given, range_ = text.partition("=")
        kind, colon, bounds = range_.partition(":")
        if not (given and colon):
            raise UserError(
                f"--space: {registry.short(text)} must be a key and its range, as in method.beta=log:1..64."
            )
        key = key.strip()
        if key in found:
            raise UserError(f"--space: {key} has two ranges, {found[key]} and {range_}.")
        registry.check(f"--space: kind of range of {key}", kind.strip(), KINDS)
        found[key] = of_text(key, kind.strip(), bounds)
    return found


def of_text(key: str, kind: str, bounds: str) -> Range:
    """Returns the range of a kind whose bounds are "1..64" or "32,64". Raises UserError for others."""
    if kind == "choice":
        return _checked(kind, *literals(bounds), key=key)
    parts: list[Any] = [literal(each.strip()) for each in bounds.split("..")]
    if kind in ("uniform", "log"):
        parts = [float(each) if type(each) is int else each for each in parts]
    return _checked(kind, *parts, key=key)


def of_file(namespace: Mapping[str, object] = MappingProxyType({})) -> dict[str, Range]:
    """Returns the space that search_space() of a config file returns; {} if the file does not define it.

    Raises UserError if it returns anything but a space.
    """
    make = namespace.get(NAME)
    if make is None:
        return {}
    found = make() if callable(make) else make
    if not isinstance(found, Mapping) or not all(isinstance(each, Range) for each in found.values()):
        raise UserError(
            f"{NAME}: {registry.short(found)} must be {{key: range}}, with ranges of scaledis.search.space."
        )
    return {str(key): each for key, each in found.items()}


def middle(space: Space) -> dict[str, Any]:
    """Returns the value in the middle of each range."""
    return {key: each.at(0.5) for key, each in space.items()}


def check(space: Space, runs_of: Callable[[Mapping[str, Any]], Sequence[Run]]) -> None:
    """Raises UserError for an empty space, for an end of a range that cannot run, and for a key that changes nothing.

    `runs_of` returns the runs for values by key; the keys whose ends are not tried have the middle of their range. If
    the space chooses the method, only the middle is tried, since each method has keys of its own.
    """
    if not space:
        raise UserError(
            f"--space: missing; give a range, as in --space=method.beta=log:1..64, or {NAME}() in the config file."
        )
    runs_of(middle(space))
    for key, each in space.items() if METHOD not in space else ():
        ends = [[run.config for run in runs_of({**middle(space), key: each.at(share)})] for share in (0.0, LAST)]
        if ends[0] == ends[1]:
            raise UserError(f"--space: {key} of {each} changes nothing, since a sweep sets it too.")
