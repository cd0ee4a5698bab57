import dataclasses

import numpy as np
import pytest

from scaledis.report import contact, figures
from tests import tiny

GRID = tiny.dataset()
TABLE = dataclasses.replace(GRID, table=GRID.factors(np.arange(96)))
NAMELESS = dataclasses.replace(GRID, factor_names=(), factor_values=(), table=np.zeros((96, 0), np.int32))


@pytest.mark.parametrize(("dataset", "rows"), [(GRID, 7), (TABLE, 7), (NAMELESS, 4)])
def test_random_images_and_a_row_for_each_factor(dataset, rows):
    figure = contact.sheet(dataset)
    (axes,) = figure.axes
    picture = axes.images[0].get_array()
    assert picture.shape[1] == contact.ACROSS * (tiny.SIZE + 1) - 1
    assert picture.shape[0] == rows * (tiny.SIZE + 1) - 1 + (tiny.SIZE // 2 if rows > 4 else 0)
    texts = {text.get_text() for text in axes.texts}
    assert texts >= {"random", *dataset.factor_names}
    assert figures.png(figure)[:4] == b"\x89PNG"


def test_a_row_varies_its_factor_from_first_to_last_and_on_a_grid_nothing_else():
    for dataset in (GRID, TABLE):
        factors = dataset.factors(contact._varied(dataset, 1, np.random.default_rng(0)))
        assert factors[0, 1] == 0 and factors[-1, 1] == 7 and (np.diff(factors[:, 1]) >= 0).all()
    on_grid = GRID.factors(contact._varied(GRID, 1, np.random.default_rng(0)))
    assert len(np.unique(on_grid[:, [0, 2]], axis=0)) == 1
