"""The table of scores: means over seeds with their intervals, and differences between settings on equal seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from scaledis import metrics
from scaledis.core import registry, statistics
from scaledis.metrics import of_models
from scaledis.metrics.shared.spec import spec_of
from scaledis.report.summary import Summary, listed, measured

PAPERS = {"dci/disentanglement": "DCI-D", "dci/completeness": "DCI-C", "mig/mig": "MIG", "dci/informativeness": "DCI-I"}
MISSING = "–"
REFERENCES = 8  # settings that the others are compared with


def names(runs: Iterable[Summary], group: str = "all") -> list[str]:
    """The metrics that any run has, in the order in which they first appear."""
    return list(dict.fromkeys(metric for run in runs for metric in of_group(run, group)))


def of_group(run: Summary, group: str) -> Mapping[str, float]:
    """A run's scores over all units, or over those of one level."""
    return run.scores if group == "all" else run.levels.get(group, {})


def by_setting(runs: Sequence[Summary]) -> dict[str, list[Summary]]:
    """The runs of each setting, in the order of the plan."""
    found: dict[str, list[Summary]] = {}
    for run in runs:
        found.setdefault(run.setting, []).append(run)
    return found


class Cell(NamedTuple):
    """A score of a setting over its seeds."""

    mean: float  # as printed, so that equal numbers are equally good
    deviation: float | None  # of the sample; None for one seed
    interval: tuple[float, float] | None  # of the mean, 95 %; None for one seed
    n: int  # seeds
    chance: float | None  # the mean chance level; None where none is known


class RunScores(NamedTuple):
    """The scores of one run; None where one is missing or not finite."""

    name: str
    cells: list[float | None]


class Row(NamedTuple):
    """The scores of a setting; None where no run has one."""

    setting: str
    cells: list[Cell | None]
    runs: list[RunScores]


class Table(NamedTuple):
    """The scores of a group of units."""

    metrics: list[str]  # the columns
    best: list[float | None]  # the largest mean; None where more is not better, or fewer than two settings have one
    rows: list[Row]
    differences: dict[str, list[Any]]  # for each of the first settings, the paired differences to it (`_differences`)
    beneath: dict[str, list[float | None]]  # floor and ceiling: means over the runs that have one


def data(runs: Sequence[Summary]) -> dict[str, Table]:
    """The table of each group of units that has scores: "all", "level4", .."""
    groups = ["all", *dict.fromkeys(level for run in runs for level in run.levels)]
    return {group: _of_units(runs, group) for group in groups if names(runs, group)}


def _of_units(runs: Sequence[Summary], group: str) -> Table:
    columns, settings = names(runs, group), by_setting(runs)
    rows, seeds = [], {}
    for setting, members in settings.items():
        found = [[of_group(run, group).get(name) for name in columns] for run in members]
        finite = [[each if each is not None and math.isfinite(each) else None for each in cells] for cells in found]
        scored = [RunScores(run.name, cells) for run, cells in zip(members, finite, strict=True)]
        seeds[setting] = [
            {
                run.seed: score
                for run, each in zip(members, scored, strict=True)
                if run.diverged_at is None and (score := each.cells[n]) is not None
            }
            for n in range(len(columns))
        ]
        chance = [[run.chance.get(group, {}).get(name) for run in members] for name in columns]
        cells = [_cell([*found.values()], levels) for found, levels in zip(seeds[setting], chance, strict=True)]
        rows.append(Row(setting, cells, scored))
    best: list[float | None] = []
    for n, name in enumerate(columns):
        means = [cell.mean for row in rows if (cell := row.cells[n])]
        best.append(max(means) if len(means) > 1 and more_is_better(name) else None)
    references = list(settings)[:REFERENCES] if len(settings) > 1 else []
    differences = {each: [_differences(seeds, each, n) for n in range(len(columns))] for each in references}
    return Table(columns, best, rows, differences, _beneath(runs, columns) if group == "all" else {})


def _beneath(runs: Sequence[Summary], columns: Sequence[str]) -> dict[str, list[float | None]]:
    """The mean scores of each baseline, None where no run has one."""
    found: dict[str, list[float | None]] = {}
    for name in dict.fromkeys(name for run in runs for name in run.baselines):
        known = [[run.baselines.get(name, {}).get(column) for run in runs] for column in columns]
        scores = [[score for score in each if score is not None] for each in known]
        found[name] = [_mean(each) if each else None for each in scores]
    return found


def _cell(values: list[float], chance: list[float | None]) -> Cell | None:
    if not values:
        return None
    levels = [level for level in chance if level is not None]
    deviation = stdev(values) if len(values) > 1 else None
    interval = statistics.interval(values)
    return Cell(_mean(values), deviation, interval, len(values), _mean(levels) if levels else None)


def _differences(seeds: Mapping[str, Sequence[Mapping[int, float]]], against: str, column: int) -> list[Any]:
    """For each setting [difference, low, high] on common seeds, the last two None for one seed; None without any."""
    found: list[Any] = []
    for setting, columns in seeds.items():
        scores, others = columns[column], seeds[against][column]
        if setting == against or not scores.keys() & others.keys():
            found.append(None)
        else:
            difference = statistics.paired(scores, others)
            found.append([difference.difference, *(difference.interval() or (None, None))])
    return found


def _mean(scores: list[float]) -> float:
    return round(fmean(scores), 3)


def table(runs: Sequence[Summary]) -> str:
    """The table of scores of all units as aligned Markdown, for a terminal or a README.

    A line has the scores of a setting: mean ± sample standard deviation over its seeds, with the mean chance level in
    brackets; lines for the single seeds follow if there are several. The mean leaves out runs that diverged, and scores
    that are missing or not finite. The best mean of a metric is bold if two settings have one and more is better. Below
    the runs are the floor and the ceiling, means over the runs that have them. If there is no score, the text is only a
    sentence.
    """
    found = _of_units(runs, "all")
    if not found.metrics:
        return f"No run has scores. {legend(runs)}"
    lines = [["run", *found.metrics]]
    for row, members in zip(found.rows, by_setting(runs).values(), strict=True):
        scored = sum(bool(run.scores) and run.diverged_at is None for run in members)
        title = f"{row.setting} ({scored}/{len(members)} seeds)" if len(members) > 1 else members[0].name
        lines.append([title, *(_words(cell, best) for cell, best in zip(row.cells, found.best, strict=True))])
        for run in row.runs if len(members) > 1 else ():
            lines.append([f"· {run.name}", *map(_plain, run.cells)])
    lines += [[name, *map(_plain, cells)] for name, cells in found.beneath.items()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    first, *rest = (f"| {' | '.join(line)} |" for line in cells)
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    brackets = " In brackets: the chance level." if any(run.chance.get("all") for run in runs) else ""
    return "\n".join([first, rule, *rest, "", legend(runs) + brackets])


def _plain(score: float | None) -> str:
    return MISSING if score is None else f"{score:.3f}"


def _words(cell: Cell | None, best: float | None) -> str:
    """A cell of the text: "**0.700 ± 0.141** (0.020)"."""
    if cell is None:
        return MISSING
    text = f"{cell.mean:.3f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.3f}")
    return (f"**{text}**" if cell.mean == best else text) + ("" if cell.chance is None else f" ({cell.chance:.3f})")


def legend(runs: Sequence[Summary]) -> str:
    """The line below the table: the data, the statistic, the classifier behind DCI, and the runs that diverged."""
    several = len(runs) > len(by_setting(runs))
    frozen = [f"{run.name} (step {run.diverged_at:,})" for run in runs if run.diverged_at is not None]
    backends = list(dict.fromkeys(run.backend for run in runs if run.backend))
    parts = [f"Data set: {measured(runs)}."]
    parts += ["Mean ± sample standard deviation over seeds."] if several else []
    parts += [f"DCI by {' and '.join(backends)}."] if backends else []
    unsealed = [run.name for run in runs if not run.sealed]
    parts += [f"Without checksums, as an older version wrote it: {listed(unsealed)}."] if unsealed else []
    parts += [f"Frozen, because the loss was no longer finite, and in no mean: {'; '.join(frozen)}."] if frozen else []
    return " ".join(parts)


def more_is_better(metric: str) -> bool:
    """Whether the scores of a column lie in [0, 1] with 1 the best, as those that a metric declares as `scores` do."""
    found = [package for package in (metrics, of_models) if metric in registry.modules(package)]
    if metric in PAPERS.values() or not found:
        return True
    return bool(spec_of(registry.module("metric", found[0], metric)).scores)
