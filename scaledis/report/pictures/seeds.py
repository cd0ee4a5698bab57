"""Seeds side by side: their units in a common order, so that a row shows what every seed has found."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from scaledis.models.alignment import IMAGES, align
from scaledis.report import scores
from scaledis.report.content import pixels
from scaledis.report.pictures import traversals
from scaledis.report.pictures.canvas import INK, MUTED, canvas, fit
from scaledis.report.summary import Summary, mixed

SEEDS, STEPS = 5, 5  # at most; images of a traversal
CELL, LEFT, GAP, ABOVE = 0.36, 1.3, 0.25, 0.3  # inches: an image, names at the left, between seeds, the seed's name


def figure(runs: Sequence[Summary]) -> Figure | None:
    """The traversals of the seeds of a setting, matched up to order and sign (`scaledis.align`).

    A row is a place, the most consistent first; a column of images is a seed. A unit that runs against that of the
    reference is reversed. In bold stand the places in which the seeds agree beyond chance. It is of the first setting
    with two or more seeds that were scored on the same images and drawn; None without one.
    """
    for members in scores.by_setting(runs).values():
        known = [run for run in members if run.means is not None and run.traversals is not None]
        alike = [run for run in known if np.array_equal(run.numbers, known[0].numbers) and np.isfinite(run.means).all()]
        if len(alike) > 1:
            return _drawn(alike[:SEEDS])
    return None


def _drawn(runs: Sequence[Summary]) -> Figure:
    alignment = align([run.means[:IMAGES] for run in runs])
    places, tables = np.argsort(-alignment.consistency, kind="stable"), []
    for run, order, signs in zip(runs, alignment.order[:, places], alignment.signs[:, places], strict=True):
        images = pixels(run.traversals)
        kept = images[:, np.linspace(0, images.shape[1] - 1, STEPS).round().astype(int)]
        rows = [
            kept[unit, ::sign] if unit >= 0 else np.full_like(kept[0], 255)
            for unit, sign in zip(order, signs, strict=True)
        ]
        tables.append(traversals.table(np.stack(rows), (len(rows),), CELL))
    width = sum(each.width + GAP for each in tables) - GAP
    found = f"{alignment.found.sum()} of {len(places)} found by every seed"
    subtitle = f"{mixed(runs)} · {found}, above an agreement of {alignment.threshold:.2f}"
    drawn = canvas(max(LEFT + width, 6), ABOVE + tables[0].height, f"Units of {runs[0].setting} over seeds", subtitle)
    left = LEFT
    for run, each in zip(runs, tables, strict=True):
        axes = each.place(drawn, left, ABOVE)
        axes.text(0, -0.06, fit(f"seed {run.seed}", each.width, 9), size=9, color=INK, va="bottom")
        left += each.width + GAP
    first = drawn.axes[0]
    for place, y in zip(places, tables[0].tops + tables[0].row / 2, strict=True):
        weight, ink = ("bold", INK) if alignment.found[place] else ("normal", MUTED)
        text = f"agreement {alignment.consistency[place]:.2f}"
        first.text(-0.1, y, text, size=8, weight=weight, color=ink, ha="right", va="center")
    return drawn
