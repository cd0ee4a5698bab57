import dataclasses

import numpy as np
import pytest

from scaledis.core.errors import UserError
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
    with pytest.raises(UserError, match="number: 97 must be a whole number from 1 to 96, the images of tiny"):
        GRID.sample(97)


@pytest.mark.parametrize("images", [GRID, TABLE])
def test_no_index_is_an_index_and_a_wrong_one_is_named(images):
    for none in ([], np.array([], np.int64), range(0)):
        assert images.images(none).shape == (0, 16, 16, 3) and images.factors(none).shape == (0, 3)
    for kind in (np.uint8, np.int16, list):
        given = [1, 5] if kind is list else np.array([1, 5], kind)
        assert np.array_equal(images.images(given), images.images(np.array([1, 5])))
    for wrong in (
        -1,
        3,
        "a",
        None,
        [0.0],
        [0.5],
        [True],
        [[0, 1]],
        [-1],
        [0, images.size],
        ["a"],
        [None],
        [[0], [1, 2]],
    ):
        for method in (images.images, images.factors):
            with pytest.raises(UserError, match="^index: "):
                method(wrong)


def test_what_the_methods_take_is_named_where_it_is_wrong():
    assert GRID.index([]).shape == GRID.index(np.zeros((0, 3))).shape == (0,) and GRID.index([[3, 7, 2]]) == [95]
    for wrong in (3, "a", None, [0, 0, 0], [[0, 0]], [[0.0, 0, 0]], [[0, 8, 0]], [[-1, 0, 0]], [[[0, 0, 0]]]):
        with pytest.raises(UserError, match="^factors: "):
            GRID.index(wrong)
    for number in (0, -1, 97, 1.0, "3", None, True, [3]):
        with pytest.raises(UserError, match="^number: "):
            GRID.sample(number)
    for seed in (-1, "a", None, 0.5):
        with pytest.raises(UserError, match="^seed: "):
            GRID.sample(3, seed)
    rng = np.random.default_rng(0)
    for given, name in [((0, 1), "rng"), ((rng, -1), "n"), ((rng, "3"), "n"), ((rng, 1.0), "n")]:
        with pytest.raises(UserError, match=f"^{name}: "):
            GRID.matching(*given)
    for value in (8, -1, "a", None, 1.0):
        for images in (GRID, TABLE):
            with pytest.raises(UserError, match="^place: .* must be a whole number from 0 to 7"):
                images.matching(rng, 1, place=value)
    for resolution in (0, -16, "16", None, 16.0):
        with pytest.raises(UserError, match="^data.resolution: "):
            GRID.at(resolution)


@pytest.mark.parametrize(
    "change",
    [
        {"factor_names": ("ground", "pl\ud800ace", "colour")},
        {"factor_values": (np.array(["a", "b\udfff", "c", "d"]), *GRID.factor_values[1:])},
        {"name": "my \udcff"},
        {"factor_names": ("ground", 3, "colour")},
    ],
)
def test_a_name_that_no_file_can_hold_is_refused(change):
    with pytest.raises(UserError, match=r"the name ('.*\\ud.*'|3) is no UTF-8 text; rename it") as error:
        dataclasses.replace(GRID, **change)
    assert str(error.value).encode()
