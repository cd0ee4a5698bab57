"""Figures 1 and 2 of Beyond Flat Latent, on made-up runs."""

import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.model import Model
from scaledis.report.pictures import paper
from scaledis.report.pictures.canvas import png
from scaledis.types import Codes
from tests.report import material

FACTORS = ("Chubby", "Smiling", "Pale_Skin")


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_figure_1_has_the_four_objectives_from_left_to_right_with_nine_rows_of_seven():
    runs = {name: material.summary(name, allocation=(3, 3, 3)) for name in reversed(paper.OBJECTIVES)}
    figure = paper.objectives(runs)
    lefts = [axes.get_position().x0 for axes in figure.axes]
    assert lefts == sorted(lefts) and len(lefts) == 4
    for axes, title in zip(figure.axes, paper.OBJECTIVES.values(), strict=True):
        found = [text.get_text() for text in axes.texts]
        assert found[0] == title and "MIG 0.1" in found[1] and "irs" not in found[1]
        assert [text for text in found if text.startswith("level")] == ["level 3", "level 2", "level 1"]
        assert sum(text.startswith("$z") for text in found) == 9
        assert axes.images[0].get_array().shape[1] == 7 * 17 - 1
    assert png(figure)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("names", "message"), [(("none", "intra"), "inter, both of"), (("nine",), "Did you mean 'none'")]
)
def test_figure_1_wants_all_four(names, message):
    with pytest.raises(UserError, match=message):
        paper.objectives({name: material.summary(name) for name in names})


def model(units):
    """Its codes are 0; an image is as bright as the sum of its codes, from -3 to 3."""

    def decode(codes):
        return np.broadcast_to((np.sum(codes, 1) / 6 + 0.5)[:, None, None, None], (len(codes), 16, 16, 3))

    return Model(None, 1, None, lambda images: Codes(np.zeros((len(images), units)), None, None), decode)


def test_figure_2_moves_the_unit_that_knows_the_factor_on_both_models():
    flat = material.summary("alpha_tcvae", allocation=(3,), factors=FACTORS, shares=np.eye(3), dataset="celeba")
    shares = 0.5 * np.eye(4)[::-1][:, :3]
    ladder = material.summary("scale_vlae", allocation=(1, 1, 1, 1), factors=FACTORS, shares=shares, dataset="celeba")
    image = np.full((16, 16, 3), 50, np.uint8)
    pairs = [(paper.edit(flat, model(3), name, image), paper.edit(ladder, model(4), name, image)) for name in FACTORS]
    assert [(a.unit, b.unit) for a, b in pairs] == [(0, 3), (1, 2), (2, 1)]
    np.testing.assert_allclose(pairs[1][1].images[:, 0, 0, 0], np.linspace(0, 1, 9))
    figure = paper.edits(flat, ladder, pairs)
    assert [text for text in texts(figure) if text[0] in "AB"] == ["A1", "B1", "A2", "B2", "A3", "B3"]
    assert "Smiling 50 %" in texts(figure) and "level 2, unit 1" in texts(figure) and "unit 2" in texts(figure)
    assert "celeba, 4,000 steps, seed 0" in figure.texts[1].get_text() and png(figure)[:4] == b"\x89PNG"
    first, moved = (axes.images[0].get_array() for axes in figure.axes[:2])
    assert np.array_equal(first, image) and figure.axes[0].get_title() == "image 1"
    assert moved[0, 0].tolist() == [0, 0, 0] and moved[0, -1].tolist() == [255, 255, 255]


def test_figure_2_names_what_is_missing():
    run = material.summary(factors=FACTORS)
    with pytest.raises(UserError, match="Did you mean 'Smiling'"):
        paper.edit(run, model(3), "smiling", None)
    with pytest.raises(UserError, match="evaluate it first"):
        paper.edit(run._replace(shares=None), model(3), "Smiling", None)
