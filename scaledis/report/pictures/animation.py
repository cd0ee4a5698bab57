"""Traversals that move, as one animated WebP for a README: every unit of every run goes from -3 to 3 and back."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from scaledis.report.content import levels, pixels
from scaledis.report.pictures import canvas, figures, fonts
from scaledis.report.summary import Summary, source

LARGEST = 2_000_000  # bytes
MILLISECONDS = 90  # a frame
CELL, GAP, LEFT, ABOVE = 0.62, 0.06, 0.62, 0.42  # inches: an image, between two, the names of levels, those of runs
LABEL = 0.2  # inches, the name of a unit above its image


def webp(runs: Sequence[Summary]) -> bytes | None:
    """The animation of the runs that have traversals, side by side, at most 2 MB; None if no run has them.

    It shows levels from top to bottom, and the units of a level side by side.
    """
    runs = [run for run in runs if run.traversals is not None]
    if not runs:
        return None
    forth = range(runs[0].traversals.shape[1])
    backdrop, places = _backdrop(runs)
    frames = [_frame(backdrop, runs, places, step) for step in [*forth, *forth[-2:0:-1]]]
    style = {"save_all": True, "append_images": frames[1:], "duration": MILLISECONDS, "loop": 0}
    for quality in (80, 60, 40, 20):
        buffer = io.BytesIO()
        frames[0].save(buffer, "WEBP", quality=quality, **style)
        if buffer.tell() <= LARGEST:
            break
    return buffer.getvalue()


def _backdrop(runs: Sequence[Summary]) -> tuple[Image.Image, list[list[tuple[int, int]]]]:
    """The picture without the images, and the left upper pixel of every unit of every run."""
    widths = [LEFT + max(run.allocation) * (CELL + GAP) + LABEL for run in runs]
    height = ABOVE + max(len(run.allocation) for run in runs) * (CELL + LABEL)
    title = "Every unit, moved from −3 to 3 and back"
    figure = canvas.canvas(max(sum(widths), 4.2), height, title, source(runs))
    places: list[list[tuple[int, int]]] = []
    for run, left in zip(runs, np.cumsum([0.0, *widths[:-1]]), strict=True):
        axes = canvas.panel(figure, left, 0, max(widths), height)
        axes.set(xlim=(0, max(widths)), ylim=(height, 0), xticks=[], yticks=[])
        axes.patch.set_alpha(0)
        heading = canvas.fit(run.name, LEFT + max(run.allocation) * (CELL + GAP), 9, em=0.6)
        axes.text(0, 0.05, heading, size=9, weight="bold", color=canvas.INK, va="top")
        labels, corners = iter(figures.unit_names(run.allocation)), []
        for depth, level in enumerate(levels(run.allocation)):
            y = ABOVE + depth * (CELL + LABEL)
            axes.text(0, y + CELL / 2, f"level {level.number}", size=8, color=canvas.MUTED, va="center")
            for place in range(len(level.units)):
                x = LEFT + place * (CELL + GAP)
                name = axes.text(x + CELL / 2, y - 0.02, next(labels), size=8, ha="center", va="bottom")
                name.set(color=canvas.INK, math_fontfamily=fonts.MATH)
                corners.append((_pixel(canvas.MARGIN + left + x), _pixel(canvas.MARGIN + canvas.HEADER + y)))
        places.append(corners)
    return Image.open(io.BytesIO(canvas.png(figure))).convert("RGB"), places


def _pixel(inches: float) -> int:
    return round(inches * canvas.DPI)


def _frame(
    backdrop: Image.Image, runs: Sequence[Summary], places: Sequence[Sequence[tuple[int, int]]], step: int
) -> Image.Image:
    """One frame: the images of one step pasted into their places."""
    frame, size = backdrop.copy(), _pixel(CELL)
    for run, corners in zip(runs, places, strict=True):
        for image, corner in zip(pixels(run.traversals[:, step]), corners, strict=True):
            drawn = Image.fromarray(np.ascontiguousarray(image))
            frame.paste(drawn.resize((size, size), Image.Resampling.BICUBIC), corner)
    return frame
