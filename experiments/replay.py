"""Replays of ways to choose settings and seeds, on runs that have been trained once: pure functions of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

HALVES, OF_HALF, REPLAYS = 40, 25, 1000  # halves of the settings, replays of each; replays of all settings
NORMAL = 1.96  # of a 95 % interval
RANGE = (0.1, 0.9)
SIGNS = {"ELBO": 1, "DCI-D": 1, "R": -1}  # 1 where more is better, of what runs are chosen by

Kept = tuple[int, int]  # a setting and a seed


class Table(NamedTuple):
    """What is known of S settings x N seeds.

    steps: int [T], of the rungs; the last is the end.
    seen: what runs are chosen by at each rung, [S, N, T] by name; NaN of a run that has diverged.
    final: what is reported of the last state, [S, N] by name.
    pairs: UDR of two seeds of a setting, [S, N, N].
    points: of the settings in the unit cube, [S, D].
    """

    steps: np.ndarray
    seen: Mapping[str, np.ndarray]
    final: Mapping[str, np.ndarray]
    pairs: np.ndarray
    points: np.ndarray

    def of(self, settings: np.ndarray) -> "Table":
        """The table of some settings."""
        seen, final = ({name: array[settings] for name, array in held.items()} for held in (self.seen, self.final))
        return Table(self.steps, seen, final, self.pairs[settings], self.points[settings])


class Ledger:
    """The runs that a way has trained, and what they cost. Raises ValueError for more than its budget of steps."""

    def __init__(self, table: Table, budget: int):
        self.table, self.budget, self.spent = table, budget, 0
        self.settings, self.seeds = table.pairs.shape[:2]
        self.end = len(table.steps) - 1
        self.reached: dict[Kept, int] = {}

    def advance(self, runs: Sequence[Kept], rung: int) -> None:
        """Trains the runs to a rung; -1 is the end."""
        rung %= len(self.table.steps)
        for run in runs:
            before = self.table.steps[self.reached[run]] if run in self.reached else 0
            self.spent += max(0, int(self.table.steps[rung] - before))
            self.reached[run] = max(rung, self.reached.get(run, 0))
        if self.spent > self.budget:
            raise ValueError(f"{self.spent} steps of {self.budget}")

    def seen(self, name: str, run: Kept) -> float:
        """What a run has shown where it stands, the more the better; NaN if it has diverged."""
        return SIGNS[name] * float(self.table.seen[name][(*run, self.reached[run])])

    def best(self, name: str, runs: Sequence[Kept], count: int) -> list[Kept]:
        """The best runs; one that has diverged loses, and equal ones keep their order."""
        order = np.argsort([-self.seen(name, run) for run in runs], kind="stable")  # NaN comes last
        return [runs[place] for place in order[:count]]

    def whole(self, runs: int) -> int:
        """How many groups of so many runs the budget pays to their end."""
        return self.budget // (runs * int(self.table.steps[-1]))


Way = Callable[[Ledger, np.random.Generator], Kept]


class Arm(NamedTuple):
    """A line of the table.

    title: what is done.
    way: the function that does it, and returns the run that it keeps.
    budget: in runs to the end.
    factors: whether it needs the factors.
    claimed: "kept" or "other", the score of its row of claims.md; "" for none.
    """

    title: str
    way: Way
    budget: int
    factors: bool
    claimed: str = ""


class Estimate(NamedTuple):
    """A mean over replays, half of its 95 % interval or NaN, and its range over single replays."""

    mean: float
    half: float
    range: tuple[float, float]


def outcome(table: Table, arm: Arm, rng: np.random.Generator) -> dict[str, float]:
    """One replay: the scores of the run that is kept and the mean of seeds of its setting that were not looked at.

    Where all seeds were looked at, it is the mean of all but the kept one.
    """
    ledger = Ledger(table, arm.budget * int(table.steps[-1]))
    setting, seed = arm.way(ledger, rng)
    fresh = [each for each in range(ledger.seeds) if (setting, each) not in ledger.reached]
    other = fresh or [each for each in range(ledger.seeds) if each != seed]
    found = {"spent": float(ledger.spent), "settings": float(len({setting for setting, _ in ledger.reached}))}
    for name, scores in table.final.items():
        found |= {f"{name}, kept": scores[setting, seed], f"{name}, other": scores[setting, other].mean()}
    return found


def replayed(table: Table, arms: Sequence[Arm], seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """What each way gives: means over replays of the whole table, intervals over random halves of its settings.

    The deviation over halves estimates the standard error of what all settings tell, since the mean of a half of S
    settings varies around that of all as the mean of all varies around that of infinitely many. Differences are to the
    first way of the same budget, half by half. A way that takes more settings than a half has is another way there: it
    has no interval, and neither has a difference to it.
    """
    settings = len(table.points)
    rng = np.random.default_rng(seed)
    halves = [table.of(rng.permutation(settings)[: max(2, settings // 2)]) for _ in range(HALVES)]
    found: dict[str, dict[str, Estimate]] = {}
    first: dict[int, dict[str, np.ndarray]] = {}
    for arm in arms:
        whole = outcomes(table, arm, REPLAYS, [seed, 0])
        parts = [outcomes(half, arm, OF_HALF, [seed, 1 + at]) for at, half in enumerate(halves)]
        own = {name: np.array([each[name].mean() for each in (whole, *parts)]) for name in whole}
        if whole["settings"].max() > len(halves[0].points):
            own = {name: np.append(values[0], np.full(HALVES, np.nan)) for name, values in own.items()}
        base = first.setdefault(arm.budget, own)
        found[arm.title] = {
            name: estimate(values, tuple(np.quantile(whole[name], RANGE))) for name, values in own.items()
        }
        found[arm.title] |= {
            f"{name}, difference": estimate(values - base[name], (np.nan, np.nan)) for name, values in own.items()
        }
    return found


def outcomes(table: Table, arm: Arm, count: int, seed: Sequence[int]) -> dict[str, np.ndarray]:
    """The outcomes of replays by name, [count]."""
    several = [outcome(table, arm, np.random.default_rng([*seed, number])) for number in range(count)]
    return {name: np.array([each[name] for each in several]) for name in several[0]}


def estimate(values: np.ndarray, spread: tuple[float, float]) -> Estimate:
    """Of the mean over the whole table, which comes first, and those over its halves."""
    return Estimate(float(values[0]), NORMAL * float(np.std(values[1:], ddof=1)), spread)
