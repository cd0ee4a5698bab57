"""What the experiments' figures have in common: runs as dots beside their mean, and scores over the steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments import tables

Runs = Sequence[Mapping[str, Any]]


def dots(
    comparison: str, tier: str, rows: Mapping[str, Mapping[str, Runs]], scores: Sequence[str], file: str = ""
) -> None:
    """A panel a score, a row a setting, in it a color a series of runs: small dots are runs, bars 95 % t intervals."""
    names = list(dict.fromkeys(name for series in rows.values() for name in series))
    size = 2 + 3 * len(scores), 0.9 + 0.22 * max(len(names), 1.5) * len(rows)
    figure, axes = plt.subplots(1, len(scores), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis, score in zip(axes[0], scores, strict=True):
        for place, series in enumerate(rows.values()):
            for name, runs in series.items():
                number, values = names.index(name), [run[score] for run in runs if run[score] is not None]
                y, color = place + (number - (len(names) - 1) / 2) * 0.8 / len(names), f"C{number}"
                if not values:
                    continue
                mean, _, half = tables.interval(values)
                axis.plot(values, [y] * len(values), "o", color=color, alpha=0.4, markersize=3, markeredgewidth=0)
                label = name if place == 0 else None
                axis.errorbar(mean, y, xerr=half, fmt="o", color=color, markersize=5, capsize=2, label=label)
        most = max(
            (run[score] or 0.0 for series in rows.values() for runs in series.values() for run in runs), default=1
        )
        right = min(axis.get_xlim()[1], 1.5 * most) or 1.0  # intervals of two runs may be far wider than what they tell
        axis.set(xlabel=score, xlim=(0, right), yticks=range(len(rows)), yticklabels=rows)
        axis.grid(axis="y", alpha=0.2)
    bare(*axes[0])
    axes[0][0].invert_yaxis()
    if len(names) > 1:
        known = axes[0][0].get_legend_handles_labels()
        figure.legend(*known, frameon=False, loc="outside upper center", ncols=len(names))
    save(figure, comparison, file or tier)


def curves(comparison: str, tier: str, entries: Mapping[str, Runs], scores: Sequence[str] = ("DCI-D", "MIG")) -> None:
    """A panel a score over the steps that runs were scored at: the mean of each setting and its deviation over runs."""
    figure, axes = plt.subplots(1, len(scores), figsize=(4.5 * len(scores), 3.4), sharex=True, layout="constrained")
    for axis, score in zip(axes, scores, strict=True):
        for name, runs in entries.items():
            steps = tables.scored_at(runs)
            if not steps:
                continue
            every = [tables.at_step(runs, step, score) for step in steps]
            found = [[value for value in values if value is not None] for values in every]
            means, deviations, _ = zip(*map(tables.interval, found), strict=True)
            low, high = ([m + sign * d for m, d in zip(means, deviations, strict=True)] for sign in (-1, 1))
            [line] = axis.plot([*map(int, steps)], means, marker="o", markersize=3, label=name)
            axis.fill_between([*map(int, steps)], low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        axis.set(xlabel="steps", ylabel=score, ylim=(0, 1))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter("{x:,.0f}")
    bare(*axes)
    axes[-1].legend(frameon=False, loc="upper left")
    save(figure, comparison, tier)


def bare(*axes: Axes) -> None:
    """Takes the upper and the right line of axes away."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, comparison: str, file: str) -> None:
    """experiments/results/<comparison>/<file>.png; the file is the tier, or begins with it."""
    path = tables.RESULTS / comparison / f"{file}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
