"""What must not move a score, on codes of random shapes: the order, scale and direction of units, names of classes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaledis import metrics
from scaledis.core.errors import UserError

# Few rows and no LightGBM where 50 examples must stay cheap; DCI's own tests have the rest.
EXACT = ("mig", "mig_sup", "dcimig", "jemmig", "mcc", "tad", "irs", "level")
SCALE_FREE = (*EXACT, "dependence", "support")
QUICK = settings(
    max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
FEW = settings(QUICK, max_examples=3)


@st.composite
def data(draw, rows=(2, 60), units=(1, 5), factors=(1, 4)):
    """Codes [N, K] that mix the factors, and factors [N, F] of which at least one varies."""
    n, k, f = (draw(st.integers(*bounds)) for bounds in (rows, units, factors))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes = np.stack([rng.integers(rng.integers(1, 7), size=n) for _ in range(f)], axis=1)
    classes[:2, 0] = (0, 1)
    noise = draw(st.sampled_from([0.0, 0.3, 3.0]))
    codes = classes @ rng.standard_normal((f, k)) + noise * rng.standard_normal((n, k))
    return codes, classes


def headlines(names, codes, factors, **arguments):
    """The scores that are numbers or None, without what names rows or units."""
    scores = metrics.compute(names, codes, factors, shuffle=False, **arguments)
    numbers = {key: value for key, value in scores.items() if isinstance(value, float | None)}
    return {key: value for key, value in numbers.items() if not key.endswith("wasserstein")}


def same(first, second, tolerance=1e-6):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert second[key] == (None if value is None else pytest.approx(value, abs=tolerance, rel=tolerance)), key


@QUICK
@given(data(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_units(sample, random):
    codes, factors = sample
    rows, units = (random.sample(range(n), n) for n in codes.shape)
    expected = headlines(EXACT, codes, factors)
    same(expected, headlines(EXACT, codes[rows][:, units], factors[rows]))


@QUICK
@given(data(), st.floats(0.01, 100), st.booleans(), st.floats(-10, 10))
def test_the_scale_and_the_place_of_units(sample, scale, flip, shift):
    codes, factors = sample
    codes = codes + 1e-3 * np.random.default_rng(0).standard_normal(codes.shape)  # no value on the edge of a bin
    signs = np.where(np.arange(codes.shape[1]) % 2 * flip, -scale, scale)
    expected = headlines(SCALE_FREE, codes, factors)
    same(expected, headlines(SCALE_FREE, codes * signs + shift, factors), tolerance=2e-3)


@FEW
@given(data(rows=(30, 90)), st.floats(0.1, 10))
def test_what_is_not_scale_free_under_library_is_so_otherwise(sample, scale):
    codes, factors = sample
    protocols = {"sap": "paper", "infomec": "paper", "beta_vae_score": None, "factor_vae_score": None}
    for name, protocol in protocols.items():
        expected = headlines(name, codes, factors, protocol=protocol)
        scaled = headlines(name, codes * scale, factors, protocol=protocol)
        same(expected, scaled, tolerance=0.02)


@QUICK
@given(data())
def test_the_names_of_classes(sample):
    codes, factors = sample
    names = ("mig", "mig_sup", "dcimig", "jemmig", "irs", "level", "tad")
    same(headlines(names, codes, factors), headlines(names, codes, 7 - 3 * factors))


@QUICK
@given(data())
def test_the_type_of_codes(sample):
    codes, factors = sample
    codes = codes.astype(np.float32)
    same(headlines(EXACT, codes, factors), headlines(EXACT, codes.astype(float), factors))


@QUICK
@given(data())
def test_a_unit_without_variance(sample):
    codes, factors = sample
    wide = np.concatenate([codes, np.full((len(codes), 1), 0.7)], axis=1)
    same(headlines(SCALE_FREE, codes, factors), headlines(SCALE_FREE, wide, factors))


@FEW
@given(data())
def test_a_unit_without_variance_in_metrics_with_a_fit(sample):
    codes, factors = sample
    wide = np.concatenate([codes, np.full((len(codes), 1), 0.7)], axis=1)
    names = ("modularity", "sap", "infomec", "beta_vae_score", "factor_vae_score")
    same(headlines(names, codes, factors), headlines(names, wide, factors), tolerance=0.02)


@settings(QUICK, max_examples=200)
@given(data(rows=(2, 40)), st.sampled_from(sorted(metrics.PROTOCOLS)))
def test_every_score_lies_between_0_and_1(sample, protocol):
    check_bounds(EXACT, *sample, protocol)


@settings(QUICK, max_examples=6)
@given(data(rows=(2, 40)), st.sampled_from(sorted(metrics.PROTOCOLS)))
def test_every_fitted_score_lies_between_0_and_1(sample, protocol):
    check_bounds([name for name in metrics.names() if name not in EXACT], *sample, protocol)


def check_bounds(names, codes, factors, protocol):
    scores = metrics.compute(names, codes, factors, protocol=protocol)
    for name in names:
        for score in metrics.spec(name).scores:
            value = scores.get(f"{name}/{score}")
            assert value is None or 0 <= value <= 1, (name, score, value)


@QUICK
@given(data())
def test_factors_of_one_value_are_refused(sample):
    codes, factors = sample
    with pytest.raises(UserError, match="are constant"):
        metrics.compute("mig", codes, factors * 0)
