import numpy as np
import pytest

from scaledis.report.pictures import traversals
from scaledis.report.pictures.figures import Summary, png, unit_names

ALLOCATION = (4, 2, 2, 2)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


def run(name="scale_vlae, seed 0", allocation=ALLOCATION, channels=3, **known):
    images = np.random.default_rng(0).random((sum(allocation), 7, 16, 16, channels), np.float32)
    return Summary(name, "scale_vlae", "rendered", allocation=allocation, traversals=images, **known)


def test_mosaic_keeps_the_pixels_and_the_order_of_rows():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 6, 3), np.uint8)
    picture, tops = traversals.mosaic(images, groups=(3, 1), gap=5)
    assert picture.shape == (4 * 8 + 3 * 1 + 5, 3 * 6 + 2 * 1, 3)
    np.testing.assert_array_equal(tops, [0, 9, 18, 32])
    np.testing.assert_array_equal(picture[32:40, 7:13], images[3, 1])
    np.testing.assert_array_equal(picture[9:17, 14:20], images[1, 2])
    assert (picture[26:32] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_turns_floats_and_grey_into_three_bytes(channels):
    images = np.full((2, 4, 4, channels), 0.5, np.float32)
    assert traversals.pixels(images).shape == (2, 4, 4, 3)
    assert (traversals.pixels(images) == 128).all()
    assert (traversals.pixels(images * 9) == 255).all()
    assert (traversals.pixels(images * np.nan) == 0).all()


def test_sheet_puts_the_top_level_first_and_says_what_is_known_of_each_unit():
    shares = np.zeros((10, 2))
    shares[0, 1] = 0.87
    kl = np.r_[1.25, 0.03, np.ones(8)]
    known = {"kl": kl, "shares": shares, "factor_names": ("floor hue", "shape")}
    drawn = run(scores={"DCI-D": 0.614, "MIG": None}, step=4000, seed=3, **known)
    found = texts(traversals.sheet([drawn]))
    assert [text for text in found if text.startswith("level")] == ["level 4", "level 3", "level 2", "level 1"]
    units = [text for text in found if text.startswith("$z")]
    assert units == unit_names(ALLOCATION) and units[0] == "$z_{4,1}$" and units[-1] == "$z_{1,2}$"
    assert "shape 87 %" in found and "1.25 nats" in found and found.count("dead") == 1
    assert "DCI-D 0.61" in found and "rendered, 4,000 steps, seed 3 · each row moves one unit from −3 to 3" in found


def test_sheet_shows_the_images_and_dims_the_dead_units():
    drawn = run(kl=np.r_[1, 0.0, np.ones(8)])
    picture = traversals.sheet([drawn]).axes[0].images[0].get_array()
    images = traversals.pixels(drawn.traversals)
    np.testing.assert_array_equal(picture[:16, 17:33], images[0, 1])
    assert picture[17:33, :16].min() >= 192 and images[1].min() < 64


@pytest.mark.parametrize("count", [1, 3, 5])
def test_sheet_takes_any_number_of_runs_of_different_shapes(count):
    runs = [
        run(f"seed {n}", ((10,), (8, 8), (1, 1, 1, 1), (2, 3), (4,))[n], channels=1 + 2 * (n % 2)) for n in range(count)
    ]
    figure = traversals.sheet(runs)
    assert len(figure.axes) == count
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["−3", "−2", "−1", "0", "1", "2", "3"]


def test_units_that_do_not_fit_the_allocation_are_an_error():
    with pytest.raises(ValueError, match=r"'seed 0': 10 units do not fit the allocation \(4, 2\)"):
        traversals.sheet([run("seed 0")._replace(allocation=(4, 2))])


def test_reconstructions_stand_below_their_originals():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    figure = traversals.reconstructions([Summary("a", "vae", originals=images, reconstructions=255 - images)])
    picture = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(picture[:16, 17:33], images[1])
    np.testing.assert_array_equal(picture[17:33, 17:33], 255 - images[1])


@pytest.mark.parametrize("draw", [traversals.sheet, traversals.reconstructions])
def test_nothing_to_draw_is_said_in_words(draw):
    figure = draw([Summary("a", "vae")])
    assert any("No run has" in text for text in texts(figure))
    assert png(figure).startswith(b"\x89PNG")
