"""MIG and mutual information against plain loops, scikit-learn and codes whose score is known."""

import math
from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from scaledis import metrics
from scaledis.metrics import mig

SIZES = (10, 8, 4)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return np.stack([rng.integers(size, size=3000) for size in SIZES], axis=1)


def binned(unit: np.ndarray, bins: int) -> np.ndarray:
    """Bin numbers from numpy's own histogram edges."""
    return np.digitize(unit, np.histogram(unit, bins)[1][1:-1])


def slow_entropy(symbols: list) -> float:
    return -sum(n / len(symbols) * math.log(n / len(symbols)) for n in Counter(symbols).values())


def slow_mig(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> float:
    """Eq. 16, one pair and one symbol at a time."""
    gaps = []
    for factor in factors.T.tolist():
        shared = []
        for unit in codes.T:
            cells = binned(unit, bins).tolist()
            joint = slow_entropy(list(zip(cells, factor, strict=True)))
            shared.append(slow_entropy(cells) + slow_entropy(factor) - joint)
        second, first = sorted(shared)[-2:]
        gaps.append((first - second) / slow_entropy(factor))
    return sum(gaps) / len(gaps)


def test_equals_the_plain_loops(rng, factors):
    codes = factors @ rng.standard_normal((3, 6)) + rng.standard_normal((3000, 6))
    assert mig.compute(codes, factors)["mig"] == pytest.approx(slow_mig(codes, factors), abs=1e-12)
    assert mig.compute(codes, factors, bins=7)["mig"] == pytest.approx(slow_mig(codes, factors, 7), abs=1e-12)


def test_mutual_information_equals_scikit_learn(rng, factors):
    codes = factors @ rng.standard_normal((3, 5)) + rng.standard_normal((3000, 5))
    expected = [[mutual_info_score(factor, binned(unit, 20)) for factor in factors.T] for unit in codes.T]
    np.testing.assert_allclose(mig.mutual_information(codes, factors), expected, rtol=0, atol=1e-12)


def test_entropy_is_the_information_of_a_factor_with_itself(factors):
    expected = [mutual_info_score(factor, factor) for factor in factors.T]
    np.testing.assert_allclose(mig.entropy(factors), expected, rtol=0, atol=1e-12)


def test_a_unit_per_factor_scores_one(rng, factors):
    assert mig.compute(factors + 1e-3 * rng.standard_normal(factors.shape), factors)["mig"] > 0.98


def test_each_unit_twice_scores_zero(factors):
    codes = np.concatenate([factors, factors], axis=1).astype(float)
    assert mig.compute(codes, factors)["mig"] == 0


def test_a_rotation_scores_low(rng):
    factors = rng.integers(10, size=(3000, 2))
    turned = factors @ np.array([[1.0, -1.0], [1.0, 1.0]])
    assert mig.compute(turned, factors)["mig"] < 0.05


def test_noise_scores_near_zero(rng, factors):
    assert mig.compute(rng.standard_normal((3000, 6)), factors)["mig"] < 0.02


def test_a_constant_unit_carries_nothing(rng, factors):
    codes = np.concatenate([factors, np.full((3000, 1), 0.3)], axis=1)
    np.testing.assert_allclose(mig.mutual_information(codes, factors)[-1], 0, atol=1e-12)
    assert mig.compute(codes, factors)["mig"] == pytest.approx(mig.compute(codes[:, :3], factors)["mig"], abs=1e-12)


def test_a_constant_factor_is_left_out_of_the_mean(rng, factors):
    codes = factors + rng.standard_normal(factors.shape)
    scores = mig.compute(codes, np.insert(factors, 1, 7, axis=1))
    expected = mig.compute(codes, factors)
    assert scores["mig"] == expected["mig"]
    assert scores["per_factor"] == [expected["per_factor"][0], None, *expected["per_factor"][1:]]


def test_a_single_unit_leads_by_all_it_carries(factors):
    codes = factors[:, :1].astype(float)
    assert mig.compute(codes, factors[:, :1])["mig"] == pytest.approx(1)


def test_a_factor_of_183_classes_is_not_binned(rng):
    factors = rng.integers(183, size=(5000, 1))
    codes = np.concatenate([factors, np.zeros((5000, 1))], axis=1)
    score = mig.compute(codes, factors)["mig"]
    assert score == pytest.approx(slow_mig(codes, factors), abs=1e-12)
    assert score == pytest.approx(math.log(20) / math.log(183), abs=0.01)


def test_order_scale_and_class_numbers_do_not_matter(rng, factors):
    codes = factors @ rng.standard_normal((3, 6)) + rng.standard_normal((3000, 6))
    score = mig.compute(codes, factors)["mig"]
    assert mig.compute(codes[:, ::-1], factors)["mig"] == pytest.approx(score, abs=1e-12)
    assert mig.compute(-4 * codes, factors)["mig"] == pytest.approx(score, abs=1e-12)
    assert mig.compute(codes, -5 * factors)["mig"] == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.array([[0.0], [np.nan]]), np.array([[0], [1]]), "codes: 1 of 2 entries are NaN or infinite"),
        (np.zeros((2, 1)), np.array([[0.0], [1.0]]), "factors: dtype float64"),
        (np.zeros(2), np.array([[0], [1]]), r"codes: shape \(2,\)"),
        (np.zeros((2, 0)), np.array([[0], [1]]), r"codes: shape \(2, 0\)"),
        (np.zeros((3, 1)), np.array([[0], [1]]), "3 and 2 rows"),
        (np.zeros((2, 1)), np.array([[4], [4]]), "all 1 are constant"),
    ],
)
def test_bad_input_is_named(codes, factors, message):
    with pytest.raises(ValueError, match=message):
        mig.compute(codes, factors)


def test_bins_must_be_positive(factors):
    with pytest.raises(ValueError, match="bins: 0"):
        mig.mutual_information(factors, factors, bins=0)


def test_metrics_are_found_and_flattened(rng, factors):
    codes = factors + rng.standard_normal(factors.shape)
    assert {"dci", "mig"} <= set(metrics.names())
    scores = metrics.compute(["mig"], codes, factors, seed=0, options={"mig": {"bins": 5}})
    assert scores == {f"mig/{name}": score for name, score in mig.compute(codes, factors, bins=5).items()}


def test_an_unknown_metric_or_option_lists_the_choices(factors):
    with pytest.raises(ValueError, match="'mgi' is unknown.*'mig'.*dci, mig"):
        metrics.compute(["mgi"], factors, factors, seed=0)
    with pytest.raises(ValueError, match="'bin' is unknown.*Choices: bins"):
        metrics.compute(["mig"], factors, factors, seed=0, options={"mig": {"bin": 5}})
