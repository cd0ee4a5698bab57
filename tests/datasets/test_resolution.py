"""Images at a lower resolution: the mean of every square of pixels."""

import numpy as np
import pytest

from scaledis import datasets
from scaledis.core.errors import UserError


def test_every_pixel_is_the_rounded_mean_of_a_square(tmp_path):
    large = datasets.load("rendered_dsprites", tmp_path)
    small = datasets.load("rendered_dsprites", tmp_path, resolution=np.int64(32))
    index = np.arange(0, large.size, 70_001)
    means = large.images(index).reshape(-1, 32, 2, 32, 2, 1).mean((2, 4))
    np.testing.assert_array_equal(small.images(index), np.floor(means + 0.5))
    assert small.image_shape == (32, 32, 1) and small.name == "rendered_dsprites at 32x32"
    np.testing.assert_array_equal(small.factors(index), large.factors(index))


def test_an_array_on_disk_is_reduced_on_the_host():
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    whole = datasets.Dataset("whole", (), (), (32, 32, 3), images, datasets.rows, np.zeros((5, 0), np.int32))
    expected = np.floor(images.reshape(5, 16, 2, 16, 2, 3).mean((2, 4)) + 0.5)
    np.testing.assert_array_equal(whole.at(16).images([0, 1, 2, 3, 4]), expected)


@pytest.mark.parametrize("resolution", [24, 48, 128, 8])
def test_a_resolution_that_does_not_divide_the_sides_is_an_error(tmp_path, resolution):
    with pytest.raises(UserError, match=f"data.resolution: {resolution} .* rendered_dsprites of 64x64; .*16, 32, 64"):
        datasets.load("rendered_dsprites", tmp_path).at(resolution)
