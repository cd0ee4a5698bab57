"""The picture of a search: best so far or Pareto front, the importance of each key, and the trials over the keys."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from scaledis.report import search
from scaledis.report.pictures.canvas import COLORS, FAINT, INK, MUTED, RULE, canvas, fit, panel
from scaledis.report.search import Parallel
from scaledis.workdir.trials import Trials

HUE, WARM = COLORS[0], COLORS[1]
LINES = LinearSegmentedColormap.from_list("lines", ["#e4ebf2", HUE])  # of trials, the best strongest
MARKERS = {"pruned": "x", "failed": "P", "running": "o"}  # of trials without a value, which lie below the others
BELOW = -0.09  # of the height of a panel
LEFT, GAP, TOP, FOOT, HEIGHT = 0.9, 0.5, 0.35, 0.75, 2.3  # inches around a panel, and of one
WIDTH, NAMES, BAR, ROW = 5.2, 1.6, 1.4, 0.24  # inches of a panel of values, of the names of keys, of a bar
STEP = 1.25  # inches between axes


def figure(found: Trials) -> Figure:
    """The search as one figure, as the page draws it; its colors are those of the first objective."""
    across, counts, done = search.parallel(found), search.importance(found), search.complete(found)
    panels, bars = max(1, len(found.objectives) - 1), max(1, sum(len(keys) + 1 for keys in counts.values()))
    beside = panels * (LEFT + WIDTH) + NAMES
    steps = max(STEP * (len(across.words) - 1), beside + BAR - LEFT)
    lower = TOP + max(HEIGHT, ROW * bars) + FOOT
    width = max(beside + BAR + GAP, LEFT + steps + GAP)
    made = canvas(width, lower + HEIGHT if done else lower, "The search", search.counted(found))
    for n in range(panels):
        spot = panel(made, n * (LEFT + WIDTH) + LEFT, TOP, WIDTH, HEIGHT)
        if len(found.objectives) == 1:
            _values(spot, found, across)
        else:
            _scatter(spot, found, across, n + 1)
    _bars(panel(made, beside, TOP, BAR, ROW * bars), counts)
    if done:
        _lines(panel(made, LEFT, lower, steps, HEIGHT - 0.2), found, across)
    return made


def _values(spot: Axes, found: Trials, across: Parallel) -> None:
    """Draws the value of each trial in their order, and the best so far."""
    value = len(found.space)
    x = {trial.number: across.numbers.place(trial.number) for trial in found.trials}
    y = {trial.number: places[value] for trial, places in zip(found.trials, across.places, strict=True)}
    done, best = ([trial.number for trial in some] for some in (search.complete(found), search.best_so_far(found)))
    spot.plot(*np.array([(x[n], y[n]) for n in done], float).reshape(-1, 2).T, "o", color=FAINT, markersize=4)
    for state, marker in MARKERS.items():
        at = np.array([x[trial.number] for trial in found.trials if trial.state == state], float)
        label = state if len(at) else ""
        spot.plot(at, 0 * at + BELOW, marker, label=label, color=MUTED, markerfacecolor="none", markersize=4.5)
    if best:
        line = np.array([*((x[n], y[n]) for n in best), (1, y[best[-1]])], float)
        spot.plot(*line.T, color=WARM, drawstyle="steps-post", linewidth=1.6, label="best so far")
    spot.set_title(f"{across.words[value]} over the trials", size=9, color=INK, loc="left", pad=8)
    spot.set(xlim=(-0.02, 1.02), ylim=(BELOW - 0.06, 1.04))
    spot.set_xticks(*zip(*across.numbers.ticks(), strict=True))
    _ticks(spot, across, value, bool(best))
    if found.trials:
        spot.legend(
            **{"loc": "upper right", "bbox_to_anchor": (1, BELOW), "ncols": 4},
            **{"frameon": False, "fontsize": 8, "labelcolor": MUTED, "handlelength": 1.4, "borderaxespad": 0},
        )


def _scatter(spot: Axes, found: Trials, across: Parallel, other: int) -> None:
    """Draws an objective over the first one, with the Pareto front."""
    first, second = len(found.space), len(found.space) + other
    places = {t.number: (each[first], each[second]) for t, each in zip(found.trials, across.places, strict=True)}
    done, best = (
        np.array([places[trial.number] for trial in several], float).reshape(-1, 2)
        for several in (search.complete(found), search.front(found))
    )
    spot.plot(*done.T, "o", color=FAINT, markersize=4)
    line = "-" if len(found.objectives) == 2 else "none"
    spot.plot(*best.T, "o", color=WARM, markersize=5, drawstyle="steps-post", linestyle=line)
    title = f"{across.words[second]} over {across.words[first]}, and the Pareto front"
    spot.set_title(title, size=9, color=INK, loc="left")
    spot.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xlabel=across.words[first])
    spot.set_xticks(*zip(*across.axes[first].ticks(), strict=True))
    spot.xaxis.label.set(size=8, color=MUTED)
    _ticks(spot, across, second, len(done) > 0)


def _ticks(spot: Axes, across: Parallel, axis: int, known: bool) -> None:
    """Puts the ticks of an objective to the left of a panel, if one has a value."""
    ticks = across.axes[axis].ticks() if known else []
    spot.set_yticks([at for at, _ in ticks], [words for _, words in ticks])
    spot.grid(axis="y", color=RULE, linewidth=0.5)
    spot.set_axisbelow(True)


def _bars(spot: Axes, counts: Mapping[str, Mapping[str, float]]) -> None:
    """Draws the importance of each key for each objective."""
    spot.set_title("Importance of the keys", x=(0.2 - NAMES) / BAR, size=9, color=INK, loc="left", pad=8)
    names, row = [], 0
    for name, keys in counts.items():
        if len(counts) > 1:
            names.append((row, name, MUTED))
            row += 1
        for key, share in keys.items():
            spot.barh(row, 1, 0.7, color=RULE)
            spot.barh(row, share, 0.7, color=HUE)
            spot.text(1.04, row, f"{100 * share:.0f} %", size=8, color=INK, va="center")
            names.append((row, key, INK))
            row += 1
    if not counts:
        spot.text((0.2 - NAMES) / BAR, 0, "It needs more complete trials.", size=8, color=MUTED, va="center")
    spot.set(xlim=(0, 1), ylim=(max(row, 1) - 0.4, -0.6), xticks=[])
    spot.set_yticks([at for at, _, _ in names], [fit(words, NAMES - 0.2, 8) for _, words, _ in names])
    for label, (_, _, color) in zip(spot.get_yticklabels(), names, strict=True):
        label.set_color(color)


def _lines(spot: Axes, found: Trials, across: Parallel) -> None:
    """Draws a line a complete trial, through its value on each axis, the best last."""
    count, places = len(across.words), {t.number: each for t, each in zip(found.trials, across.places, strict=True)}
    strong = search.strengths(found)
    for trial in reversed(search.ranked(found)[: len(search.complete(found))]):
        values = np.array(places[trial.number], float)
        spot.plot(range(count), values, color=LINES(strong[trial.number] ** 2), linewidth=1.1)
    for n, (axis, words) in enumerate(zip(across.axes, across.words, strict=True)):
        spot.plot([n, n], [0, 1], color=MUTED, linewidth=0.7)
        spot.text(n, 1.07, fit(words, STEP - 0.1, 9, 0.6), size=9, weight="bold", color=INK, ha="center")
        for at, tick in axis.ticks():
            style = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.6}
            spot.text(
                n - 0.05, at, fit(tick, 0.65 * STEP, 7.5), size=7.5, color=MUTED, ha="right", va="center", bbox=style
            )
    spot.set(xlim=(0, count - 1), ylim=(-0.03, 1.03), xticks=[], yticks=[])
