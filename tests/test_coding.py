"""Images to codes and codes to images, and codes that move."""

import numpy as np
import pytest

from scaledis.core import chunks
from scaledis.metrics.of_models.shared import coding
from scaledis.model import Model, traversed
from scaledis.types import Codes
from tests import tiny

MEAN = np.linspace(-0.9, 0.7, 10).astype(np.float32)


def test_a_traversal_moves_one_unit_through_the_seven_values():
    codes = traversed(MEAN)
    assert codes.shape == (10, 7, 10)
    for unit in range(10):
        np.testing.assert_array_equal(codes[unit, :, unit], [-3, -2, -1, 0, 1, 2, 3])
        others = np.arange(10) != unit
        np.testing.assert_array_equal(codes[unit][:, others], np.tile(MEAN[others], (7, 1)))


def test_the_traversals_of_several_images_are_those_of_each():
    several = traversed(np.stack([MEAN, -MEAN]), -2, 2, 5)
    np.testing.assert_array_equal(several, np.stack([traversed(each, -2, 2, 5) for each in (MEAN, -MEAN)]))


def test_images_are_read_in_blocks_of_one_shape_and_stay_in_order(monkeypatch):
    shapes = set()

    def encode(images):
        shapes.add(images.shape)
        mean = images[:, 0, 0].astype(np.float32)
        return Codes(mean, -mean, np.zeros(3, int))

    monkeypatch.setattr(coding, "READ", 32)
    data = tiny.dataset()
    model = Model(tiny.config(), 0, None, encode, None)
    for index in (np.arange(90)[::-1], np.arange(0)):
        codes = coding.encode_images(model, data, index)
        np.testing.assert_array_equal(codes.mean, data.images(index)[:, 0, 0])
        np.testing.assert_array_equal(codes.log_variance, -codes.mean)
    assert shapes == {(32, *data.image_shape)}


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 90])
def test_chunks_have_one_shape_whatever_the_number_of_rows(count):
    rows = np.arange(2 * count).reshape(count, 2)
    parts = list(chunks.chunked(rows))
    assert {part.shape for part in parts} == {(chunks.ROWS, 2)} and len(parts) == max(1, -(-count // chunks.ROWS))
    np.testing.assert_array_equal(chunks.joined(parts, count), rows)
