import dataclasses

import numpy as np
import pytest

from scaledis.errors import UserError
from tests import tiny

GRID = tiny.dataset()  # ground 4, place 8, color 3
TABLE = dataclasses.replace(GRID, table=GRID.factors(np.arange(96))[:60])


def test_images_that_match_on_a_grid_and_in_a_table():
    rng = np.random.default_rng(0)
    on_grid = GRID.factors(GRID.matching(rng, 4000, place=5))
    assert set(on_grid[:, 1]) == {5} and set(on_grid[:, 0]) == set(range(4))
    assert np.bincount(on_grid[:, 2]).min() > 1000
    in_table = TABLE.factors(TABLE.matching(rng, 500, ground=2))
    assert set(in_table[:, 0]) == {2} and len(set(in_table[:, 1])) == 4  # rows 48 to 59
    assert len(TABLE.matching(rng, 7)) == 7
    with pytest.raises(UserError, match="tiny has no image with {'ground': 3}"):
        TABLE.matching(rng, 1, ground=3)
    with pytest.raises(UserError, match="factor of tiny: 'grnd' is unknown"):
        GRID.matching(rng, 1, grnd=3)
    with pytest.raises(UserError, match="tiny is not a full grid of its factors"):
        TABLE.index([[0, 0, 0]])


def test_a_sample_has_different_images_and_every_value_of_a_factor():
    images, factors = GRID.sample(60, seed=3)
    index = GRID.index(factors)
    assert len(set(index.tolist())) == 60 and [len(set(column)) for column in factors.T] == [4, 8, 3]
    assert np.array_equal(images, GRID.images(index))
    assert np.array_equal(GRID.sample(60, seed=3)[1], factors) and not np.array_equal(GRID.sample(60)[1], factors)
    for number in (0, 97):
        with pytest.raises(UserError, match=f"number: {number} must be from 1 to 96, the images of tiny"):
            GRID.sample(number)
