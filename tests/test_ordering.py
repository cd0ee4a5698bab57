"""Names in which numbers stand are in the order of the numbers."""

import numpy as np
import pytest

from scaledis.core.ordering import natural, ranked


@pytest.mark.parametrize(
    "names",
    [
        [str(number) for number in range(12)],
        ["-10", "-2", "-1", "0", "+3", "20"],
        ["-1.5", "-.5", "0.25", "0.5", "1", "1e2", "2E3"],
        ["scale_-1", "scale_0.25", "scale_0.5", "scale_0.75", "scale_1", "scale_10"],
        ["x=-2", "x=-1", "x=1e-3", "x=0.01", "x=2"],
        ["run-1", "run-2", "run-10"],  # a dash between words is no sign
        ["2020-01-05", "2020-01-12", "2020-02-01"],
        ["img9_2", "img9_10", "img10_1"],
        ["5deg", "45deg", "90deg"],
        ["9" * 5000, "1" + "0" * 5000],
        ["01", "1", "2"],
        ["0", ".", "a", "b"],
        ["Z", "a", "ä"],
    ],
)
def test_names_are_in_the_order_of_their_numbers(names):
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(names)
        assert sorted(shuffled.tolist(), key=natural) == names
        values, ranks = ranked(shuffled)
        assert values.tolist() == names and (values[ranks] == shuffled).all()


def test_numbers_are_ranked_as_numpy_does_and_nothing_has_no_rank():
    values, ranks = ranked(np.array([10, 9, -1, 9]))
    assert values.tolist() == [-1, 9, 10] and ranks.tolist() == [2, 1, 0, 1]
    assert ranked(np.array([True, False]))[1].tolist() == [1, 0]
    values, ranks = ranked(np.array([], str))
    assert values.shape == ranks.shape == (0,)
