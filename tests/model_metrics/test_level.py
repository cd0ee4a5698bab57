"""Whether higher levels move more, on decoders whose change is known."""

import itertools

import numpy as np
import pytest

from scaledis.metrics import of_models
from scaledis.metrics.of_models import level
from scaledis.model import Model
from scaledis.types import Codes
from tests import tiny

DATA = tiny.dataset()


def model(reach, levels, steps=1.0, dead=()):
    """Unit j brightens `reach[j]` of the 256 pixels by `steps` of 255 levels for each unit that it goes up."""
    levels, alive = np.asarray(levels), ~np.isin(np.arange(len(reach)), dead)
    mask = (np.arange(256) < np.asarray(reach)[:, None]).reshape(-1, 16, 16, 1) * np.ones(3)

    def encode(images):
        mean = np.random.default_rng(0).normal(size=(len(images), len(levels))) * alive
        return Codes(mean.astype(np.float32), np.where(alive, -4.0, 0.0) * np.ones_like(mean), levels)

    def decode(codes):
        return (0.5 + steps / 255 * np.einsum("nk,khwc->nhwc", codes, mask)).astype(np.float32)

    return Model(tiny.config(), 0, None, encode, decode)


def scores(given):
    return of_models.compute("level", given, DATA)


def test_higher_levels_that_move_more_pixels_score_one_and_lower_ones_minus_one():
    found = scores(model([200, 100, 10], [0, 1, 2], steps=2))
    assert found["level/order"] == found["level/order_change"] == 1 and found["level/warnings"] == []
    np.testing.assert_allclose(found["level/moved_per_unit"], np.array([200, 100, 10]) / 256)
    np.testing.assert_allclose(found["level/change_per_unit"], 2 * 4 * np.array([200, 100, 10]) / 256, rtol=1e-4)
    assert scores(model([10, 100, 200], [0, 1, 2], steps=2))["level/order"] == -1


@pytest.mark.parametrize(("steps", "moved"), [(0.99, 0), (1.01, 100 / 256)])
def test_a_pixel_moves_if_it_changes_by_more_than_four_levels_in_all(steps, moved):
    assert scores(model([100, 100], [0, 1], steps))["level/moved_per_unit"] == [moved, moved]


def test_order_is_kendalls_tau_b_of_all_pairs():
    reach, levels = np.array([120, 30, 60, 60, 10]), np.array([0, 0, 1, 1, 2])
    pairs = list(itertools.combinations(range(5), 2))
    signs = [(np.sign(levels[j] - levels[i]), np.sign(reach[i] - reach[j])) for i, j in pairs]
    agree = sum(a * b for a, b in signs)
    untied = np.prod([sum(sign[side] != 0 for sign in signs) for side in (0, 1)])
    found = scores(model(reach, levels, steps=2))
    assert found["level/order"] == pytest.approx(agree / np.sqrt(untied), abs=1e-12)
    assert level.tau(np.array([1, 1, 0, 0]), np.array([4, 3, 2, 1])) == pytest.approx(4 / np.sqrt(24))


def test_dead_units_do_not_count_and_without_two_levels_there_is_no_order():
    assert scores(model([1, 200, 100], [0, 0, 1], steps=2, dead=[0]))["level/order"] == 1
    for given in (model([9, 5], [0, 0]), model([9, 5], [0, 1], dead=[1])):
        found = scores(given)
        assert found["level/order"] is None and "fewer than two levels" in found["level/warnings"][0]
