"""A data set on one sheet: random images, and a row for each factor that varies it alone."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scaledis.core.files import write_bytes
from scaledis.datasets import Dataset
from scaledis.report.pictures import canvas, traversals

ACROSS, ROWS = 12, 4  # images in a row, rows of random images
CELL, LEFT = 0.6, 1.5  # inches: an image, and the names at the left
MOST = 12  # factors drawn


@canvas.styled()
def write(dataset: Dataset, path: Path) -> str:
    """Writes the sheet and says where."""
    write_bytes(path.absolute(), canvas.png(sheet(dataset)))
    return str(path)


def sheet(dataset: Dataset) -> Figure:
    """Random images above, then one row for each of the first factors, from its first value to its last.

    On a full grid the other factors of a row are those of one image; of a set with a table, a row shows images that
    have the value and are otherwise drawn at random.
    """
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, dataset.size, ACROSS) for _ in range(ROWS)]
    names = dataset.factor_names[:MOST]
    rows += [_varied(dataset, factor, rng) for factor in range(len(names))]
    images = dataset.images(np.concatenate(rows)).reshape(len(rows), ACROSS, *dataset.image_shape)
    groups = (ROWS, len(names)) if names else (ROWS,)
    table = traversals.table(images, groups, CELL, gap=CELL / 2)
    shape = "x".join(map(str, dataset.image_shape))
    more = f", the first {MOST} of {len(dataset.factor_names)} factors" if len(dataset.factor_names) > MOST else ""
    figure = canvas.canvas(LEFT + table.width, table.height, dataset.name, f"{dataset.size:,} images of {shape}{more}")
    axes, middle = table.place(figure, LEFT, 0.1), table.tops + table.row / 2
    axes.text(-0.1, middle[0], "random", size=9, color=canvas.INK, ha="right", va="center")
    for name, size, y in zip(names, dataset.factor_sizes, middle[ROWS:], strict=False):
        axes.text(-0.1, y, name, size=9, color=canvas.INK, ha="right", va="bottom")
        axes.text(-0.1, y, f"{size} values", size=7.5, color=canvas.MUTED, ha="right", va="top")
    return figure


def _varied(dataset: Dataset, factor: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of a row of images in which `factor` goes from its first value to its last."""
    values = np.linspace(0, dataset.factor_sizes[factor] - 1, ACROSS).round().astype(int)
    if dataset.table is None:
        factors = np.tile(dataset.factors(rng.integers(0, dataset.size, 1)), (ACROSS, 1))
        factors[:, factor] = values
        return dataset.index(factors)
    name = dataset.factor_names[factor]
    return np.concatenate([dataset.matching(rng, 1, **{name: value}) for value in values])
