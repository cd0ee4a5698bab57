"""UDR on runs that agree, that do not, and against disentanglement_lib's formula in plain loops."""

import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.metrics.shared.agreement import udr


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def codes(rng):
    whitened = np.linalg.qr(rng.standard_normal((2000, 5)) - 0)[0]
    centered = whitened - whitened.mean(axis=0)
    return np.linalg.qr(centered)[0] * np.sqrt(2000)  # uncorrelated, of variance 1


def test_a_permuted_sign_flipped_copy(codes):
    kl = np.ones(5)
    found = udr([codes, -codes[:, [3, 1, 4, 0, 2]]], [kl, kl])
    assert found["lasso"] == pytest.approx([0.9, 0.9], abs=1e-4)  # the penalty takes 0.1 of 1
    copy = np.stack([np.argsort(np.argsort(unit)) for unit in codes.T], axis=1)
    assert udr([codes, -copy], [kl, kl])["spearman"] == pytest.approx(found["spearman"], abs=1e-9)
    assert all(0.85 < score <= 1 for score in found["spearman"])


def test_spearman_is_1_for_independent_units():
    grid = np.stack(np.unravel_index(np.arange(1000), (10, 10, 10)), axis=1).astype(float)
    found = udr([grid, -grid[:, [2, 0, 1]]], np.ones((2, 3)))
    assert found["spearman"] == pytest.approx([1, 1], abs=1e-12)
    assert found["lasso"] == pytest.approx([0.9, 0.9], abs=1e-6)


def test_a_rotation_agrees_less_than_a_copy(rng, codes):
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    found = udr([codes, codes, codes @ rotation], np.ones((3, 5)))
    assert 0 <= found["spearman"][2] < 0.6
    assert found["spearman_pairs"][0][0] is None
    assert found["spearman_pairs"][0][1] > 0.85
    assert found["spearman_pairs"][0][2] < 0.6


def test_uninformative_units_and_other_numbers_of_units(rng, codes):
    wide = np.concatenate([codes, rng.standard_normal((2000, 2))], axis=1)
    kl = np.ones(5)
    found = udr([codes, wide], [kl, np.append(kl, [0.001, 0.009])])
    assert found["informative_units"] == [5, 5]
    assert found["lasso"] == udr([codes, codes.copy()], [kl, kl])["lasso"]
    assert udr([codes, wide], [kl, np.append(kl, [1, 1])])["informative_units"] == [5, 7]
    assert udr([codes, wide], [kl, np.zeros(7)])["lasso"] == [0, 0]


def test_the_protocols_differ_in_how_units_are_counted(rng):
    grid = np.stack(np.unravel_index(np.arange(1000), (10, 10, 10)), axis=1).astype(float)
    runs, kl = [grid, grid[:, :1]], [np.ones(3), np.ones(1)]
    library, paper = (udr(runs, kl, protocol=name)["spearman"] for name in ("library", "paper"))
    assert library == pytest.approx([(1 / 3 + 1) / 2] * 2)
    assert paper == pytest.approx([2 / 4] * 2)


@pytest.mark.parametrize(
    ("runs", "kl", "message"),
    [
        ([np.zeros((5, 2))], [np.ones(2)], "1 and 1 runs must be as many of each, at least 2"),
        ([np.zeros((5, 2)), np.zeros((4, 2))], np.ones((2, 2)), r"codes: shapes \(5, 2\), \(4, 2\)"),
        (
            [np.zeros((5, 2)), np.zeros((5, 3))],
            np.ones((2, 2)),
            r"kl: shape \(2,\) in run 1 must be \(3,\), one per unit",
        ),
        (np.full((2, 5, 2), np.nan), np.ones((2, 2)), "codes: run 0 has entries that are NaN or infinite"),
    ],
)
def test_bad_input_is_a_sentence(runs, kl, message):
    with pytest.raises(UserError, match=message):
        udr(runs, kl)


def test_an_unknown_protocol_lists_the_choices():
    with pytest.raises(UserError, match="protocol: 'libary' is unknown.*library, paper"):
        udr(np.zeros((2, 5, 2)), np.ones((2, 2)), protocol="libary")
