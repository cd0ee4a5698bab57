"""The summary of a run, from which the figures and the page of a report are made."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

LISTED = 4  # values of a fact; `listed` counts the others
SPAN = 3  # whole numbers in a row, from which on only the first and the last are listed


class Summary(NamedTuple):
    """The facts of one run; all but its names may be missing."""

    name: str  # short and unique: "scale_vlae, seed 0"
    setting: str  # runs of one setting differ in the seed alone: they share a color and a mean
    dataset: str = ""
    images: int = 0  # of the data set
    factor_names: tuple[str, ...] = ()
    seed: int = 0
    step: int = 0  # of the pictures, or the last one of the log where nothing is drawn
    scored_step: int | None = None  # of the scores, and of all that was measured with them: KL, shares, changes, means
    codes: str = ""  # the number of scored codes
    split: str = ""  # the images of these codes
    machine: str = ""  # that trained it, and its version of JAX
    trained_by: str = ""  # the code
    scored_by: str = ""  # the version and the commit of scaledis
    backend: str = ""  # the classifier behind DCI
    allocation: tuple[int, ...] = ()  # units per level, top to bottom; K in all
    scores: Mapping[str, float] = MappingProxyType({})  # metric -> score: "DCI-D", "DCI-C", "MIG"
    levels: Mapping[str, Mapping[str, float]] = MappingProxyType({})  # "level4" -> scores of its units alone
    chance: Mapping[str, Mapping[str, float]] = MappingProxyType({})  # "all", "level4" -> chance levels of its scores
    baselines: Mapping[str, Mapping[str, float]] = MappingProxyType({})  # "floor, noise" -> scores of all units
    diverged_at: int | None = None  # the step at which the run was frozen
    undecided: bool = False  # whether it is a start beside which a rung may still choose another one
    sealed: bool = True  # whether its files have checksums; those of version 0.2 have none
    records: Sequence[Mapping[str, float]] = ()  # the training log: {"step": 100, "loss_nats": 71.5, ...}
    kl: Any = None  # [K] nats per image, NaN where it is infinite
    shares: Any = None  # [K, F] mutual information of unit and factor over the factor's entropy, 0 to 1
    means: Any = None  # [N, K] posterior means of the codes that were scored
    numbers: Any = None  # int [N], the images of these codes
    changes: Any = None  # [K, F] share of images on which an edit of the unit changes the factor
    edited: tuple[str | None, ...] = ()  # the factor that the edit of each unit is meant for; None for no factor
    traversals: Any = None  # [K, S, H, W, C] uint8, or float in 0 to 1
    originals: Any = None  # [N, H, W, C]
    reconstructions: Any = None  # [N, H, W, C]
    samples: Any = None  # [N, H, W, C] decoded from the prior


def source(runs: Sequence[Summary]) -> str:
    """The source of a picture of these runs: "rendered, 4,000 steps, seeds 0 to 4"."""
    steps = listed(f"{run.step:,}" for run in runs if run.step)
    seeds = list(dict.fromkeys(run.seed for run in runs))
    parts = [
        " and ".join(dict.fromkeys(run.dataset for run in runs if run.dataset)),
        f"{steps} steps" if steps else "",
        f"seed{'s' if len(seeds) > 1 else ''} {listed(spans(seeds))}" if seeds else "",
    ]
    return ", ".join(filter(None, parts))


def measured(runs: Sequence[Summary]) -> str:
    """The source of what was measured with the scores of these runs, at their step; that of the runs without scores."""
    scored = [run._replace(step=run.scored_step or 0) for run in runs]
    return source(scored if any(run.step for run in scored) else runs)


def mixed(runs: Sequence[Summary]) -> str:
    """The source of a picture beside scores: "rendered, 4,000 steps, seed 0; measured after 2,000 steps"."""
    return "; measured".join(filter(None, [source(runs), after(runs)]))


def after(runs: Sequence[Summary]) -> str:
    """The steps of the scores, as " after 2,000 steps", if any of them are of another step than the run's pictures."""
    scored = [run for run in runs if run.scored_step is not None]
    apart = any(run.scored_step != run.step for run in scored)
    return f" after {listed(f'{run.scored_step:,}' for run in scored)} steps" if apart else ""


def spans(numbers: Sequence[int]) -> list[str]:
    """Different whole numbers in ascending order, three or more in a row as one: ["0 to 4", "8"]."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    rows = ([f"{row[0]} to {row[-1]}"] if len(row) >= SPAN else map(str, row) for row in found)
    return [words for row in rows for words in row]


def listed(values: Any) -> str:
    """The different values, in order, as text."""
    different = [str(value) for value in dict.fromkeys(values)]
    more = f" and {len(different) - LISTED} more" if len(different) > LISTED else ""
    return ", ".join(different[:LISTED]) + more


def shown(value: object) -> str:
    """The value of a key as text: an allocation as 4-2-2-2."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def best_factor(run: Summary, unit: int) -> tuple[str, float] | None:
    """The factor of which a unit knows the largest share, and the share; None if shares are unknown."""
    if run.shares is None or not run.factor_names:
        return None
    known = [0.0 if share != share else float(share) for share in run.shares[unit]]
    place = max(range(len(known)), key=known.__getitem__)
    return run.factor_names[place], known[place]


def selectivity(run: Summary, units: Sequence[int]) -> float | None:
    """The share of the units' own factors among all factor changes that their edits make; None if nothing changes."""
    own = [(unit, run.factor_names.index(name)) for unit in units if (name := run.edited[unit]) is not None]
    every = sum(float(sum(run.changes[unit])) for unit, _ in own)
    return sum(float(run.changes[unit][factor]) for unit, factor in own) / every if every else None


def check_units(run: Summary, array: Any) -> None:
    """Raises ValueError unless the first axis of `array` has one row for each unit of the run's allocation."""
    if len(array) != sum(run.allocation):
        raise ValueError(f"run {run.name!r}: {len(array)} units do not fit the allocation {tuple(run.allocation)}.")


def units(allocation: Sequence[int]) -> list[tuple[int, int]]:
    """(level, place) of the units in the order of the codes: levels count from the bottom, places from 1."""
    levels = range(len(allocation), 0, -1)
    return [(level, place) for level, size in zip(levels, allocation, strict=True) for place in range(1, size + 1)]
