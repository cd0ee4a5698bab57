"""Scores of a population equal those of its runs, one at a time, in numpy."""

import numpy as np
import pytest

from scaledis import metrics, population_metrics
from scaledis.errors import UserError
from scaledis.metrics.shared import aggregate

RUNS, ROWS, LEVELS = 3, 500, np.array([0, 0, 1, 1])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def population(rng):
    """Codes [R, N, K] of mixtures, some with a dead unit or a copy, and factors [N, F], one of them constant."""
    factors = np.stack([rng.integers(size, size=ROWS) for size in (5, 4, 1, 3)], axis=1)
    codes = np.tanh(factors @ rng.standard_normal((RUNS, 4, 4)) / 3) + 0.2 * rng.standard_normal((RUNS, ROWS, 4))
    codes[1, :, 1] = 0.5
    codes[2, :, 2] = codes[2, :, 0]
    return codes, factors


def test_closed_forms_equal_numpy(population):
    codes, factors = population
    names = list(population_metrics.CLOSED_FORMS)
    found = population_metrics.closed_forms(names, codes, factors, LEVELS)
    for run, scores in zip(codes, found, strict=True):
        expected = metrics.compute(names, run, factors, levels=LEVELS, chance=0)
        for key, value in scores.items():
            if isinstance(value, float | None):
                assert value == (None if expected[key] is None else pytest.approx(expected[key], abs=1e-5)), key
    assert {"mig/mig", "sap/r2", "dependence/gaussian_tc", "level/concentration"} <= found[0].keys()
    assert found[2]["dependence/gaussian_tc"] is None


def test_total_correlations_equal_numpy(rng):
    mean, log_variance = rng.standard_normal((2, 300, 4)), rng.normal(-1, 0.3, (2, 300, 4))
    rows = rng.integers(300, size=64)
    codes = mean[:, rows] + np.exp(0.5 * log_variance[:, rows]) * rng.standard_normal((2, 64, 4))
    arrays = [array.astype(np.float32) for array in (codes, mean, log_variance)]
    within, between = population_metrics.total_correlations(*arrays, LEVELS)
    groups = np.concatenate([np.ones((1, 4)), LEVELS == np.array([[0], [1]]), np.eye(4)])
    for run in range(2):
        table = aggregate.log_densities(codes[run], mean[run], log_variance[run], groups).mean(axis=0)
        expected = [table[1] - table[3:5].sum(), table[2] - table[5:].sum()]
        np.testing.assert_allclose(within[run], expected, atol=1e-5)
        assert float(between[run]) == pytest.approx(table[0] - table[1:3].sum(), abs=1e-5)


def test_a_pool_equals_one_run_at_a_time(population):
    codes, factors = population
    found = population_metrics.compute(["mig", "mcc"], codes[:2], factors, seed=1, processes=1)
    assert found == [metrics.compute(["mig", "mcc"], run, factors, seed=1) for run in codes[:2]]


def test_bad_input_is_a_sentence(population):
    codes, factors = population
    with pytest.raises(UserError, match=r"codes: shape \(500, 4\); \[runs, images, units\]"):
        population_metrics.closed_forms(["mig"], codes[0], factors)
    with pytest.raises(UserError, match="closed form: 'dci' is unknown"):
        population_metrics.closed_forms(["dci"], codes, factors)
    codes[1, 7, 2] = np.nan
    with pytest.raises(UserError, match="codes: 1 of 2000 entries"):
        population_metrics.closed_forms(["mig"], codes, factors)
