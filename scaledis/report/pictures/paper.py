"""The two figures of Beyond Flat Latent (Liu and Han): traversals under four objectives, and edits of two methods."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from scaledis.core import UserError, registry
from scaledis.model import Model, traversed
from scaledis.report.content import pixels
from scaledis.report.pictures import traversals
from scaledis.report.pictures.canvas import INK, MUTED, canvas, fit, panel
from scaledis.report.summary import Summary, mixed, units

OBJECTIVES = {"none": "base ELBO", "intra": "intra only", "inter": "inter only", "both": "intra and inter"}
SCORES = ("MIG", "DCI-D")
VALUES = 9  # of an edit
CELL, LEFT, RIGHT, PAIR_GAP, LARGE = 0.72, 0.5, 1.9, 0.3, 9  # inches: an image, both margins, two pairs; points


def objectives(runs: Mapping[str, Summary]) -> Figure:
    """Figure 1: the traversals of a ladder under no penalty, one within levels, one between them, and both.

    From left to right as in the paper, a row a unit, from -3 to 3 in seven steps, MIG and DCI-D above.

    Args:
      runs: by the names of `OBJECTIVES`, each with traversals.

    Raises UserError for a name that is missing or unknown.
    """
    for name in runs:
        registry.check("runs", name, OBJECTIVES)
    if missing := [name for name in OBJECTIVES if name not in runs]:
        raise UserError(f"runs: {', '.join(missing)} of {', '.join(OBJECTIVES)} is missing.")
    named = [runs[name]._replace(name=words) for name, words in OBJECTIVES.items()]
    drawn = [run._replace(scores={key: run.scores[key] for key in SCORES if key in run.scores}) for run in named]
    return traversals.sheet(drawn)


class Edit(NamedTuple):
    """One unit of one model that is moved on one image.

    factor: the factor that the edit is meant for.
    unit: the number of the unit.
    share: the share of the factor's entropy that the unit knows, 0 to 1.
    image: uint8 [H, W, C], the image that is edited.
    images: float [S, H, W, C], the edits.
    """

    factor: str
    unit: int
    share: float
    image: np.ndarray
    images: Any


def edit(run: Summary, model: Model, factor: str, image: np.ndarray, low: float = -3.0, high: float = 3.0) -> Edit:
    """The unit that knows most of a factor, moved through nine values on an image uint8 [H, W, C].

    Raises UserError for an unknown factor, and for a run whose mutual information is not known.
    """
    registry.check("factor", factor, run.factor_names)
    if run.shares is None:
        raise UserError(f"run {run.name!r}: it was not measured against factors; evaluate it first.")
    shares = np.nan_to_num(run.shares[:, run.factor_names.index(factor)])
    unit = int(shares.argmax())
    moved = traversed(model.encode(image[None]).mean[0], low, high, VALUES)[unit]
    return Edit(factor, unit, float(shares[unit]), image, model.decode(moved))


def edits(flat: Summary, ladder: Summary, pairs: Sequence[tuple[Edit, Edit]]) -> Figure:
    """Figure 2: edits of the same images by a flat method (rows A1, A2, ..) and by a ladder (rows B1, B2, ..).

    At the left of a pair stands the image, at the right of a row the factor, the unit and its share of the factor.

    Args:
      flat, ladder: the runs.
      pairs: for each factor the edit of both.
    """
    tables = [traversals.table(pixels(np.stack([each.images for each in pair])), (2,), CELL) for pair in pairs]
    row, start = tables[0].row, LEFT + CELL + PAIR_GAP + LEFT
    width, height = start + VALUES * CELL + RIGHT, len(pairs) * (2 * row + PAIR_GAP)
    title = f"Edits: {flat.name} (A) and {ladder.name} (B)"
    about = f"{mixed([flat, ladder])} · each row moves one unit of the image at its left from −3 to 3"
    figure = canvas(width, height, title, about)
    for place, (pair, table) in enumerate(zip(pairs, tables, strict=True)):
        above = place * (2 * row + PAIR_GAP)
        of_image = panel(figure, LEFT, above + row / 2, CELL, row)
        of_image.imshow(pair[0].image.squeeze(), aspect="auto", cmap="gray", vmin=0, vmax=255)
        of_image.set_title(f"image {place + 1}", size=8, color=MUTED, pad=4)
        of_image.set(xticks=[], yticks=[])
        axes, right = table.place(figure, start, above), table.width + 0.1
        for letter, run, each, top in zip("AB", (flat, ladder), pair, table.tops, strict=True):
            middle, (level, number) = top + row / 2, units(run.allocation)[each.unit]
            mark = f"{letter}{place + 1}"
            axes.text(-0.1, middle, mark, size=LARGE, weight="bold", color=INK, ha="right", va="center")
            unit = f"level {level}, unit {number}" if len(run.allocation) > 1 else f"unit {number}"
            words = f"{each.factor} {100 * each.share:.0f} %"
            axes.text(right, middle, fit(words, RIGHT, LARGE), size=LARGE, color=INK, va="bottom")
            axes.text(right, middle + 0.02, unit, size=8, color=MUTED, va="top")
    return figure
