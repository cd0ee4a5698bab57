"""Level metrics on hierarchies whose allocation is known, and the exact dependence against closed forms."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from scaledis import metrics
from scaledis.metrics.shared import aggregate
from tests.metrics import crafted

FACTORS = crafted.grid(*crafted.SIZES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_level_that_knows_all_beside_noise(rng):
    codes = np.concatenate([FACTORS, rng.standard_normal(FACTORS.shape)], axis=1)
    scores = metrics.compute("level", codes, FACTORS, levels=[0, 0, 0, 1, 1, 1])
    assert 0 <= scores["level/redundancy"] < 0.02
    assert 0.97 < scores["level/concentration"] <= 1
    assert 0.98 < scores["level/gap"] <= 1
    np.testing.assert_allclose(scores["level/allocation"], [[1, 1, 1], [0, 0, 0]], atol=0.02)
    np.testing.assert_allclose(scores["level/informativeness"], [[1, 1, 1], [0, 0, 0]], atol=0.07)


def test_levels_that_repeat_each_other():
    scores = metrics.compute("level", np.tile(FACTORS, 2), FACTORS, levels=[0, 0, 0, 1, 1, 1])
    assert scores["level/redundancy"] == pytest.approx(1)
    assert scores["level/gap"] == pytest.approx(0)
    assert scores["level/concentration"] == pytest.approx(0)
    np.testing.assert_allclose(scores["level/allocation"], 0.5)


def test_a_level_for_each_factor():
    scores = metrics.compute("level", FACTORS, FACTORS, levels=[0, 1, 2])
    np.testing.assert_allclose(scores["level/allocation"], np.eye(3), atol=1e-12)
    assert scores["level/redundancy"] == 0
    assert scores["level/concentration"] == 1
    np.testing.assert_allclose(scores["level/informativeness"], np.eye(3), atol=0.05)


def test_without_levels_all_units_are_one():
    scores = metrics.compute("level", FACTORS, FACTORS)
    assert scores["level/concentration"] == 1
    assert scores["level/redundancy"] == 0
    assert scores["level/allocation"] == [[1, 1, 1]]
    assert scores["level/informativeness"] is None
    assert scores["level/warnings"] == ["levels: none are given; all units are one level"]


def test_the_chain_rule_is_exact(rng):
    means, log_variances = rng.standard_normal((300, 5)), rng.normal(-2, 0.5, (300, 5))
    factors = rng.integers(3, size=(300, 2))
    scores = metrics.compute(
        "level",
        means,
        factors,
        levels=[0, 0, 1, 1, 2],
        log_variances=log_variances,
        options={"level": {"samples": 200}},
    )
    assert scores["level/tc_total"] == pytest.approx(
        sum(scores["level/tc_within"]) + scores["level/tc_between"], abs=1e-9
    )
    assert scores["level/tc_within"][2] == pytest.approx(0, abs=1e-12)  # one unit depends on no other
    assert len(scores["level/tc_within_error"]) == 3 and scores["level/tc_between_error"] > 0


def test_log_densities_equal_the_plain_mixture(rng):
    codes, means, log_variances = rng.standard_normal((3, 2)), rng.standard_normal((40, 2)), rng.normal(size=(40, 2))
    table = aggregate.log_densities(codes, means, log_variances, np.array([[1, 1], [1, 0], [0, 1]]))
    each = norm.pdf(codes[:, None], means, np.exp(0.5 * log_variances))
    expected = [each.prod(axis=2), each[..., 0], each[..., 1]]
    np.testing.assert_allclose(table, np.log(np.mean(expected, axis=2)).T, atol=1e-12)


def test_the_dependence_of_a_correlated_gaussian(rng):
    correlation = 0.9
    means = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 4000)
    noise = 0.05
    found = aggregate.dependence(means, np.full((4000, 2), math.log(noise)), np.array([0, 1]), rng, 2000)
    expected = -0.5 * math.log(1 - (correlation / (1 + noise)) ** 2)
    assert found["tc_between"] == pytest.approx(expected, abs=4 * found["tc_between_error"] + 0.03)
    assert found["tc_within"] == pytest.approx([0, 0], abs=1e-12)
    assert 0 < found["tc_between_error"] < 0.1
