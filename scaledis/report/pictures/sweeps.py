"""Pictures of a sweep: scores over one swept key with their bands, over two as heat maps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scaledis.config import differing
from scaledis.core import statistics
from scaledis.report import scores
from scaledis.report.pictures.canvas import COLORS, FAINT, INK, MUTED, RULE, canvas, fit, panel
from scaledis.report.pictures.figures import SHARE
from scaledis.report.summary import Summary, mixed, shown
from scaledis.sweeps import starts
from scaledis.types import Run
from scaledis.workdir.log import last_mean

ELBO = "ELBO, nats"  # averaged over the last part of the log
PANELS = 4  # scores that are drawn
LEFT, GAP, TOP, BOTTOM = 0.75, 0.5, 0.45, 0.55  # inches around a panel
CELL = 0.62  # inches of a heat map's cell
LINE = 2.4, 1.8  # inches of a panel with a line


class Axis(NamedTuple):
    """A key that is swept: its values in order, and the place of each run's value among them."""

    key: str
    values: list[Any]
    place: Mapping[str, int]


def figure(runs: Sequence[Run], summaries: Sequence[Summary]) -> Figure | None:
    """The scores and the ELBO over the swept keys; None unless one or two keys are swept and a run has scores.

    One key: a line over its values, the mean over the runs of a value, with the band of its 95 % t interval; over
    words, such as methods, points with bars. Two keys: a heat map of the means, with a ring around the best value of
    each column; over the capacity (model.parameters) and the granularity (method.block) the rings of the ELBO draw the
    V of Disentangling Granularity.

    Args:
      runs: the runs of the plan.
      summaries: the summaries of the runs that have begun. Runs that diverged are left out, and so are undecided
        starts, which are no seeds.
    """
    axes, known = swept(runs), []
    for run in (run for run in summaries if not run.undecided and run.diverged_at is None):
        elbo = last_mean(run.records, "elbo_nats")
        known.append(run._replace(scores={ELBO: np.nan if elbo is None else elbo, **run.scores}))
    names = [name for name in scores.names(known) if _values(known, name)][:PANELS]
    if not 1 <= len(axes) <= 2 or not names:
        return None
    one, across = len(axes) == 1, len(axes[0].values)
    draw, (width, height) = (_line, LINE) if one else (_heat_map, (CELL * across, CELL * len(axes[1].values)))
    title, room = f"The sweep of {' and '.join(_short(axis.key) for axis in axes)}", len(names) * (LEFT + width + GAP)
    found = canvas(max(room, 6), TOP + height + BOTTOM, title, mixed(known))
    for n, name in enumerate(names):
        spot = panel(found, n * (LEFT + width + GAP) + LEFT, TOP, width, height)
        spot.set_title(fit(name, width, 9), size=9, color=INK, loc="left")
        draw(spot, known, name, *axes)
    return found


def swept(runs: Sequence[Run]) -> list[Axis]:
    """The keys in which runs differ, most values first, without the seed and the keys whose value another determines.

    Numbers are in ascending order, other values in the order of the plan.
    """
    axes = []
    for key, column in differing(run.config for run in runs).items():
        values = list(dict.fromkeys(column))
        if all(isinstance(value, int | float) for value in values):
            values.sort()
        if key not in ("seed", starts.KEY):
            places = {run.name: values.index(value) for run, value in zip(runs, column, strict=True)}
            axes.append(Axis(key, values, places))
    kept: list[Axis] = []
    for axis in sorted(axes, key=lambda axis: -len(axis.values)):
        pairs = [{(place, axis.place[name]) for name, place in other.place.items()} for other in kept]
        if all(len(found) > len(other.values) for other, found in zip(kept, pairs, strict=True)):
            kept.append(axis)
    return kept


def _values(runs: Sequence[Summary], name: str) -> list[float]:
    return [run.scores[name] for run in runs if np.isfinite(run.scores.get(name, np.nan))]


def _line(spot: Axes, runs: Sequence[Summary], name: str, axis: Axis) -> None:
    """Draws a score over one key, whose values stand at equal distances."""
    groups = [_values([run for run in runs if axis.place[run.name] == n], name) for n in range(len(axis.values))]
    at = [n for n, group in enumerate(groups) if group]
    means = [float(np.mean(groups[n])) for n in at]
    bands = [statistics.interval(groups[n]) or (mean, mean) for n, mean in zip(at, means, strict=True)]
    words = any(isinstance(value, str) for value in axis.values)
    if words:
        spot.vlines(at, *np.transpose(bands), color=COLORS[0], linewidth=3, alpha=0.3)
        spot.margins(x=0.3 / len(at))
    else:
        spot.fill_between(at, *np.transpose(bands), color=COLORS[0], alpha=0.18, linewidth=0)
    spot.plot(at, means, color=COLORS[0], marker="o", markersize=3.5, linestyle="none" if words else "-")
    for n in at:
        spot.plot([n] * len(groups[n]), groups[n], ".", color=FAINT, markersize=3, zorder=1)
    spot.set_xticks(range(len(axis.values)), [_tick(value) for value in axis.values])
    if words:
        spot.tick_params("x", rotation=20)
    spot.set_xlabel(_short(axis.key), size=8, color=MUTED)
    spot.grid(axis="y", color=RULE, linewidth=0.5)


def _heat_map(spot: Axes, runs: Sequence[Summary], name: str, across: Axis, down: Axis) -> None:
    """Draws the means of a score over two keys, with a ring around the best cell of each column if more is better."""
    means = np.full((len(down.values), len(across.values)), np.nan)
    for row, column in np.ndindex(means.shape):
        members = [run for run in runs if (down.place[run.name], across.place[run.name]) == (row, column)]
        if values := _values(members, name):
            means[row, column] = np.mean(values)
    spot.imshow(means, SHARE, aspect="auto", origin="lower")
    low, high = np.nanmin(means), np.nanmax(means)
    for (row, column), mean in np.ndenumerate(means):
        dark = mean > low + 0.55 * (high - low)
        words = "–" if np.isnan(mean) else f"{mean:.3g}" if abs(mean) < 100 else f"{mean:.0f}"
        color = "white" if dark else INK
        spot.text(column, row, words.replace("-", "−"), size=8, color=color, ha="center", va="center")
    if name == ELBO or scores.more_is_better(name):
        columns = np.flatnonzero(np.isfinite(means).any(axis=0))
        best = np.nanargmax(means[:, columns], axis=0)
        spot.plot(columns, best, "o-", color=COLORS[1], markersize=26, markerfacecolor="none", linewidth=0.8, alpha=0.8)
    spot.set_xticks(range(len(across.values)), [_tick(value) for value in across.values])
    spot.set_yticks(range(len(down.values)), [_tick(value) for value in down.values])
    spot.set_xlabel(_short(across.key), size=8, color=MUTED)
    spot.set_ylabel(_short(down.key), size=8, color=MUTED)


def _short(key: str) -> str:
    section, _, name = key.rpartition(".")
    return section if name == "name" else name


def _tick(value: Any) -> str:
    return fit(shown(value), 0.9, 8)
