from pathlib import Path

import jax
import numpy as np
import pytest

from scaledis import datasets
from scaledis.datasets import rendered_dsprites

SQUARE, ELLIPSE, HEART = range(3)
REAL = Path(__file__).parent / "dsprites_real.npz"


@pytest.fixture(scope="module")
def data() -> datasets.Dataset:
    return datasets.load("rendered_dsprites", "unused")


def masks(data, *factors):
    """bool [n, 64, 64]."""
    return data.images(data.index(factors))[..., 0] > 0


def middle(mask):
    """(x, y) of the center of the white pixels, in pixels from the corner of the image."""
    return np.argwhere(mask).mean(axis=0)[::-1] + 0.5


def test_grid_is_that_of_dsprites(data, tmp_path):
    assert data.factor_names == ("shape", "scale", "orientation", "position_x", "position_y")
    assert data.factor_sizes == (3, 6, 40, 32, 32) and data.size == 737_280 and data.image_shape == (64, 64, 1)
    for values, (first, last) in zip(
        data.factor_values, [(0, 2), (0.5, 1), (0, 2 * np.pi), (0, 1), (0, 1)], strict=True
    ):
        np.testing.assert_allclose(values, np.linspace(first, last, len(values)))
    np.testing.assert_array_equal(data.factors([0, 1, 32, 1024, 40_960, 245_760, 737_279]), [
        (0, 0, 0, 0, 0), (0, 0, 0, 0, 1), (0, 0, 0, 1, 0), (0, 0, 1, 0, 0), (0, 1, 0, 0, 0), (1, 0, 0, 0, 0),
        (2, 5, 39, 31, 31),
    ])  # fmt: skip
    datasets.load("rendered_dsprites", tmp_path)
    assert not list(tmp_path.iterdir())


def test_real_frames_of_every_shape(data):
    with np.load(REAL, allow_pickle=False) as file:
        real, factors = file["images"] > 0, file["factors"]
    assert set(factors[:, 0]) == {SQUARE, ELLIPSE, HEART} and set(factors[:, 1]) >= {0, 1, 3, 4, 5}
    rendered = masks(data, *factors)
    overlap = (real & rendered).sum(axis=(1, 2)) / (real | rendered).sum(axis=(1, 2))
    assert np.median(overlap) > 0.99 and overlap.min() > 0.97
    for column, size in enumerate(data.factor_sizes):  # a neighbor in any factor fits less well
        if column == 0:
            continue
        for step in (-1, 1):
            near = factors.copy()
            near[:, column] += step
            inside = (near[:, column] >= 0) & (near[:, column] < size)
            other = masks(data, *near[inside])
            common, either = (real[inside] & other).sum(axis=(1, 2)), (real[inside] | other).sum(axis=(1, 2))
            assert (common / either <= overlap[inside]).all()


def test_images_are_black_and_white_with_one_shape_inside(data):
    index = np.random.default_rng(0).integers(0, data.size, 2000)
    images = data.images(index)
    assert images.dtype == np.uint8 and images.shape == (2000, 64, 64, 1) and set(np.unique(images)) == {0, 255}
    white = images[..., 0] > 0
    assert not white[:, [0, -1]].any() and not white[:, :, [0, -1]].any()
    assert white.any(axis=(1, 2)).all()
    y, x = np.mgrid[:64, :64] + 0.5
    factors = data.factors(index)
    away = np.hypot(x - 16 - 32 / 31 * factors[:, 3, None, None], y - 16 - 32 / 31 * factors[:, 4, None, None])
    assert not white[away > 14].any()  # no polynomial comes back far from the heart
    assert white[away < 2].all()


@pytest.mark.parametrize(("shape", "area"), [(SQUARE, 4 * 9.6**2), (ELLIPSE, np.pi * 12.76 * 7.22), (HEART, 225)])
def test_area_grows_with_the_square_of_scale(data, shape, area):
    for scale, size in enumerate(data.factor_values[1]):
        found = masks(data, *[(shape, scale, turn, 9, 20) for turn in range(40)]).sum(axis=(1, 2)).mean()
        assert found == pytest.approx(area * size**2, rel=0.03)


def test_position_moves_right_and_down_by_32_pixels(data):
    first, right, down = masks(data, (HEART, 5, 7, 0, 0), (HEART, 5, 7, 31, 0), (HEART, 5, 7, 0, 31))
    np.testing.assert_array_equal(right, np.roll(first, 32, axis=1))
    np.testing.assert_array_equal(down, np.roll(first, 32, axis=0))


def test_orientation_turns_anticlockwise_about_the_position(data):
    turns = masks(data, *[(HEART, 5, turn, 0, 0) for turn in range(40)])
    angles = [np.arctan2(x - 16, 16 - y) for x, y in map(middle, turns)]  # 0 is up, clockwise is positive
    steps = np.diff(np.unwrap(angles))
    assert (steps < 0).all() and steps.sum() == pytest.approx(-2 * np.pi)
    upright = masks(data, (HEART, 5, 0, 0, 0))[0]
    assert upright.any(axis=1).argmax() == 7 and upright[23].sum() == 2  # two lobes above, the tip below


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_a_full_turn_is_no_turn(data, shape):
    places = [(scale, x, y) for scale in range(6) for x in range(0, 32, 3) for y in range(0, 32, 5)]
    first, last = (masks(data, *[(shape, s, turn, x, y) for s, x, y in places]) for turn in (0, 39))
    np.testing.assert_array_equal(first, last)


def test_every_other_orientation_differs(data):
    for shape in range(3):
        images = masks(data, *[(shape, 5, turn, 3, 8) for turn in range(39)])
        assert len(np.unique(images.reshape(39, -1), axis=0)) == 39


def test_gather_inside_jit_and_vmap(data):
    index = np.random.default_rng(1).integers(0, data.size, (3, 5)).astype(np.int32)
    together = jax.jit(jax.vmap(data.gather, in_axes=(None, 0)))(data.source, index)
    assert together.shape == (3, 5, 64, 64, 1) and together.dtype == np.uint8
    np.testing.assert_array_equal(together, np.stack([data.images(row) for row in index]))


def test_outlines_are_continuous():
    """The two parts of the heart meet, and its flank ends at a tip."""
    (x, y), (rx, ry) = rendered_dsprites.LOBE_CENTER, rendered_dsprites.LOBE
    lobe = x + rx * np.sqrt(1 - ((rendered_dsprites.BROAD - y) / ry) ** 2)
    assert np.polyval(rendered_dsprites.FLANK, rendered_dsprites.BROAD / 10) == pytest.approx(lobe, abs=0.1)
    below = np.polyval(rendered_dsprites.FLANK, np.linspace(0.97, 20, 2000))
    assert (below < 0).all()
