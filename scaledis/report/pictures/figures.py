"""The figures of a report: what each run learned and how it trained, as matplotlib figures without any global state.

Every figure takes `runs` (see `Summary`), says what they are of, and leaves out the runs that lack what it draws; when
none is left it says so in words. Levels are drawn top (deepest, most global) to bottom, the order of the codes.
"""

import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from scaledis.report.pictures.canvas import (
    COLORS,
    FAINT,
    HEADER,
    INK,
    MARGIN,
    MUTED,
    RULE,
    canvas,
    empty,
    fit,
    panel,
    png,
)
from scaledis.report.pictures.fonts import MATH
from scaledis.report.summary import Summary, check_units, selectivity, source, units

__all__ = [
    "COLORS",
    "INK",
    "MUTED",
    "RULE",
    "canvas",
    "empty",
    "fit",
    "panel",
    "png",
]  # for the scripts of experiments/

SHARE = LinearSegmentedColormap.from_list("share", ["#f6f7fa", "#c3d6ea", "#5f9bcb", "#0b5fa5", "#083a6b"])
LEVEL = re.compile(r"_level_?(\d+)")
CELL_WIDTH, CELL_HEIGHT, LEVEL_GAP = 0.42, 0.26, 0.54  # a heat map's, in inches; the gap in cells
WIDEST = 14.6  # inches; wider rows of panels wrap


def unit_names(allocation: Sequence[int]) -> list[str]:
    """Labels `z_{l,j}` of the units in the order of the codes: level l counts from the bottom, unit j from 1."""
    return [f"$z_{{{level},{place}}}$" for level, place in units(allocation)]


def mutual_information(runs: Sequence[Summary]) -> Figure:
    """Heat maps, runs side by side: units by level down, factors across, each cell the share of the factor's entropy.

    Raises:
      ValueError: `shares` of a run is not [K, F].
    """
    title, given = "Which unit knows which factor", runs
    runs = [run for run in given if run.shares is not None and run.factor_names]
    if not runs:
        return empty(title, source(given), "No run was measured against factors.")
    left, top, map_width = 0.86, 1.05, CELL_WIDTH * max(len(run.factor_names) for run in runs)
    rows = [sum(run.allocation) + LEVEL_GAP * (len(run.allocation) - 1) for run in runs]
    width, height = left + map_width + 0.25, top + CELL_HEIGHT * max(rows) + 0.25
    across = min(len(runs), max(1, int(WIDEST / width)))
    subtitle = f"{source(runs)} · mutual information, in percent of the factor's entropy"
    figure = canvas(max(width * across, 6), height * -(-len(runs) // across), title, subtitle)
    for n, run in enumerate(runs):
        check_units(run, run.shares)
        if run.shares.shape[1] != len(run.factor_names):
            raise ValueError(f"run {run.name!r}: {run.shares.shape[1]} factors, {len(run.factor_names)} factor names.")
        spot = n % across * width + left, n // across * height + top
        axes = panel(figure, *spot, CELL_WIDTH * len(run.factor_names), CELL_HEIGHT * rows[n])
        _heat_map(axes, run, -left / CELL_WIDTH)
        name = fit(run.name, width - 0.2, 10, em=0.6)
        axes.text(-left / CELL_WIDTH, (0.1 - top) / CELL_HEIGHT, name, size=10, weight="bold", color=INK, va="top")
    return figure


def _heat_map(axes: Axes, run: Summary, left: float) -> None:
    """Draws one run in units of cells: x the factors, y the units; the names of levels start at `left`."""
    factors, above, labels, ticks = len(run.factor_names), 0, unit_names(run.allocation), []
    for depth, size in enumerate(run.allocation):
        y, level = above + depth * LEVEL_GAP, len(run.allocation) - depth
        shares = run.shares[above : above + size]
        axes.imshow(shares, SHARE, vmin=0, vmax=1, extent=(0, factors, y + size, y), aspect="auto")
        axes.text(left, y + size / 2, f"level {level}", size=8, color=MUTED, va="center")
        for (unit, factor), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else INK if share >= 0.1 else FAINT
            value, spot = "–" if np.isnan(share) else f"{100 * share:.0f}", (factor + 0.5, y + unit + 0.52)
            axes.text(*spot, value, size=7.5, color=color, ha="center", va="center")
        ticks += list(y + 0.5 + np.arange(size))
        above += size
    axes.set(xlim=(0, factors), ylim=(above + (len(run.allocation) - 1) * LEVEL_GAP, 0))
    axes.set_yticks(ticks, labels, size=10, math_fontfamily=MATH, color=INK)
    axes.xaxis.tick_top()
    names = [fit(name, 0.95, 8) for name in run.factor_names]
    axes.set_xticks(np.arange(factors) + 0.5, names, rotation=45, ha="left", rotation_mode="anchor", color=INK)


def edits(runs: Sequence[Summary]) -> Figure:
    """Edit selectivity, runs side by side, a flat one beside a ladder: a bar a unit, a number a level and a run.

    The dark part of a bar is the share of the changes that is the unit's own factor, which stands beside it.
    """
    title, given = "How selective an edit is", runs
    runs = [run for run in given if run.changes is not None]
    if not runs:
        return empty(title, source(given), "No run's edits were measured.")
    left, bar, right, top = 0.86, 2.2, 1.6, 0.5
    rows = [sum(run.allocation) + LEVEL_GAP * (len(run.allocation) - 1) for run in runs]
    width, height = left + bar + right, top + CELL_HEIGHT * max(rows) + 0.3
    across = min(len(runs), max(1, int(WIDEST / width)))
    subtitle = f"{source(runs)} · share of the factor changes that is the edited unit's own factor"
    figure = canvas(max(width * across, 6), height * -(-len(runs) // across), title, subtitle)
    for n, run in enumerate(runs):
        check_units(run, run.changes)
        axes = panel(figure, n % across * width + left, n // across * height + top, bar, CELL_HEIGHT * rows[n])
        _bars(axes, run, -left / bar)
        words = f"{fit(run.name, width - 0.8, 10, em=0.6)}  {_percent(selectivity(run, range(sum(run.allocation))))}"
        axes.text(-left / bar, (0.1 - top) / CELL_HEIGHT, words, size=10, weight="bold", color=INK, va="top")
    return figure


def _bars(axes: Axes, run: Summary, left: float) -> None:
    """Draws the bars of one run: x from 0 to 1, y in units; the names of levels start at `left`."""
    first, ticks = 0, []
    for depth, size in enumerate(run.allocation):
        members, level = range(first, first + size), len(run.allocation) - depth
        places = [unit + 0.5 + depth * LEVEL_GAP for unit in members]
        words = f"level {level}\n{_percent(selectivity(run, members))}"
        axes.text(left, float(np.mean(places)), words, size=8, color=MUTED, va="center")
        for unit, y in zip(members, places, strict=True):
            share = selectivity(run, [unit])
            axes.barh(y, 1, 0.7, color=RULE)
            axes.barh(y, share or 0, 0.7, color=COLORS[0])
            words = "–" if share is None else f"{_percent(share)} {run.edited[unit]}"
            axes.text(1.03, y, fit(words, 1.5, 8), size=8, color=INK, va="center")
        ticks += places
        first += size
    axes.set(xlim=(0, 1), ylim=(first + (len(run.allocation) - 1) * LEVEL_GAP, 0), xticks=[])
    axes.set_yticks(ticks, unit_names(run.allocation), size=10, math_fontfamily=MATH, color=INK)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def losses(runs: Sequence[Summary]) -> Figure:
    """The terms of the loss (keys that end in `_nats`) over the steps: a panel a term, a row for the levels of a term.

    A full line is a method's mean over the runs that go on, a light one a run; a cross marks where a run diverged.
    """
    title, given = "Training", runs
    runs = [run for run in given if run.records]
    rows = rows_of_terms(dict.fromkeys(key for run in runs for record in run.records for key in record))
    if not rows:
        return empty(title, source(given), "No loss was logged.")
    across, height = max(map(len, rows)), 2.2
    width = min(3.1, WIDEST / across)
    figure = canvas(
        max(width * across, 6), 0.2 + height * len(rows), title, f"{source(runs)} · nats per image, over steps"
    )
    colors = dict(zip(dict.fromkeys(run.setting for run in runs), itertools.cycle(COLORS)))
    for y, terms in enumerate(rows):
        for x, term in enumerate(terms):
            axes = panel(figure, x * width + 0.35, y * height + 0.6, width - 0.6, height - 0.7)
            axes.set_title(words(term), size=9, color=INK, loc="left")
            for method, color in colors.items():
                _curves(axes, [run for run in runs if run.setting == method], term, color)
            _scale(axes)
    place = MARGIN / figure.get_figwidth(), 1 - (MARGIN + HEADER - 0.08) / figure.get_figheight()
    handles = [Line2D([], [], color=color) for color in colors.values()]
    style = {
        "frameon": False,
        "fontsize": 9,
        "labelcolor": INK,
        "borderpad": 0,
        "borderaxespad": 0,
        "handlelength": 1.4,
    }
    legend = figure.legend(handles, ["-"] * len(handles), loc="upper left", bbox_to_anchor=place, ncols=4, **style)
    for text, method in zip(legend.get_texts(), colors, strict=True):
        text.set_text(method)  # as a label, one that begins with "_" would be left out
    return figure


def rows_of_terms(keys: Iterable[str]) -> list[list[str]]:
    """Terms arranged in rows of panels: those without levels, four a row, then a row for the levels of each other."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        if key.endswith("_nats"):
            groups.setdefault(LEVEL.sub("", key), []).append(key)
    single = [terms[0] for terms in groups.values() if len(terms) == 1]
    levels = [sorted(terms, reverse=True) for terms in groups.values() if len(terms) > 1]
    return [single[n : n + 4] for n in range(0, len(single), 4)] + levels


def words(term: str) -> str:
    """A term's key in words: "kl_level4_nats" is "KL, level 4"."""
    text = LEVEL.sub(r", level \1", term.removesuffix("_nats")).replace("_", " ")
    return re.sub(r"\b(kl|tc|mi|elbo)\b", lambda match: match[0].upper(), text)


def _curves(axes: Axes, runs: Sequence[Summary], term: str, color: str) -> None:
    """Draws one method's runs and their mean; a step logged twice (a resumed run) counts once, the last time."""
    curves = [{record["step"]: record[term] for record in run.records if record.get(term) is not None} for run in runs]
    steps = sorted(set().union(*curves))
    values = np.array([[curve.get(step, np.nan) for step in steps] for curve in curves], float).reshape(len(runs), -1)
    values[~np.isfinite(values)] = np.nan
    for run, line in zip(runs, values, strict=True):
        seen = np.flatnonzero(np.isfinite(line))
        if len(runs) > 1:
            axes.plot(np.array(steps)[seen], line[seen], color=color, alpha=0.3, linewidth=0.8)
        if run.diverged_at is not None and len(seen):
            axes.plot(steps[seen[-1]], line[seen[-1]], "x", color=color, markersize=6)
    alive = np.isfinite(values).any(0)
    axes.plot(np.array(steps)[alive], np.nanmean(values[:, alive], axis=0), color=color, linewidth=1.3)


def _scale(axes: Axes) -> None:
    """Logarithmic if the values are positive and span a factor of 20, else linear without the first steep steps."""
    drawn = [np.asarray(line.get_xydata()) for line in axes.lines]
    points = np.concatenate([line for line in drawn if len(line)] or [np.zeros((1, 2))])
    last, values = points[:, 0].max(), points[:, 1]
    if values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(values.min() / 1.2, values.max() / 1e4))
        axes.yaxis.set(major_locator=LogLocator(subs=(1, 3)), minor_locator=NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        settled = values[points[:, 0] >= 0.05 * last]
        room = 0.05 * (np.ptp(settled) or 1)
        axes.set_ylim(settled.min() - room, settled.max() + room)
    axes.set_xlim(0, last or 1)
    axes.xaxis.set(major_locator=MaxNLocator(5, steps=[1, 2, 5, 10]), major_formatter=EngFormatter(sep=""))
    axes.grid(axis="y", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
