"""Pictures made of images: latent traversals in the form of the paper's Figure 1, and reconstructions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scaledis.report.content import ladder, levels, pixels, reconstructed
from scaledis.report.pictures import figures, fonts
from scaledis.report.pictures.canvas import FAINT, INK, MUTED, RULE, canvas, empty, fit, panel
from scaledis.report.summary import Summary, check_units, mixed, source

LEFT, RIGHT, ABOVE, BELOW = 0.46, 1.15, 0.78, 0.4  # inches around the images of a run
LEVEL_GAP = 0.25  # inches between levels
CELLS = (0.6, 0.52, 0.42, 0.36)  # inches of an image, for 1 to 4 runs side by side


def mosaic(images: np.ndarray, groups: Sequence[int], gap: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One picture of a table of images, and the tops of its rows.

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
    """A table of images as one picture, and its sizes in inches."""

    picture: np.ndarray  # uint8 [height, width, 3]
    width: float
    height: float
    tops: np.ndarray  # [R] upper edge of every row
    row: float  # height of an image

    def place(self, figure: Figure, left: float, top: float) -> Axes:
        """Draws the picture in a new panel whose unit is an inch."""
        axes = panel(figure, left, top, self.width, self.height)
        axes.imshow(self.picture, aspect="auto", extent=(0, self.width, self.height, 0))
        axes.set(xticks=[], yticks=[], autoscale_on=False)
        return axes


def table(images: np.ndarray, groups: Sequence[int], cell: float, gap: float = 0.0) -> Table:
    """`mosaic` of images that are `cell` inches wide, with `gap` inches between two groups of rows."""
    inch = images.shape[3] / cell
    picture, tops = mosaic(images, groups, round(gap * inch))
    return Table(picture, picture.shape[1] / inch, picture.shape[0] / inch, tops / inch, images.shape[2] / inch)


def sheet(runs: Sequence[Summary], low: float = -3.0, high: float = 3.0) -> Figure:
    """Traversals of every unit, runs side by side: a row a unit, grouped by level from the top, a column a value.

    At the right of a row: the factor that the unit knows best, and the unit's KL. Units of less than 0.1 nat are dim.

    Args:
      runs: those with `traversals` are drawn; `kl`, `shares` and `scores` are shown where known.
      low, high: the values at the first and the last step.

    Raises:
      ValueError: the units of a run do not fit its allocation.
    """
    title, drawn = "Latent traversals", [run for run in runs if run.traversals is not None]
    if not drawn:
        return empty(title, source(runs), "No run has traversals.")
    across = min(len(drawn), len(CELLS))
    tables = []
    for run in drawn:
        check_units(run, run.traversals)
        images, dead = pixels(_thinned(run.traversals)).copy(), [unit.dead for unit in ladder(run)]
        images[dead] = 255 - (255 - images[dead]) // 4
        tables.append(table(images, run.allocation, CELLS[across - 1], LEVEL_GAP))
    width = LEFT + RIGHT + max(each.width for each in tables)
    height = ABOVE + BELOW + max(each.height for each in tables)
    subtitle = f"{mixed(drawn)} · each row moves one unit from {_number(low)} to {_number(high)}"
    figure = canvas(width * across, height * -(-len(drawn) // across), title, subtitle)
    for n, (run, each) in enumerate(zip(drawn, tables, strict=True)):
        axes = each.place(figure, n % across * width + LEFT, n // across * height + ABOVE)
        values = [_number(value) for value in np.linspace(low, high, _thinned(run.traversals).shape[1])]
        axes.set_xticks((np.arange(len(values)) + 0.5) * each.width / len(values), values)
        name = fit(run.name, width - 0.2, 10, em=0.6)
        axes.text(-LEFT, 0.12 - ABOVE, name, size=10, weight="bold", color=INK, va="top")
        scores = "   ".join(f"{metric} {score:.2f}" for metric, score in run.scores.items() if score is not None)
        axes.text(-LEFT, 0.32 - ABOVE, fit(scores, width, 8.5), size=8.5, color=MUTED, va="top")
        _label(axes, run, each)
    return figure


def _thinned(traversals: np.ndarray) -> np.ndarray:
    """Seven of the steps [K, S, ...], if there are more, and these are among them."""
    steps = traversals.shape[1]
    return traversals[:, :: (steps - 1) // 6] if steps > 7 and steps % 6 == 1 else traversals


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _label(axes: Axes, run: Summary, table: Table) -> None:
    """Names each level above its first row, and each unit at the left of its row; at the right stands what it knows."""
    right = table.width + 0.08
    for top, name, unit in zip(table.tops, figures.unit_names(run.allocation), ladder(run), strict=True):
        y, ink, muted = top + table.row / 2, FAINT if unit.dead else INK, FAINT if unit.dead else MUTED
        axes.text(-0.08, y, name, size=10, color=ink, ha="right", va="center", math_fontfamily=fonts.MATH)
        knows = "dead" if unit.dead else f"{unit.best[0]} {100 * unit.best[1]:.0f} %" if unit.best else ""
        nats = "" if unit.kl is None else f"{unit.kl:.2f} nats"
        axes.text(right, y, fit(knows, RIGHT, 7.5), size=7.5, color=ink, va="bottom" if nats else "center")
        axes.text(right, y + 0.02, nats, size=7.5, color=muted, va="top" if knows else "center")
    for level in levels(run.allocation):
        y = table.tops[level.units[0]] - 0.06
        axes.text(-LEFT, y, f"level {level.number}", size=8, color=MUTED, va="bottom")
        axes.plot((-LEFT, table.width), (y, y), color=RULE, linewidth=0.7, clip_on=False)


def reconstructions(runs: Sequence[Summary]) -> Figure:
    """For each run with `originals` and `reconstructions`, a row of images above what the run makes of them."""
    found = [(run, pair) for run in runs if (pair := reconstructed(run)) is not None]
    if not found:
        return empty("Reconstructions", source(runs), "No run has reconstructions.")
    tables, heading = [table(pair, (2,), CELLS[0]) for _, pair in found], 0.42
    width, height = (max(sizes) for sizes in zip(*((each.width, each.height) for each in tables), strict=True))
    subtitle = f"{source([run for run, _ in found])} · originals above, reconstructions below"
    figure = canvas(max(width, 6), (height + heading) * len(found), "Reconstructions", subtitle)
    for n, ((run, _), images) in enumerate(zip(found, tables, strict=True)):
        axes = images.place(figure, 0, n * (height + heading) + heading - 0.1)
        axes.text(0, -0.08, run.name, size=10, weight="bold", color=INK, va="bottom")
    return figure
