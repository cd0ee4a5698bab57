"""The entries of a plan, and the names that it may hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scaledis.core import UserError
from scaledis.sweeps import starts
from scaledis.sweeps.shards import Shard
from scaledis.types import Run

LONGEST = 255  # bytes of a folder's name


class Planned(NamedTuple):
    """A population of the plan.

    names: those of its runs; [] if all runs went on in other populations from a rung.
    padded: the allocation to which they are padded; None: not fixed.
    part: the number by which shards take it; populations with starts of the same run have the same part.
    """

    names: list[str]
    padded: tuple[int, ...] | None
    part: int


def populations(plan: Path, held: Any) -> list[Planned]:
    """Returns the populations that the file `plan` holds, a list in version 0.1. Raises UserError for damage."""
    if not isinstance(held, list | dict):
        raise UserError(f"{plan} is damaged: it is not a list of populations.")
    return [_population(plan, n, each) for n, each in enumerate(held.values() if isinstance(held, dict) else held)]


def appended(there: Sequence[Planned], groups: Sequence[Sequence[Run]], shard: Shard | None = None) -> list[Planned]:
    """Returns the populations of a plan, and after them those of new runs, which belong to `shard` if it is given."""
    first = 1 + max([each.part for each in there], default=-1)
    own = [part for part in range(first, first + shard.count) if part % shard.count == shard.index] if shard else []
    parts = own * len(groups) if shard else starts.parts(groups, first)
    new = [
        Planned([run.name for run in group], group[0].padded, part) for group, part in zip(groups, parts, strict=True)
    ]
    return [*there, *new]


def as_json(populations: Sequence[Planned]) -> dict[str, Any]:
    """Returns the content of the file; the part of a population is written only if it differs from its number."""
    return {
        str(n): {"runs": names, "allocation": padded, **({} if part == n else {"part": part})}
        for n, (names, padded, part) in enumerate(populations)
    }


def _population(plan: Path, number: int, held: Any) -> Planned:
    """Returns an entry of the file, which version 0.1 wrote as a list of names. Raises UserError for damage."""
    entry: dict[str, Any] = held if isinstance(held, dict) else {"runs": held}
    names: Any = entry.get("runs")
    padded, part = entry.get("allocation"), entry.get("part", number)
    if not _is_list(names, str) or not _is_list([] if padded is None else padded, int):
        raise UserError(f"{plan} is damaged: a population is not the names of its runs and an allocation.")
    if not isinstance(part, int) or part < 0:
        raise UserError(f"{plan} is damaged: the part of a population is not a number.")
    for name in names:
        if not is_folder(name):
            raise UserError(f"{plan} is damaged: {name[:80]!r} is not the name of a run.")
    return Planned(names, None if padded is None else tuple(padded), part)


def is_folder(name: str) -> bool:
    """Returns whether a folder can have this name."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < length <= LONGEST and name not in (".", "..") and not {"/", "\0"} & {*name}


def _is_list(value: Any, of: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, of) for each in value)
