"""Samples from the prior: of all levels, and of each level alone, runs one below the other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from scaledis.report.content import levels
from scaledis.report.pictures import traversals
from scaledis.report.pictures.canvas import INK, MUTED, canvas, fit
from scaledis.report.summary import Summary, source

CELL, LEFT, ABOVE = 0.6, 0.75, 0.35  # inches: an image, the names at the left, the name of a run


def figure(runs: Sequence[Summary], images: Sequence[np.ndarray]) -> Figure:
    """A row of samples from the whole prior, then a row for each level, whose units alone are drawn.

    Args:
      runs: one or several.
      images: of each run, [1 + L, S, H, W, C]: all levels, then the levels from the top.
    """
    title, subtitle = "Samples from the prior", f"{source(runs)} · of all levels, and of one level with the others at 0"
    tables = [traversals.table(rows, (1, len(rows) - 1) if len(rows) > 1 else (1,), CELL, CELL / 4) for rows in images]
    height = sum(each.height + ABOVE for each in tables)
    drawn = canvas(max(LEFT + max(each.width for each in tables), 6), height, title, subtitle)
    top = 0.0
    for run, each in zip(runs, tables, strict=True):
        axes = each.place(drawn, LEFT, top + ABOVE - 0.1)
        name = fit(run.name, LEFT + each.width, 10, em=0.6)
        axes.text(-LEFT, -0.08, name, size=10, weight="bold", color=INK, va="bottom")
        names = ["all levels", *(f"level {level.number}" for level in levels(run.allocation))]
        for name, y in zip(names, each.tops + each.row / 2, strict=False):
            axes.text(-0.08, y, name, size=8, color=MUTED, ha="right", va="center")
        top += each.height + ABOVE
    return drawn
