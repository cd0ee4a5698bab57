"""The figures of a report: what each run learned and how it trained, as matplotlib figures without any global state.

Every figure takes `runs` (see `Summary`) and the name of the data set, and leaves out the runs that lack what it draws;
when none is left it says so in words. Levels are drawn top (deepest, most global) to bottom, the order of the codes.
"""

import io
import itertools
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from scaledis.report import fonts

DPI = 160
INK, MUTED, FAINT, RULE = "#1c1c1e", "#6f6f76", "#b0b0b8", "#d0d0d6"
COLORS = ("#0b6fb8", "#d1495b", "#2a9d6f", "#e09f1f", "#7b5ea7", "#4cb5c4", "#8c5a3c", "#e377b4", "#8a8a00", "#555566")
SHARE = LinearSegmentedColormap.from_list("share", ["#f6f7fa", "#c3d6ea", "#5f9bcb", "#0b5fa5", "#083a6b"])
MARGIN, HEADER = 0.3, 0.62  # inches around a figure, and of its title and subtitle
LEVEL = re.compile(r"_level_?(\d+)")
CELL_WIDTH, CELL_HEIGHT, LEVEL_GAP = 0.42, 0.26, 0.54  # a heat map's, in inches; the gap in cells
WIDEST = 14.6  # inches; wider rows of panels wrap


class Summary(NamedTuple):
    """What is known of one run; everything but its names may be missing."""

    name: str  # short and unique: "scale_vlae, seed 0"
    setting: str  # runs of one setting differ in the seed alone: they share a color and a mean
    dataset: str = ""
    images: int = 0  # of the data set
    factor_names: tuple[str, ...] = ()
    codes: str = ""  # how many were scored
    split: str = ""  # of the images that they were made of
    backend: str = ""  # the classifier behind DCI
    allocation: tuple[int, ...] = ()  # units per level, top to bottom; K in all
    scores: Mapping[str, float] = MappingProxyType({})  # metric -> score: "DCI-D", "DCI-C", "MIG"
    diverged_at: int | None = None  # the step at which the run was frozen
    records: Sequence[Mapping[str, float]] = ()  # the training log: {"step": 100, "loss_nats": 71.5, ...}
    kl: Any = None  # [K] nats per image
    shares: Any = None  # [K, F] mutual information of unit and factor over the factor's entropy, 0 to 1
    traversals: Any = None  # [K, S, H, W, C] uint8, or float in 0 to 1
    originals: Any = None  # [N, H, W, C]
    reconstructions: Any = None  # [N, H, W, C]


def unit_names(allocation: Sequence[int]) -> list[str]:
    """Labels `z_{l,j}` of the units in the order of the codes: level l counts from the bottom, unit j from 1."""
    levels = range(len(allocation), 0, -1)
    return [f"$z_{{{level},{j}}}$" for level, size in zip(levels, allocation, strict=True) for j in range(1, size + 1)]


def check_units(run: Summary, array: np.ndarray) -> None:
    """Raises ValueError unless the first axis of `array` has one row for each unit of the run's allocation."""
    if len(array) != sum(run.allocation):
        raise ValueError(f"run {run.name!r}: {len(array)} units do not fit the allocation {tuple(run.allocation)}.")


def fit(text: str, inches: float, size: float, em: float = 0.52) -> str:
    """`text`, cut with an ellipsis to about `inches` at `size` points, if a letter is `em` wide (0.6 in bold)."""
    room = int(inches * 72 / (em * size))
    if fonts.width(text) <= room:
        return text
    while text and fonts.width(text) >= room:
        text = text[:-1]
    return text + "…"


def canvas(width: float, height: float, title: str, subtitle: str) -> Figure:
    """A figure with a heading, `height` inches of room below it and `width` inches between its margins."""
    figure = Figure((width + 2 * MARGIN, height + HEADER + 2 * MARGIN), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    x, top, inch = MARGIN / figure.get_figwidth(), 1 - MARGIN / figure.get_figheight(), 1 / figure.get_figheight()
    figure.text(x, top, title, size=13, weight="bold", color=INK, va="top")
    figure.text(x, top - 0.28 * inch, fit(subtitle, width, 9), size=9, color=MUTED, va="top")
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Bare axes, placed in inches from the left margin and from the bottom of the heading."""
    full_width, full_height = figure.get_size_inches()
    bottom = full_height - MARGIN - HEADER - top - height
    left, bottom = (MARGIN + left) / full_width, bottom / full_height
    axes = figure.add_axes((left, bottom, width / full_width, height / full_height))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    return axes


def empty(title: str, dataset: str, reason: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = canvas(6, 0.5, title, dataset)
    figure.text(0.5, 0.2, reason, size=9, color=MUTED, ha="center")
    return figure


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file, `DPI` pixels an inch."""
    buffer = io.BytesIO()
    fonts.settle(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # said in words
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def mutual_information(runs: Sequence[Summary], dataset: str) -> Figure:
    """Heat maps, runs side by side: units by level down, factors across, each cell the share of the factor's entropy.

    Raises:
      ValueError: `shares` of a run is not [K, F].
    """
    title, runs = "Which unit knows which factor", [run for run in runs if run.shares is not None and run.factor_names]
    if not runs:
        return empty(title, dataset, "No run was measured against factors.")
    left, top, map_width = 0.86, 1.05, CELL_WIDTH * max(len(run.factor_names) for run in runs)
    rows = [sum(run.allocation) + LEVEL_GAP * (len(run.allocation) - 1) for run in runs]
    width, height = left + map_width + 0.25, top + CELL_HEIGHT * max(rows) + 0.25
    across = min(len(runs), max(1, int(WIDEST / width)))
    subtitle = f"{dataset} · mutual information, in percent of the factor's entropy"
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
    factors, units, labels, ticks = len(run.factor_names), 0, unit_names(run.allocation), []
    for depth, size in enumerate(run.allocation):
        y, level = units + depth * LEVEL_GAP, len(run.allocation) - depth
        shares = run.shares[units : units + size]
        axes.imshow(shares, SHARE, vmin=0, vmax=1, extent=(0, factors, y + size, y), aspect="auto")
        axes.text(left, y + size / 2, f"level {level}", size=8, color=MUTED, va="center")
        for (unit, factor), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else INK if share >= 0.1 else FAINT
            value, spot = "–" if np.isnan(share) else f"{100 * share:.0f}", (factor + 0.5, y + unit + 0.52)
            axes.text(*spot, value, size=7.5, color=color, ha="center", va="center")
        ticks += list(y + 0.5 + np.arange(size))
        units += size
    axes.set(xlim=(0, factors), ylim=(units + (len(run.allocation) - 1) * LEVEL_GAP, 0))
    axes.set_yticks(ticks, labels, size=10, math_fontfamily=fonts.MATH, color=INK)
    axes.xaxis.tick_top()
    names = [fit(name, 0.95, 8) for name in run.factor_names]
    axes.set_xticks(np.arange(factors) + 0.5, names, rotation=45, ha="left", rotation_mode="anchor", color=INK)


def losses(runs: Sequence[Summary], dataset: str) -> Figure:
    """The terms of the loss (keys that end in `_nats`) over the steps: a panel a term, a row for the levels of a term.

    A full line is a method's mean over the runs that go on, a light one a run; a cross marks where a run diverged.
    """
    title, runs = "Training", [run for run in runs if run.records]
    rows = _rows_of_terms(dict.fromkeys(key for run in runs for record in run.records for key in record))
    if not rows:
        return empty(title, dataset, "No loss was logged.")
    across, height = max(map(len, rows)), 2.2
    width = min(3.1, WIDEST / across)
    figure = canvas(max(width * across, 6), 0.2 + height * len(rows), title, f"{dataset} · nats per image, over steps")
    colors = dict(zip(dict.fromkeys(run.setting for run in runs), itertools.cycle(COLORS)))
    for y, terms in enumerate(rows):
        for x, term in enumerate(terms):
            axes = panel(figure, x * width + 0.35, y * height + 0.6, width - 0.6, height - 0.7)
            axes.set_title(_words(term), size=9, color=INK, loc="left")
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


def _rows_of_terms(keys: Iterable[str]) -> list[list[str]]:
    """Terms arranged in rows of panels: those without levels, four a row, then a row for the levels of each other."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        if key.endswith("_nats"):
            groups.setdefault(LEVEL.sub("", key), []).append(key)
    single = [terms[0] for terms in groups.values() if len(terms) == 1]
    levels = [sorted(terms, reverse=True) for terms in groups.values() if len(terms) > 1]
    return [single[n : n + 4] for n in range(0, len(single), 4)] + levels


def _words(term: str) -> str:
    """A term's key in words: "kl_level4_nats" is "KL, level 4"."""
    words = LEVEL.sub(r", level \1", term.removesuffix("_nats")).replace("_", " ")
    return re.sub(r"\b(kl|tc|mi|elbo)\b", lambda match: match[0].upper(), words)


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
