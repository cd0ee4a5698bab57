"""The figures of a report: what each run learned and how it trained, as matplotlib figures without any global state.

Every figure takes `runs` (see `Summary`), says what they are of, and leaves out the runs that lack what it draws; when
none is left it says so in words. Levels are drawn top (deepest, most global) to bottom, the order of the codes.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from scaledis.report import content, scores
from scaledis.report.content import Curves, Level, curves, heat_map, levels, rows_of_terms, words
from scaledis.report.pictures.canvas import COLORS, FAINT, HEADER, INK, MARGIN, MUTED, RULE, canvas, empty, fit, panel
from scaledis.report.pictures.canvas import png as png
from scaledis.report.pictures.fonts import MATH
from scaledis.report.summary import Summary, measured, source, units

SHARE = LinearSegmentedColormap.from_list("share", ["#f6f7fa", "#c3d6ea", "#5f9bcb", "#0b5fa5", "#083a6b"])
CELL_WIDTH, CELL_HEIGHT, LEVEL_GAP = 0.42, 0.26, 0.54  # a heat map's, in inches; the gap in cells
LEFT, BAR = 0.86, 2.2  # inches: the names of levels and units, a bar of an edit
PADS = ("borderpad", "borderaxespad")  # of a legend
WIDEST = 14.6  # inches; wider rows of panels wrap


def unit_names(allocation: Sequence[int]) -> list[str]:
    """Labels `z_{l,j}` of the units in the order of the codes: level l counts from the bottom, unit j from 1."""
    return [f"$z_{{{level},{place}}}$" for level, place in units(allocation)]


def mutual_information(runs: Sequence[Summary]) -> Figure:
    """Heat maps, runs side by side: units by level down, factors across, each cell the share of the factor's entropy.

    Raises:
      ValueError: `shares` of a run is not [K, F].
    """
    title, top, maps = "Which unit knows which factor", 1.05, [(run, each) for run in runs if (each := heat_map(run))]
    if not maps:
        return empty(title, source(runs), "No run was measured against factors.")
    about = "mutual information, in percent of the factor's entropy"
    widths = [CELL_WIDTH * len(found.factors) for _, found in maps]
    figure, panels, width = _beside(title, about, [run for run, _ in maps], widths, top, 0.25, 0.25)
    for axes, (run, found) in zip(panels, maps, strict=True):
        count = len(found.factors)
        for level, y in _centers(run):
            shares = found.shares[level.units]
            axes.imshow(shares, SHARE, vmin=0, vmax=1, extent=(0, count, y[-1] + 0.5, y[0] - 0.5), aspect="auto")
            axes.text(-LEFT / CELL_WIDTH, float(np.mean(y)), f"level {level.number}", size=8, color=MUTED, va="center")
            for (unit, factor), share in np.ndenumerate(shares):
                color = "white" if share > 0.5 else INK if share >= 0.1 else FAINT
                value = "–" if np.isnan(share) else f"{100 * share:.0f}"
                axes.text(factor + 0.5, float(y[unit]) + 0.02, value, size=7.5, color=color, ha="center", va="center")
        axes.set_xlim(0, count)
        axes.xaxis.tick_top()
        names = [fit(name, 0.95, 8) for name in found.factors]
        axes.set_xticks(np.arange(count) + 0.5, names, rotation=45, ha="left", rotation_mode="anchor", color=INK)
        _name(axes, run, fit(run.name, width - 0.2, 10, em=0.6), -LEFT / CELL_WIDTH, top)
    return figure


def edits(runs: Sequence[Summary]) -> Figure:
    """Draws edit selectivity, runs side by side: a bar for each unit, a number for each level and each run.

    The dark part of a bar is the share of the unit's own factor in the changes; the factor's name is beside the bar.
    """
    title, top, measured = "How selective an edit is", 0.5, [(r, found) for r in runs if (found := content.edits(r))]
    if not measured:
        return empty(title, source(runs), "No run's edits were measured.")
    about = "share of the edited unit's own factor in all changes of factors"
    figure, panels, width = _beside(title, about, [run for run, _ in measured], [BAR] * len(measured), top, 1.6, 0.3)
    for axes, (run, found) in zip(panels, measured, strict=True):
        for level, y in _centers(run):
            words = f"level {level.number}\n{_percent(found.levels[level.number - 1])}"
            axes.text(-LEFT / BAR, float(np.mean(y)), words, size=8, color=MUTED, va="center")
            for place, edit in zip(y, (found.units[unit] for unit in level.units), strict=True):
                axes.barh(place, 1, 0.7, color=RULE)
                axes.barh(place, edit and edit.own or 0, 0.7, color=COLORS[0])
                words = "–" if edit is None or edit.own is None else f"{_percent(edit.own)} {edit.factor}"
                axes.text(1.03, place, fit(words, 1.5, 8), size=8, color=INK, va="center")
        axes.set(xlim=(0, 1), xticks=[])
        _name(axes, run, f"{fit(run.name, width - 0.8, 10, em=0.6)}  {_percent(found.all)}", -LEFT / BAR, top)
    return figure


def _beside(
    title: str, about: str, runs: Sequence[Summary], widths: Sequence[float], top: float, right: float, bottom: float
) -> tuple[Figure, list[Axes], float]:
    """A figure with a panel for each run, with room around it for names, and the inches that a run takes."""
    rows = [_centers(run)[-1][1][-1] + 0.5 for run in runs]
    width, height = LEFT + max(widths) + right, top + CELL_HEIGHT * max(rows) + bottom
    across = min(len(runs), max(1, int(WIDEST / width)))
    figure = canvas(max(width * across, 6), height * -(-len(runs) // across), title, f"{measured(runs)} · {about}")
    spots = [(n % across * width + LEFT, n // across * height + top) for n in range(len(runs))]
    sizes = zip(spots, widths, rows, strict=True)
    return figure, [panel(figure, *spot, wide, CELL_HEIGHT * row) for spot, wide, row in sizes], width


def _centers(run: Summary) -> list[tuple[Level, np.ndarray]]:
    """The levels of a run, top first, and the center of each of their units' rows, in rows from the top."""
    return [(level, np.array(level.units) + 0.5 + n * LEVEL_GAP) for n, level in enumerate(levels(run.allocation))]


def _name(axes: Axes, run: Summary, words: str, left: float, top: float) -> None:
    """Writes the words above a panel, `top` inches above its edge, and the names of units beside its rows."""
    centers = np.concatenate([y for _, y in _centers(run)])
    axes.set_ylim(centers[-1] + 0.5, 0)
    axes.set_yticks(centers, unit_names(run.allocation), size=10, math_fontfamily=MATH, color=INK)
    axes.text(left, (0.1 - top) / CELL_HEIGHT, words, size=10, weight="bold", color=INK, va="top")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def losses(runs: Sequence[Summary]) -> Figure:
    """The terms of the loss (keys that end in `_nats`) over the steps: a panel a term, a row for the levels of a term.

    A full line is the mean over a setting's runs that go on, a light one a run; a cross marks where a run diverged.
    """
    title, rows, settings = "Training", rows_of_terms(runs), scores.by_setting([run for run in runs if run.records])
    if not rows:
        return empty(title, source(runs), "No loss was logged.")
    across, height = max(map(len, rows)), 2.2
    width = min(3.1, WIDEST / across)
    logged = [run for run in runs if run.records]
    about = f"{source(logged)} · nats per image, over steps"
    figure = canvas(max(width * across, 6), 0.2 + height * len(rows), title, about)
    colors = dict(zip(settings, itertools.cycle(COLORS)))
    found = {setting: curves(members, itertools.chain(*rows)) for setting, members in settings.items()}
    for y, terms in enumerate(rows):
        for x, term in enumerate(terms):
            axes = panel(figure, x * width + 0.35, y * height + 0.6, width - 0.6, height - 0.7)
            axes.set_title(words(term), size=9, color=INK, loc="left")
            for setting, members in settings.items():
                _curves(axes, members, found[setting], term, colors[setting])
            _scale(axes)
    place = MARGIN / figure.get_figwidth(), 1 - (MARGIN + HEADER - 0.08) / figure.get_figheight()
    handles = [Line2D([], [], color=color) for color in colors.values()]
    style = {"frameon": False, "fontsize": 9, "labelcolor": INK, "handlelength": 1.4} | dict.fromkeys(PADS, 0)
    legend = figure.legend(handles, ["-"] * len(handles), loc="upper left", bbox_to_anchor=place, ncols=4, **style)
    for text, setting in zip(legend.get_texts(), colors, strict=True):
        text.set_text(setting)  # as a label, one that begins with "_" would be left out
    return figure


def _curves(axes: Axes, runs: Sequence[Summary], found: Curves, term: str, color: str) -> None:
    """Draws the runs of one setting and their mean."""
    for run, line in zip(runs, found.values[term], strict=True):
        seen = np.flatnonzero(np.isfinite(line))
        if len(runs) > 1:
            axes.plot(found.steps[seen], line[seen], color=color, alpha=0.3, linewidth=0.8)
        if run.diverged_at is not None and len(seen):
            axes.plot(found.steps[seen[-1]], line[seen[-1]], "x", color=color, markersize=6)
    mean = found.mean(term)
    seen = np.isfinite(mean)
    axes.plot(found.steps[seen], mean[seen], color=color, linewidth=1.3)


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
