"""The table of scores: means over seeds with their intervals, and what a setting gains over another on equal seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scaledis import metrics
from scaledis.core import registry, statistics
from scaledis.metrics import of_models
from scaledis.metrics.shared.spec import spec_of
from scaledis.report.summary import Summary, listed, source

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


def table(runs: Sequence[Summary]) -> str:
    """The table of scores as aligned Markdown, for a terminal or a README.

    A line a setting: mean ± sample standard deviation over its seeds, with the mean chance level behind it in brackets,
    then the seeds if there are several. Scores that are missing or not finite are left out of the mean. The best mean
    of a metric is bold where two settings have one and more is better.
    """
    columns = names(runs)
    lines = [["run", *columns]]
    best = {name: best_mean(runs, name) for name in columns}
    for setting, members in by_setting(runs).items():
        scored = sum(bool(run.scores) for run in members)
        title = f"{setting} ({scored}/{len(members)} seeds)" if len(members) > 1 else members[0].name
        cells = (_spread(_finite(members, name), best[name]) + _bracketed(members, name) for name in columns)
        lines.append([title, *cells])
        for run in members if len(members) > 1 else ():
            lines.append([f"· {run.name}", *(_spread(_finite([run], name)) for name in columns)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *rest = (
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |" for line in lines
    )
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    brackets = " In brackets: the chance level." if any(run.chance.get("all") for run in runs) else ""
    return "\n".join([first, rule, *rest, "", legend(runs) + brackets])


def legend(runs: Sequence[Summary]) -> str:
    """What stands in the table: where it is from, the statistic, the classifier behind DCI, the runs that diverged."""
    several = len(runs) > len(by_setting(runs))
    frozen = [f"{run.name} (step {run.diverged_at:,})" for run in runs if run.diverged_at is not None]
    backends = list(dict.fromkeys(run.backend for run in runs if run.backend))
    parts = [f"Data set: {source(runs)}."]
    parts += ["Mean ± sample standard deviation over seeds."] if several else []
    parts += [f"DCI by {' and '.join(backends)}."] if backends else []
    unsealed = [run.name for run in runs if not run.sealed]
    parts += [f"Without checksums, as an older version wrote it: {listed(unsealed)}."] if unsealed else []
    parts += [f"Frozen because the loss was no longer finite: {'; '.join(frozen)}."] if frozen else []
    return " ".join(parts)


def best_mean(runs: Sequence[Summary], metric: str, group: str = "all") -> float:
    """The largest mean as printed, so that equal numbers are equally good; NaN where no setting can be the best."""
    means = [_mean(_finite(members, metric, group)) for members in by_setting(runs).values()]
    known = [mean for mean in means if not math.isnan(mean)]
    return max(known) if len(known) > 1 and more_is_better(metric) else math.nan


def more_is_better(metric: str) -> bool:
    """Whether a column's scores lie in [0, 1] with 1 the best: those that the metric declares as `scores`."""
    found = [package for package in (metrics, of_models) if metric in registry.modules(package)]
    if metric in PAPERS.values() or not found:
        return True
    return bool(spec_of(registry.module("metric", found[0], metric)).scores)


def data(runs: Sequence[Summary]) -> dict[str, Any]:
    """The table for the page: per group of units ("all", "level4", ..) its metrics and a row for each setting.

    A cell has the mean, the sample standard deviation and the 95 % interval of the mean over the seeds, and the mean
    chance level; `differences` has, for each of the first settings, the paired differences to it with their intervals
    (scaledis/comparison.py).
    """
    groups = ["all", *dict.fromkeys(level for run in runs for level in run.levels)]
    return {group: _group(runs, group) for group in groups if names(runs, group)}


def _group(runs: Sequence[Summary], group: str) -> dict[str, Any]:
    columns, settings = names(runs, group), by_setting(runs)
    seeds = {
        metric: {
            setting: {run.seed: values[0] for run in members if (values := _finite([run], metric, group))}
            for setting, members in settings.items()
        }
        for metric in columns
    }
    rows = [
        {
            "setting": setting,
            "cells": [
                _cell(list(seeds[metric][setting].values()), _chance(members, metric, group)) for metric in columns
            ],
            "runs": [
                {"name": run.name, "cells": [next(iter(_finite([run], m, group)), None) for m in columns]}
                for run in members
            ],
        }
        for setting, members in settings.items()
    ]
    references = list(settings)[:REFERENCES] if len(settings) > 1 else []
    return {
        "metrics": columns,
        "best": [None if math.isnan(best := best_mean(runs, metric, group)) else best for metric in columns],
        "rows": rows,
        "differences": {
            each: [_differences(seeds[metric], each, settings) for metric in columns] for each in references
        },
    }


def _cell(values: list[float], chance: float | None) -> dict[str, Any] | None:
    if not values:
        return None
    deviation = stdev(values) if len(values) > 1 else None
    spread = {"deviation": deviation, "interval": statistics.interval(values), "n": len(values)}
    return {"mean": _mean(values), **spread, "chance": chance}


def _chance(runs: Iterable[Summary], metric: str, group: str = "all") -> float | None:
    """The mean chance level of a score over runs, or None where none is known."""
    levels = [level for run in runs if (level := run.chance.get(group, {}).get(metric)) is not None]
    return _mean(levels) if levels else None


def _bracketed(runs: Iterable[Summary], metric: str) -> str:
    level = _chance(runs, metric)
    return "" if level is None else f" ({level:.3f})"


def _differences(scores: Mapping[str, Mapping[int, float]], against: str, settings: Iterable[str]) -> list[Any]:
    """For each setting (difference, low, high) on common seeds, the last two None for one seed; None without any."""
    found: list[Any] = []
    for setting in settings:
        if setting == against or not scores[setting].keys() & scores[against].keys():
            found.append(None)
        else:
            difference = statistics.paired(scores[setting], scores[against])
            found.append([difference.difference, *(difference.interval() or (None, None))])
    return found


def _finite(runs: Iterable[Summary], metric: str, group: str = "all") -> list[float]:
    scores = [of_group(run, group).get(metric) for run in runs]
    return [float(score) for score in scores if score is not None and math.isfinite(score)]


def _mean(scores: list[float]) -> float:
    return round(fmean(scores), 3) if scores else math.nan


def _spread(scores: list[float], best: float = math.nan) -> str:
    if not scores:
        return MISSING
    text = f"{_mean(scores):.3f}" + (f" ± {stdev(scores):.3f}" if len(scores) > 1 else "")
    return f"**{text}**" if _mean(scores) == best else text
