"""Starts: several runs in place of one, which differ only in their random numbers; rungs choose one of them.

All starts have the seed of their run, so that runs pair by seed whichever start goes on. Start k of seed s draws the
random numbers of a run of its own with the seed

    (s + k * STRIDE) mod 2^31

The multiples of STRIDE, which is 2^31 over the golden ratio, stay far from each other: with up to 100 starts, seeds
less than ten million apart have no start in common.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scaledis.config import Config, Train
from scaledis.core import UserError, registry
from scaledis.types import Run

STRIDE, SEEDS = 1_327_217_885, 2**31
KEY = "train.start"  # the key in which the starts of a run differ
BEST = ("max", "min")


class Rung(NamedTuple):
    """A step at which runs are compared and some of them dropped.

    step: the step of the runs that are compared.
    keep: how many of them go on.
    by: a number of the log, a score, or the name of a criterion.
    best: "max" or "min".
    """

    step: int
    keep: int
    by: str
    best: str


def seed_of(config: Config) -> int:
    """Returns the seed of a run's random numbers: its own, or that of its start."""
    return (config.seed + config.train.start * STRIDE) % SEEDS


def each(config: Config) -> list[tuple[Mapping[str, object], Config]]:
    """Returns the starts of a run, each with the keys that it changes; a run without starts changes none."""
    if config.train.starts == 1:
        return [({}, config)]
    return [({KEY: number}, _at(config, number)) for number in range(config.train.starts)]


def contest(config: Config) -> Config:
    """Returns the config of a run without the number of its start: it is equal for all starts of the run."""
    return _at(config, 0)


def setting(config: Config) -> Config:
    """Returns the config without seed and start: it is equal for all runs of a setting."""
    return dataclasses.replace(contest(config), seed=0)


def alone(config: Config) -> Config:
    """Returns a start as a run of its own, which draws the same random numbers."""
    train = dataclasses.replace(config.train, starts=1, start=0, rungs=())
    return dataclasses.replace(config, train=train, seed=seed_of(config))


def rungs_of(train: Train) -> list[Rung]:
    """Returns the rungs of a run at their steps."""
    return [Rung(max(1, round(share * train.steps)), keep, by, best) for share, keep, by, best in train.rungs]


def share(train: Train) -> float:
    """Returns the mean share of the steps that the starts of a run train for."""
    return share_of(train.starts, rungs_of(train), train.steps)


def share_of(count: int, rungs: Sequence[Rung], steps: int) -> float:
    """Returns the mean share of `steps` for which `count` runs train, if rungs drop some of them."""
    going = zip([count, *(rung.keep for rung in rungs)], [*(rung.step for rung in rungs), steps], strict=True)
    last, total = 0, 0
    for left, until in going:
        total, last = total + left * (until - last), until
    return total / (count * steps)


def parts(populations: Sequence[Sequence[Run]], first: int) -> list[int]:
    """Returns the part of each population; all starts of a run lie in one part, which one shard trains.

    A part is a population and those after it that begin with further starts of its last run. `first` is the number of
    the first part.
    """
    found: list[int] = []
    for before, after in itertools.pairwise([(), *populations]):
        inside = bool(before) and after[0].config.train.starts > 1 and same(before[-1], after[0])
        found.append(found[-1] + (not inside) if found else first)
    return found


def same(one: Run, other: Run) -> bool:
    """Returns whether two runs are starts of one."""
    return contest(one.config) == contest(other.config)


def check(train: Train) -> None:
    """Raises UserError for a start beyond the starts, and for rungs that do not choose one of them."""
    if train.start >= train.starts:
        raise UserError(f"train.start: {train.start} must be less than train.starts, {train.starts}.")
    if train.starts > 1 and not train.rungs:
        raise UserError(
            f"train.starts: {train.starts} starts need train.rungs, such as (0.2, 1, 'elbo_nats', 'max') to choose one."
        )
    last, left = 0.0, train.starts
    for rung in train.rungs:
        if not _is_rung(rung):
            raise UserError(
                f"train.rungs: {registry.short(rung)} must be (share of the steps above 0 and up to 1, number of "
                "starts that go on, number of the log, max or min)."
            )
        share, keep, *_ = rung
        if share < last:
            raise UserError(f"train.rungs: the share {share} comes after {last}; shares must not fall.")
        if not 1 <= keep < left:
            raise UserError(f"train.rungs: {keep} cannot go on of {left} that are left; at least 1 and fewer must.")
        last, left = share, keep
    if left > 1:
        raise UserError(f"train.rungs: {left} starts are left at the end; the last rung must leave 1.")


def _is_rung(rung: Any) -> bool:
    if not isinstance(rung, tuple) or len(rung) != 4:
        return False
    share, keep, by, best = rung
    numbers = isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1
    return numbers and type(keep) is int and isinstance(by, str) and bool(by) and best in BEST


def _at(config: Config, start: int) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, start=start))
