import dataclasses

import jax
import numpy as np
import pytest

from scaledis.config import Data
from tests import tiny

GRID = tiny.dataset()  # ground 4, place 8, colour 3
TABLE = dataclasses.replace(GRID, table=GRID.factors(np.arange(96))[:60], held_out=np.arange(50, 60, dtype=np.int32))


def drawn(dataset, data, n=20_000):
    arrays = sampling.sampling(dataset, data)
    return np.asarray(jax.jit(sampling.draw, static_argnums=2)(arrays, jax.random.key(0), n))


def test_every_image_is_as_likely_where_nothing_is_correlated():
    counts = np.bincount(drawn(GRID, Data()), minlength=96)
    assert len(counts) == 96 and np.abs(counts / counts.mean() - 1).max() < 0.3


def test_a_pair_is_correlated_as_its_equation_says_and_the_rest_is_not():
    factors = GRID.factors(drawn(GRID, Data(correlation=(("ground", "place", 0.2),)), 60_000))
    found = np.zeros((4, 8))
    np.add.at(found, (factors[:, 0], factors[:, 1]), 1 / len(factors))
    expected = np.exp(-((np.arange(4)[:, None] / 3 - np.arange(8) / 7) ** 2) / (2 * 0.2**2))
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.005)
    assert abs(np.corrcoef(factors[:, 0], factors[:, 2])[0, 1]) < 0.02
    assert np.corrcoef(factors[:, 0], factors[:, 1])[0, 1] > 0.7


def test_a_wide_correlation_is_none_and_two_pairs_go_together():
    factors = GRID.factors(drawn(GRID, Data(correlation=(("ground", "place", 100.0),))))
    assert abs(np.corrcoef(factors[:, 0], factors[:, 1])[0, 1]) < 0.03
    both = GRID.factors(drawn(GRID, Data(correlation=(("ground", "place", 0.2), ("place", "colour", 0.2)))))
    assert np.corrcoef(both.T)[0, 1] > 0.6 and np.corrcoef(both.T)[1, 2] > 0.6


def test_splits_are_disjoint_the_same_each_time_and_of_the_given_share():
    data = Data(held_out=0.25)
    train, held_out = (sampling.split(GRID, data, name) for name in ("train", "held_out"))
    assert len(held_out) == 24 and not set(train) & set(held_out)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), sampling.split(GRID, data, "all"))
    np.testing.assert_array_equal(held_out, sampling.split(GRID, data, "held_out"))
    assert set(drawn(GRID, data)) == set(train)


def test_the_data_sets_own_split_holds_unless_another_is_asked_for():
    np.testing.assert_array_equal(sampling.split(TABLE, Data(), "held_out"), np.arange(50, 60))
    assert len(sampling.split(TABLE, Data(held_out=0.5), "held_out")) == 30
    with pytest.raises(ValueError, match="data.held_out: 0.0 leaves no images of tiny in the split 'held_out'"):
        sampling.split(GRID, Data(), "held_out")


def test_correlated_factors_of_a_table_stay_in_its_rows():
    index = drawn(TABLE, Data(correlation=(("ground", "place", 0.2),)))
    assert index.max() < 50


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((("ground", "colr", 0.2),), "data.correlation: 'colr' is unknown. Did you mean 'colour'"),
        ((("ground", "ground", 0.2),), "must be .factor, other factor, sigma above 0."),
        ((("ground", "colour"),), "must be"),
        ((("ground", "colour", 0),), "must be"),
        (("ground", "colour", 0.2), "'ground' must be"),
    ],
)
def test_what_cannot_be_correlated_is_an_error(pairs, message):
    with pytest.raises(ValueError, match=message):
        sampling.check(Data(correlation=pairs))
        sampling.sampling(GRID, Data(correlation=pairs))


def test_images_that_match_on_a_grid_and_in_a_table():
    rng = np.random.default_rng(0)
    on_grid = GRID.factors(GRID.matching(rng, 4000, place=5))
    assert set(on_grid[:, 1]) == {5} and set(on_grid[:, 0]) == set(range(4))
    assert np.bincount(on_grid[:, 2]).min() > 1000
    in_table = TABLE.factors(TABLE.matching(rng, 500, ground=2))
    assert set(in_table[:, 0]) == {2} and len(set(in_table[:, 1])) == 4  # rows 48 to 59
    assert len(TABLE.matching(rng, 7)) == 7
    with pytest.raises(ValueError, match="tiny has no image with {'ground': 3}"):
        TABLE.matching(rng, 1, ground=3)
    with pytest.raises(ValueError, match="factor of tiny: 'grnd' is unknown"):
        GRID.matching(rng, 1, grnd=3)
    with pytest.raises(ValueError, match="tiny is not a full grid"):
        TABLE.index([[0, 0, 0]])
