"""Images to codes and codes to images, and codes that move."""

import numpy as np

from scaledis import coding
from scaledis.population import Model
from scaledis.types import Codes
from tests import tiny

MEAN = np.linspace(-0.9, 0.7, 10).astype(np.float32)


def test_a_traversal_moves_one_unit_through_the_seven_values():
    codes = coding.traversed(MEAN)
    assert codes.shape == (10, 7, 10)
    for unit in range(10):
        np.testing.assert_array_equal(codes[unit, :, unit], [-3, -2, -1, 0, 1, 2, 3])
        others = np.arange(10) != unit
        np.testing.assert_array_equal(codes[unit][:, others], np.tile(MEAN[others], (7, 1)))


def test_the_traversals_of_several_images_are_those_of_each():
    several = coding.traversed(np.stack([MEAN, -MEAN]), -2, 2, 5)
    np.testing.assert_array_equal(several, np.stack([coding.traversed(each, -2, 2, 5) for each in (MEAN, -MEAN)]))


def test_chunks_have_one_shape_and_leave_the_order_as_it_is():
    shapes = set()

    def encode(images):
        shapes.add(images.shape)
        mean = images.reshape(len(images), -1)[:, :3].astype(np.float32)
        return Codes(mean, -mean, np.zeros(3, int))

    def decode(codes):
        shapes.add(codes.shape)
        return codes[:, None, None]

    data = tiny.dataset()
    model, index = Model(tiny.config(), 0, None, encode, decode), np.arange(90)[::-1]
    codes = coding.encode_images(model, data, index)
    np.testing.assert_array_equal(codes.mean, data.images(index).reshape(90, -1)[:, :3])
    np.testing.assert_array_equal(codes.log_variance, -codes.mean)
    np.testing.assert_array_equal(coding.decode_codes(model, codes.mean)[:, 0, 0], codes.mean)
    assert shapes == {(coding.ENCODED, *data.image_shape), (coding.DECODED, 3)}
