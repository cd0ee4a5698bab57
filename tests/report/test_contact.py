import dataclasses

import matplotlib
import numpy as np
import pytest

from scaledis.report.pictures import contact, figures
from tests import tiny
from tests.report import material

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


def test_the_users_own_style_changes_nothing(tmp_path):
    contact.write(GRID, tmp_path / "plain.png")
    with matplotlib.rc_context(material.OWN_STYLE):
        contact.write(GRID, tmp_path / "styled.png")
        assert matplotlib.rcParams["text.usetex"]  # it is the user's again
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def rows_of(dataset):
    """The images of each factor's row, read back from the picture: [F, ACROSS, H, W, C]."""
    picture = np.asarray(contact.sheet(dataset).axes[0].images[0].get_array())
    first = contact.ROWS * (tiny.SIZE + 1) + tiny.SIZE // 2
    count, step = len(dataset.factor_names), tiny.SIZE + 1
    return np.asarray(
        [
            [
                picture[first + row * step :][: tiny.SIZE, column * step :][:, : tiny.SIZE]
                for column in range(contact.ACROSS)
            ]
            for row in range(count)
        ]
    )


def factors_of(dataset, images):
    """The factors of images, which are all different: [ACROSS, F]."""
    every = np.asarray(dataset.images(np.arange(dataset.size)))
    return np.asarray([dataset.factors([np.flatnonzero((every == image).all((1, 2, 3)))[0]])[0] for image in images])


def test_a_row_varies_its_factor_from_first_to_last_and_on_a_grid_nothing_else():
    for dataset in (GRID, TABLE):
        for factor, images in enumerate(rows_of(dataset)):
            values = factors_of(dataset, images)[:, factor]
            assert values[0] == 0 and values[-1] == dataset.factor_sizes[factor] - 1 and (np.diff(values) >= 0).all()
    for factor, images in enumerate(rows_of(GRID)):
        assert len(np.unique(np.delete(factors_of(GRID, images), factor, axis=1), axis=0)) == 1
