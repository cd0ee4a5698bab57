import io

import numpy as np
import pytest
from PIL import Image

from scaledis.report.pictures import figures
from scaledis.report.pictures.figures import Summary

FACTORS = ("floor hue", "wall hue", "shape")
EMPTY = figures.mutual_information([])


def curve(name, method, offset=0.0, steps=40, **known):
    records = [
        {
            "step": 10 * n,
            "loss_nats": 3000 / n + offset,
            "tc_nats": np.cos(n),
            "kl_level2_nats": 2.0,
            "kl_level1_nats": 1.0,
        }
        for n in range(1, steps + 1)
    ]
    return Summary(name, method, "rendered", records=records, **known)


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_unit_names_count_levels_from_the_bottom_and_units_from_one():
    assert figures.unit_names((2, 1, 1)) == ["$z_{3,1}$", "$z_{3,2}$", "$z_{2,1}$", "$z_{1,1}$"]


def test_mutual_information_prints_every_share_with_the_top_level_first():
    shares = np.array([[0.91, 0, 0], [0, 0.5, 0.07], [np.nan, 0, 0]])
    figure = figures.mutual_information(
        [Summary("a", "vlae", "rendered", allocation=(2, 1), shares=shares, factor_names=FACTORS)] * 2
    )
    assert len(figure.axes) == 2
    found = [text.get_text() for text in figure.axes[0].texts]
    assert found == ["level 2", "91", "0", "0", "0", "50", "7", "level 1", "–", "0", "0", "a"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(FACTORS)
    assert "rendered" in figure.texts[1].get_text()


def test_mutual_information_colours_the_cell_of_the_unit_that_knows_the_factor():
    shares = np.zeros((3, 3))
    shares[1, 2] = 1.0
    figure = figures.mutual_information(
        [Summary("a", "vlae", "rendered", allocation=(2, 1), shares=shares, factor_names=FACTORS)]
    )
    picture = np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("L")).astype(int)
    x, y = figure.axes[0].transData.transform((2.15, 1.2))  # in the cell, beside its number
    other = figure.axes[0].transData.transform((0.15, 1.2))
    assert picture[-int(y), int(x)] < 80 and picture[-int(other[1]), int(other[0])] > 230


@pytest.mark.parametrize("shape, match", [((2, 3), "2 units"), ((3, 2), "2 factors")])
def test_mutual_information_rejects_a_matrix_of_another_shape(shape, match):
    with pytest.raises(ValueError, match=match):
        figures.mutual_information(
            [Summary("a", "vlae", "rendered", allocation=(2, 1), shares=np.zeros(shape), factor_names=FACTORS)]
        )


def test_edits_have_a_bar_a_unit_and_a_number_a_level():
    changes = np.array([[0.9, 0.3, 0], [0.5, 0.5, 0.5], [0, 0, 0.6]])
    run = Summary("a", "vlae", "rendered", allocation=(2, 1), changes=changes, factor_names=FACTORS)
    figure = figures.edits([run._replace(edited=("floor hue", None, "shape")), Summary("b", "vae")])
    assert len(figure.axes) == 1
    found = [text.get_text() for text in figure.axes[0].texts]
    assert found == ["level 2\n75 %", "75 % floor hue", "–", "level 1\n100 %", "100 % shape", "a  83 %"]
    np.testing.assert_allclose([bar.get_width() for bar in figure.axes[0].patches], [1, 0.75, 1, 0, 1, 1])
    assert not figures.edits([Summary("b", "vae")]).axes


def test_losses_give_a_panel_to_each_term_and_a_row_to_by_level():
    figure = figures.losses([curve("a 0", "a"), curve("a 1", "a", 9.0), curve("b 0", "b")])
    assert titles(figure) == ["loss", "TC", "KL, level 2", "KL, level 1"]
    loss, tc = figure.axes[:2]
    assert loss.get_yscale() == "log" and tc.get_yscale() == "linear"
    assert len(loss.lines) == 4  # two runs and the mean of a; b's only run is its mean
    np.testing.assert_allclose(loss.lines[2].get_ydata(), [3000 / n + 4.5 for n in range(1, 41)])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_losses_mark_divergence_and_count_a_repeated_step_once():
    diverged = curve("a 0", "a", steps=5, diverged_at=60)
    records = [*diverged.records, {"step": 50, "loss_nats": 7.0}, {"step": 60, "loss_nats": np.nan, "tc_nats": None}]
    figure = figures.losses([diverged._replace(records=records), curve("a 1", "a")])
    line, cross = figure.axes[0].lines[:2]
    assert list(line.get_xdata()) == [10, 20, 30, 40, 50] and line.get_ydata()[-1] == 7.0
    assert cross.get_marker() == "x" and cross.get_xdata() == [50]


def test_losses_of_a_run_that_diverged_at_once_are_drawn():
    records = [{"step": 1, "loss_nats": np.nan, "kl_nats": None}]
    assert titles(figures.losses([Summary("a", "vae", "rendered", records=records, diverged_at=1)])) == ["loss", "KL"]


@pytest.mark.parametrize(
    "figure",
    [
        figures.losses([Summary("a", "vae", "rendered", records=[{"step": 1}])]),
        EMPTY,
        figures.mutual_information([Summary("a", "vae", "rendered", allocation=(2,), shares=np.zeros((2, 0)))]),
    ],
)
def test_nothing_to_draw_is_said_in_words(figure):
    assert not figure.axes and ("rendered" in figure.texts[1].get_text() or figure is EMPTY)
    assert figures.png(figure).startswith(b"\x89PNG")
