"""The largest gain of a grid against grids whose runs have their b at random."""

import itertools

import numpy as np
import pytest

from experiments import permutations


def test_one_gain_in_every_seed_is_the_one_best_order_of_all():
    scores = np.array([[[0.1, 0.3], [0.2, 0.4], [0.0, 0.2]]])  # one condition, three seeds, two blocks
    found = permutations.largest_gain(scores)
    assert found.exact and (found.condition, found.block) == (0, 1) and found.gain == pytest.approx(0.2)
    assert found.p == pytest.approx(1 / 8)  # each of the three signs has to be what it is
    assert found.by_chance == pytest.approx(0)


def test_all_orders_are_those_of_itertools():
    scores = np.random.default_rng(0).random((2, 1, 3))
    found = permutations.largest_gain(scores)
    gains = [
        max(row[block] - row[0] for row in rows for block in (1, 2))
        for rows in itertools.product(*(itertools.permutations(of[0]) for of in scores))
    ]
    observed = max(of[0][block] - of[0][0] for of in scores for block in (1, 2))
    assert found.gain == pytest.approx(observed) and found.by_chance == pytest.approx(np.mean(gains))
    assert found.p == pytest.approx(np.mean(np.array(gains) >= observed - 1e-12)) and len(gains) == 36


def test_drawn_orders_agree_with_all_of_them_and_a_large_gain_is_found_where_it_is():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2, 3, 2))
    exact, drawn = permutations.largest_gain(scores), permutations.largest_gain(scores, draws=63)
    assert exact.exact and not drawn.exact and drawn.gain == exact.gain
    many = permutations.largest_gain(np.concatenate([scores] * 4), draws=4000)
    assert not many.exact
    scores = rng.normal(size=(6, 5, 4))
    chance = permutations.largest_gain(scores, draws=500)
    assert chance.gain > 0 and chance.p > 0.05  # some cell is always above the first
    scores[3, :, 2] += 5
    found = permutations.largest_gain(scores, draws=500)
    assert (found.condition, found.block) == (3, 2) and found.p == pytest.approx(1 / 501) and found.gain > found.high


def test_conditions_may_have_other_numbers_of_seeds():
    rng = np.random.default_rng(2)
    scores = [rng.random((seeds, 2)) for seeds in (1, 3, 2)]
    found = permutations.largest_gain(scores)
    signs = itertools.product((1, -1), repeat=6)
    gaps = np.split(np.array([*signs]) * np.concatenate([each[:, 1] - each[:, 0] for each in scores]), (1, 4), axis=1)
    gains = np.max([each.mean(1) for each in gaps], axis=0)
    assert found.exact and found.gain == pytest.approx(gains[0]) and found.by_chance == pytest.approx(gains.mean())
    assert found.p == pytest.approx(np.mean(gains >= gains[0] - 1e-12))


def test_a_grid_with_a_hole_is_none():
    scores = np.zeros((1, 2, 2))
    with pytest.raises(ValueError, match="finite"):
        permutations.largest_gain(np.where(np.eye(2), np.nan, scores))
    with pytest.raises(ValueError, match="two or more blocks"):
        permutations.largest_gain(scores[..., :1])
    with pytest.raises(ValueError, match="finite"):
        permutations.largest_gain([np.zeros((2, 2)), np.zeros((0, 2))])
