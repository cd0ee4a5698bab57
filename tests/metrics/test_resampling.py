"""Bootstrap intervals against slow resamples, and against what each metric declares."""

import random

import numpy as np
import pytest

from scaledis import metrics
from scaledis.metrics import dci, sap
from scaledis.metrics.shared import boosting, linear, scoring
from scaledis.metrics.shared.rows import orders
from tests.metrics.test_mig import slow_mig

RESAMPLES, SLOW, TO_ERROR = (
    2000,
    300,
    2 * 1.96,
)  # of a normal distribution: from its 95 % interval to its standard error


@pytest.fixture(scope="module")
def data():
    """Codes [N, 2] that know two binary factors [N, 2] in part."""
    rng = np.random.default_rng(0)
    factors = rng.integers(2, size=(240, 2))
    return factors + 0.6 * rng.standard_normal((240, 2)), factors


def error(name, key, data, **options):
    """The standard error that the interval shows."""
    scores = metrics.compute(name, *data, n_bootstrap=RESAMPLES, shuffle=False, options={name: options})
    low, high = scores[f"{name}/{key}_interval"]
    assert 0 <= low < scores[f"{name}/{key}"] + 0.2 and high <= 1
    return (high - low) / TO_ERROR


def slow_error(rows, score):
    """The standard deviation of the score of rows that Python's own generator draws."""
    draw = random.Random(1)
    return np.std([score(draw.choices(range(rows), k=rows)) for _ in range(SLOW)], ddof=1)


def test_an_accuracy_has_the_error_of_its_test_rows(data, monkeypatch):
    fits = []

    def fit(ranks, factors, split, seed):
        fits.append(split)
        return np.ones((ranks.shape[1], factors.shape[1])), factors ^ (np.arange(len(factors)) % 3 == 0)[:, None]

    monkeypatch.setitem(dci.BACKENDS, "fake", fit)
    found = error("dci", "informativeness", data, backend="fake")
    assert fits == [160]  # one fit in all
    assert found == pytest.approx((2 / 9 / 80) ** 0.5, rel=0.15)  # of a share of 2/3 among 80 rows


def test_a_gap_of_predictions_has_the_error_of_a_slow_resample(data, monkeypatch):
    fits, predictor = {}, sap.line  # threads fit in any order

    def counted(unit, factor, *arguments):
        fits[unit.tobytes(), factor.tobytes()] = found = predictor(unit, factor, *arguments)
        return found

    monkeypatch.setitem(sap.PREDICTORS, "library", (counted, sap.LINE[1]))
    found = error("sap", "sap", data)
    assert len(fits) == 4  # two units, two factors
    units, factors = ([column.tobytes() for column in each.T] for each in data)
    correct = [
        [fits[unit, name][160:] == factor[160:] for unit in units]
        for name, factor in zip(factors, data[1].T, strict=True)
    ]

    def slow_sap(rows):
        shares = [sorted(sum(int(unit[row]) for row in rows) / len(rows) for unit in factor) for factor in correct]
        return sum(second - first for first, second in shares) / 2

    assert found == pytest.approx(slow_error(80, slow_sap), rel=0.15)


def test_a_plug_in_has_the_error_of_a_slow_resample_of_all_rows(data):
    codes, factors = data
    slow = slow_error(240, lambda rows: slow_mig(codes[rows], factors[rows], bins=4))
    assert error("mig", "mig", data, bins=4) == pytest.approx(slow, rel=0.15)
    slow = slow_error(240, lambda rows: slow_r2(codes[rows], factors[rows]))
    assert error("sap", "r2", data) == pytest.approx(slow, rel=0.15)


def slow_r2(codes, factors):
    squares = [sorted(np.corrcoef(unit, factor)[0, 1] ** 2 for unit in codes.T) for factor in factors.T]
    return sum(second - first for first, second in squares) / 2


@pytest.mark.parametrize("name", ["sap", "mcc", "dci", "modularity", "dcimig"])
def test_resamples_and_permutations_of_few_labels_leave_no_factor_without_one(name, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 2)
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(60, 2)).astype(float)
    codes = factors + 0.1 * rng.standard_normal((60, 2))
    factors[:, 1] = np.where(np.isin(np.arange(60), [0, 1, 2, 50]), np.arange(60) % 2, np.nan)
    scores = metrics.compute(name, codes, factors, n_bootstrap=60, chance=12, shuffle=False)
    for key in metrics.spec(name).intervals:
        low, high = scores[f"{name}/{key}_interval"]
        assert 0 <= low <= high <= 1 + scoring.ROUNDING
    for key in metrics.spec(name).with_chance:
        assert 0 <= scores[f"{name}/{key}_chance"] <= 1


def test_labels_change_places_in_the_order_of_the_rows_that_have_one():
    there = np.array([[True, True, False], [True, False, True], [True, True, True], [True, True, False]])
    order = np.array([2, 3, 1, 0])
    assert orders(there, order).T.tolist() == [[2, 3, 1, 0], [2, 1, 3, 0], [0, 2, 1, 3]]


def test_every_metric_has_the_intervals_that_it_declares(data, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 2)
    codes, factors = np.concatenate(data, axis=1), data[1]
    fits, regression = [], linear.logistic_regression
    monkeypatch.setattr(
        linear, "logistic_regression", lambda *given, **how: fits.append(1) or regression(*given, **how)
    )
    known = {"log_variances": codes * 0 - 3, "levels": [0, 0, 1, 1]}
    scores = metrics.compute(metrics.names(), codes, factors, **known)
    once = len(fits)
    resampled = metrics.compute(metrics.names(), codes, factors, **known, n_bootstrap=3)
    assert len(fits) == 2 * once  # no resample fits a model
    assert {key: resampled[key] for key in scores} == scores
    for name in metrics.names():
        found = {key for key in resampled if key.startswith(f"{name}/") and key.endswith("_interval")}
        declared = {f"{name}/{key}_interval" for key in metrics.spec(name).intervals}
        assert found == declared, name
