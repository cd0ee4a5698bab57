"""Pictures made of images: latent traversals in the form of the paper's Figure 1, and reconstructions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scaledis.metrics.of_models.shared.coding import DEAD
from scaledis.report.pictures.canvas import FAINT, INK, MUTED, RULE, canvas, empty, fit, panel
from scaledis.report.pictures.figures import unit_names
from scaledis.report.pictures.fonts import MATH
from scaledis.report.summary import Summary, best_factor, check_units, source

LEFT, RIGHT, ABOVE, BELOW = 0.46, 1.15, 0.78, 0.4  # inches around the images of a run
LEVEL_GAP = 0.25  # inches between levels
CELLS = (0.6, 0.52, 0.42, 0.36)  # inches of an image, for 1 to 4 runs side by side


def pixels(images: np.ndarray) -> np.ndarray:
    """Images [..., C] with C of 1 or 3, uint8 or float in 0 to 1, as uint8 [..., 3]."""
    if images.dtype != np.uint8:
        images = np.rint(255 * np.clip(np.nan_to_num(images), 0, 1)).astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:-1], 3))


def mosaic(images: np.ndarray, groups: Sequence[int], gap: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One picture of a table of images, and where its rows start.

    Args:
      images: [R, S, H, W, C].
      groups: sizes of the groups of rows, R in all.
      gap: white pixels between two groups.

    Returns:
      uint8 [height, width, 3], and the first pixel of every row [R].
    """
    images = pixels(images)
    rows, columns, height, width, _ = images.shape
    pad = max(1, height // 32)
    tops = np.arange(rows) * (height + pad) + np.repeat(np.arange(len(groups)), groups) * gap
    picture = np.full((tops[-1] + height, columns * (width + pad) - pad, 3), 255, np.uint8)
    for top, row in zip(tops, images, strict=True):
        for left, image in zip(range(0, picture.shape[1], width + pad), row, strict=True):
            picture[top : top + height, left : left + width] = image
    return picture, tops


class Table(NamedTuple):
    """The images of one run, and their places in inches."""

    picture: np.ndarray  # uint8 [height, width, 3]
    width: float
    height: float
    tops: np.ndarray  # [K] upper edge of every row
    row: float  # height of an image


def sheet(runs: Sequence[Summary], low: float = -3.0, high: float = 3.0) -> Figure:
    """Traversals of every unit, runs side by side: a row a unit, grouped by level from the top, a column a value.

    At the right of a row: the factor that the unit knows best, and the unit's KL. Units of less than 0.1 nat are dim.

    Args:
      runs: those with `traversals` are drawn; `kl`, `shares` and `scores` are shown where known.
      low, high: the values at the first and the last step.

    Raises:
      UserError: the units of a run do not fit its allocation.
    """
    title, given = "Latent traversals", runs
    runs = [_thinned(run) for run in given if run.traversals is not None]
    if not runs:
        return empty(title, source(given), "No run has traversals.")
    across = min(len(runs), len(CELLS))
    tables = [_table(run, CELLS[across - 1]) for run in runs]
    width = LEFT + RIGHT + max(table.width for table in tables)
    height = ABOVE + BELOW + max(table.height for table in tables)
    subtitle = f"{source(runs)} · each row moves one unit from {_number(low)} to {_number(high)}"
    figure = canvas(width * across, height * -(-len(runs) // across), title, subtitle)
    for n, (run, table) in enumerate(zip(runs, tables, strict=True)):
        axes = panel(figure, n % across * width + LEFT, n // across * height + ABOVE, table.width, table.height)
        axes.imshow(table.picture, aspect="auto", extent=(0, table.width, table.height, 0))
        axes.set(yticks=[], autoscale_on=False)
        values = [_number(value) for value in np.linspace(low, high, run.traversals.shape[1])]
        axes.set_xticks((np.arange(len(values)) + 0.5) * table.width / len(values), values)
        name = fit(run.name, width - 0.2, 10, em=0.6)
        axes.text(-LEFT, 0.12 - ABOVE, name, size=10, weight="bold", color=INK, va="top")
        scores = "   ".join(f"{metric} {score:.2f}" for metric, score in run.scores.items() if score is not None)
        axes.text(-LEFT, 0.32 - ABOVE, fit(scores, width, 8.5), size=8.5, color=MUTED, va="top")
        _label_units(axes, run, table)
        _label_levels(axes, run, table)
    return figure


def _thinned(run: Summary) -> Summary:
    """The run with seven of its steps, if it has more that these are among."""
    steps = run.traversals.shape[1]
    return run._replace(traversals=run.traversals[:, :: (steps - 1) // 6]) if steps > 7 and steps % 6 == 1 else run


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _dead(run: Summary) -> np.ndarray:
    """Which units of a run say nothing, bool [K]; none if the KL is not known."""
    return np.zeros(sum(run.allocation), bool) if run.kl is None else np.asarray(run.kl) < DEAD


def _table(run: Summary, cell: float) -> Table:
    """The images of one run, `cell` inches wide each, those of dead units faded."""
    check_units(run, run.traversals)
    images, dead = pixels(run.traversals).copy(), _dead(run)
    images[dead] = 255 - (255 - images[dead]) // 4
    inch = images.shape[3] / cell
    picture, tops = mosaic(images, run.allocation, gap=round(LEVEL_GAP * inch))
    return Table(picture, picture.shape[1] / inch, picture.shape[0] / inch, tops / inch, images.shape[2] / inch)


def _label_units(axes: Axes, run: Summary, table: Table) -> None:
    """Writes each unit's name at the left of its row, and what is known of it at the right."""
    right = table.width + 0.08
    for unit, (name, dead) in enumerate(zip(unit_names(run.allocation), _dead(run), strict=True)):
        y, ink, muted = table.tops[unit] + table.row / 2, FAINT if dead else INK, FAINT if dead else MUTED
        axes.text(-0.08, y, name, size=10, color=ink, ha="right", va="center", math_fontfamily=MATH)
        knows = "dead" if dead else _best_factor(run, unit)
        nats = "" if run.kl is None or np.isnan(run.kl[unit]) else f"{run.kl[unit]:.2f} nats"
        axes.text(right, y, fit(knows, RIGHT, 7.5), size=7.5, color=ink, va="bottom" if nats else "center")
        axes.text(right, y + 0.02, nats, size=7.5, color=muted, va="top" if knows else "center")


def _best_factor(run: Summary, unit: int) -> str:
    """The factor of which a unit knows the largest share, and the share."""
    best = best_factor(run, unit)
    return f"{best[0]} {100 * best[1]:.0f} %" if best else ""


def _label_levels(axes: Axes, run: Summary, table: Table) -> None:
    """Draws a line and the level's name above the first row of every level."""
    firsts = np.cumsum((0, *run.allocation[:-1]))
    for level, first in zip(range(len(firsts), 0, -1), firsts, strict=True):
        y = table.tops[first] - 0.06
        axes.text(-LEFT, y, f"level {level}", size=8, color=MUTED, va="bottom")
        axes.plot((-LEFT, table.width), (y, y), color=RULE, linewidth=0.7, clip_on=False)


def reconstructions(runs: Sequence[Summary]) -> Figure:
    """For each run with `originals` and `reconstructions`, a row of images above what the run makes of them."""
    given, runs = runs, [run for run in runs if run.originals is not None and run.reconstructions is not None]
    if not runs:
        return empty("Reconstructions", source(given), "No run has reconstructions.")
    pairs = [mosaic(np.stack((pixels(run.originals), pixels(run.reconstructions))), (2,))[0] for run in runs]
    inches = [CELLS[0] / run.originals.shape[2] for run in runs]  # of a pixel
    sizes = [(pair.shape[1] * inch, pair.shape[0] * inch) for pair, inch in zip(pairs, inches, strict=True)]
    (width, height), heading = np.max(sizes, axis=0), 0.42
    subtitle = f"{source(runs)} · originals above, reconstructions below"
    figure = canvas(max(width, 6), (height + heading) * len(runs), "Reconstructions", subtitle)
    for n, (run, pair, (wide, tall)) in enumerate(zip(runs, pairs, sizes, strict=True)):
        axes = panel(figure, 0, n * (height + heading) + heading - 0.1, wide, tall)
        axes.imshow(pair, aspect="auto", extent=(0, wide, tall, 0))
        axes.set(xticks=[], yticks=[])
        axes.text(0, -0.08, run.name, size=10, weight="bold", color=INK, va="bottom")
    return figure
