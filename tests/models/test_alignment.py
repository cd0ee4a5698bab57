"""Units of several runs in common places: planted orders and signs are found again, and noise agrees with nothing."""

import itertools

import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from scipy.stats import spearmanr

import scaledis
from scaledis.core.errors import UserError
from tests import tiny

RNG = np.random.default_rng(0)
ORDERS, SIGNS = ([0, 1, 2, 3, 4], [3, 0, 4, 2, 1], [4, 3, 2, 1, 0]), ([1, 1, 1, 1, 1], [1, -1, -1, 1, 1], [-1] * 5)


def planted(noise=0.2, rows=1000):
    """Codes of three runs: four common directions and, in place 4, noise that each run has alone."""
    common = RNG.standard_normal((rows, 4))
    runs = []
    for order, signs in zip(ORDERS, SIGNS, strict=True):
        own = np.concatenate([common + noise * RNG.standard_normal(common.shape), RNG.standard_normal((rows, 1))], 1)
        codes = np.empty_like(own)
        codes[:, order] = np.sinh(own) * signs  # monotone: ranks stay
        runs.append(codes)
    return runs


def test_planted_orders_and_signs_are_found_again():
    runs = planted()
    found = scaledis.align(runs)
    assert [list(row) for row in found.order[:, np.argsort(found.order[0])]] == [list(order) for order in ORDERS]
    signs = found.signs[:, np.argsort(found.order[0])][:, :4]
    assert np.array_equal(signs * signs[0], np.asarray(SIGNS)[:, :4])
    assert np.array_equal(found.found, found.order[0] < 4) and 0 < found.threshold < 0.15
    assert str(found).startswith("Alignment(3 runs, 4 of 5 units found")
    aligned = [found.apply(number, codes) for number, codes in enumerate(runs)]
    for place in np.flatnonzero(found.found):
        pairs = [spearmanr(a[:, place], b[:, place]).statistic for a, b in itertools.combinations(aligned, 2)]
        assert min(pairs) > 0.9 and found.consistency[place] == pytest.approx(np.mean(pairs), abs=1e-9)


def test_independent_noise_finds_nothing_and_its_threshold_is_exceeded_in_one_case_of_a_hundred():
    runs = [[RNG.standard_normal((400, 6)) for _ in range(3)] for _ in range(60)]
    found = [scaledis.align(each, seed=number) for number, each in enumerate(runs)]
    assert sum(each.found.any() for each in found) <= 3  # 0.6 expected
    assert all(each.consistency.max() > 0.5 * each.threshold for each in found)


def test_a_run_with_fewer_units_leaves_places_empty_and_a_dead_unit_is_not_found():
    first, second, _ = planted()
    second[:, ORDERS[1][0]] = 7.0  # a constant unit
    found = scaledis.align([first, second[:, :4]])
    empty = found.order == -1
    assert empty.sum() == 1 and found.order.shape == (2, 5)
    run, place = np.argwhere(empty)[0]
    assert not found.found[place] and np.array_equal(found.apply(run, second[:, :4])[:, place], np.zeros(1000))
    assert found.found.sum() == 2 and 0 <= found.consistency.min() and found.consistency.max() <= 1


def test_models_are_aligned_on_images_of_a_data_set():
    dataset = tiny.dataset()
    population = tiny.population([tiny.config(seed=seed) for seed in range(2)], dataset)
    runs = population.init()
    models = [population.model(runs, slot) for slot in range(2)]
    images = dataset.images(np.arange(96))
    found = scaledis.align(models, dataset)
    by_hand = scaledis.align([model.encode(images).mean for model in models])
    assert np.allclose(np.sort(found.consistency), np.sort(by_hand.consistency), atol=1e-6)
    assert np.allclose(scaledis.align([models[0], models[0]], images).consistency, 1)


def test_runs_of_any_framework_are_aligned():
    runs = planted(rows=100)
    found = scaledis.align([pandas.DataFrame(runs[0]), jnp.asarray(runs[1]), runs[2].tolist()])
    assert np.array_equal(found.order, scaledis.align(runs).order)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([np.ones((4, 2))], "runs: 1; at least two"),
        ([np.ones((4, 2)), np.ones((5, 2))], "runs"),
        ([np.ones((4, 2)), np.full((4, 2), np.nan)], r"runs: 1 has codes \[4, 2\]; expected finite \[4, K\]"),
        ([np.ones(4), np.ones(4)], r"runs: 0 has codes \[4\]"),
        ("codes", "runs: 'codes'"),
        ([object(), np.ones((4, 2))], "runs: "),
    ],
)
def test_what_cannot_be_aligned_is_a_sentence(runs, message):
    with pytest.raises(UserError, match=message):
        scaledis.align(runs)
