"""Decisions: which runs went on at a rung, and by what numbers. A written decision is never revised.

rungs.json    {name of a contest: its decisions, in the order of its rungs}

A contest is the starts of one run, under the name of the first one, or all runs of a sweep, under EVERY.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scaledis.core import UserError
from scaledis.core.files import read_json, write_lines

EVERY = "*"  # no name of a run


class Decision(NamedTuple):
    """The decision of a rung.

    step: the step at which the runs were compared.
    by: the name of the number by which they were compared.
    best: "max" or "min".
    numbers: that of each run; None for a run that had diverged or whose number was not finite, which comes last.
    go_on: the runs that go on, the best first; all others are dropped.
    """

    step: int
    by: str
    best: str
    numbers: Mapping[str, float | None]
    go_on: Sequence[str]


Decisions = dict[str, list[Decision]]


def read(path: Path) -> Decisions:
    """Returns the decisions of the file; {} without one. Raises UserError if it is damaged."""
    if not path.exists():
        return {}
    held = read_json(path, needs_seal=True)
    if not isinstance(held, dict):
        raise UserError(f"{path} is damaged: it is not a list of decisions by contest.")
    return {name: [_decision(path, each) for each in several] for name, several in held.items()}


def write(path: Path, decided: Decisions) -> None:
    """Writes all decisions, sealed."""
    write_lines(path, {name: [each._asdict() for each in several] for name, several in decided.items()})


def dropped(decided: Decisions) -> dict[str, int]:
    """Returns the step at which each dropped run was dropped."""
    every = [each for several in decided.values() for each in several]
    return {name: each.step for each in every for name in each.numbers.keys() - set(each.go_on)}


def _decision(path: Path, held: Any) -> Decision:
    try:
        found = Decision(**held)
    except TypeError as error:
        raise UserError(f"{path} is damaged: {error}.") from error
    if not isinstance(found.numbers, dict) or not found.numbers.keys() >= set(found.go_on) or not found.go_on:
        raise UserError(f"{path} is damaged: the runs that go on are none of those that were compared.")
    return found
