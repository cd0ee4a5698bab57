"""MIG and mutual information against plain loops, scikit-learn and codes whose score is known."""

import math
from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from scaledis import metrics
from scaledis.core.errors import UserError
from scaledis.metrics import mig
from tests.metrics import crafted

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
    np.testing.assert_allclose(metrics.information(codes, factors), expected, rtol=0, atol=1e-12)


def test_entropy_is_the_information_of_a_factor_with_itself(factors):
    expected = [mutual_info_score(factor, factor) for factor in factors.T]
    np.testing.assert_allclose(metrics.entropy(factors), expected, rtol=0, atol=1e-12)


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
    np.testing.assert_allclose(metrics.information(codes, factors)[-1], 0, atol=1e-12)
    assert mig.compute(codes, factors)["mig"] == pytest.approx(mig.compute(codes[:, :3], factors)["mig"], abs=1e-12)


def test_a_single_unit_leads_by_all_it_carries(factors):
    codes = factors[:, :1].astype(float)
    assert mig.compute(codes, factors[:, :1])["mig"] == pytest.approx(1)


def test_a_factor_of_183_classes_is_not_binned(rng):
    factors = rng.integers(183, size=(5000, 1))
    codes = np.concatenate([factors, np.zeros((5000, 1))], axis=1)
    score = mig.compute(codes, factors)["mig"]
    assert score == pytest.approx(slow_mig(codes, factors), abs=1e-12)
    assert score == pytest.approx(math.log(20) / math.log(183), abs=0.01)


def test_hfs_bins_the_factors_too(rng):
    factors = np.stack([rng.integers(24, size=20_000), rng.integers(183, size=20_000)], axis=1)
    library, hfs = (metrics.compute("mig", factors, factors, protocol=name) for name in ("library", "hfs"))
    assert hfs["mig/mig"] == pytest.approx(1, abs=0.01)
    assert library["mig/per_factor"] == pytest.approx([0.925, 0.56], abs=0.02)
    assert (library["mig/protocol"], hfs["mig/protocol"]) == ("library", "hfs")


def test_order_scale_and_class_numbers_do_not_matter(rng, factors):
    codes = factors @ rng.standard_normal((3, 6)) + rng.standard_normal((3000, 6))
    score = mig.compute(codes, factors)["mig"]
    assert mig.compute(codes[:, ::-1], factors)["mig"] == pytest.approx(score, abs=1e-12)
    assert mig.compute(-4 * codes, factors)["mig"] == pytest.approx(score, abs=1e-12)
    assert mig.compute(codes, -5 * factors)["mig"] == pytest.approx(score, abs=1e-12)


def test_a_collapsed_unit_scores_by_its_means_and_not_by_its_samples(rng, factors):
    means, log_variances = 1e-6 * factors[:, :1], np.zeros((3000, 1))
    scores = metrics.compute("mig", means, factors[:, :1], log_variances=log_variances)
    assert scores["mig/mig"] == pytest.approx(1)
    assert 0 <= scores["mig/mig_sampled"] < 0.05
    assert scores["mig/unit_kl_nats"] == pytest.approx([0], abs=1e-9)
    paper = metrics.compute("mig", means, factors[:, :1], protocol="paper", log_variances=log_variances)
    assert paper["mig/mig"] == paper["mig/mig_sampled"] == scores["mig/mig_sampled"]


def test_an_outlier_is_named_and_quantile_bins_do_not_see_it():
    codes, factors, _ = crafted.outlier()
    scores = metrics.compute("mig", codes, factors)
    assert scores["mig/mig"] == 0
    assert [sentence[:27] for sentence in scores["mig/warnings"]] == [
        f"unit {n}: 19 of 20 bins empty" for n in range(3)
    ]
    quantile = metrics.compute("mig", codes, factors, options={"mig": {"binning": "quantile"}})
    assert 0.98 < quantile["mig/mig"] <= 1
    assert quantile["mig/warnings"] == []
    assert metrics.compute("mig", *crafted.CODES["perfect"][:2])["mig/warnings"] == []


def test_bins_must_be_positive(factors):
    with pytest.raises(UserError, match="bins: 0 must be a number from 1"):
        metrics.information(factors, factors, bins=0)


def test_information_above_chance(rng, factors):
    noise = rng.standard_normal((3000, 2))
    nats, corrected = (metrics.information(noise, factors, corrected=corrected) for corrected in (False, True))
    chance = 19 * (np.array(SIZES) - 1) / 6000
    np.testing.assert_allclose(nats.mean(axis=0), chance, rtol=0.3)
    np.testing.assert_allclose(corrected, np.maximum(nats - chance, 0), atol=1e-3)  # some of the bins are empty
