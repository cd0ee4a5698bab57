"""MIG by posteriors: closed forms, a slow version, bounds and misuse."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from scaledis import metrics
from scaledis.metrics import mig_posteriors
from scaledis.metrics.shared.classes import MISSING


def slow(codes, log_variances, factors, sets, draws, seed):
    """Nats of each factor [2, S, F] and of the image [2, S], one density at a time."""
    rng = np.random.default_rng(seed)
    index = rng.choice(len(codes), draws, replace=False)
    drawn = codes[index] + np.exp(log_variances[index] / 2) * rng.standard_normal((draws, codes.shape[1]))
    image, known = [], []
    for code, row in zip(drawn, index, strict=True):
        each = norm.logpdf(code, codes, np.exp(log_variances / 2))  # [N, K]
        density = np.stack([each[:, list(own)].sum(axis=1) for own in sets])
        others = np.delete(density, row, axis=1)

        def mean(logs):
            return logsumexp(logs, axis=1) - np.log(logs.shape[1])

        every = np.stack([mean(density), mean(others)])
        image.append(density[:, row] - every)
        columns = []
        for factor in factors.T:
            same, same_others = factor == factor[row], np.delete(factor == factor[row], row)
            columns.append(np.stack([mean(density[:, same]), mean(others[:, same_others])]) - every)
        known.append(np.stack(columns, axis=-1))
    return np.mean(known, axis=0), np.mean(image, axis=0)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    factors = rng.integers([3, 5], size=(400, 2))
    codes = np.hstack([factors, factors.sum(axis=1, keepdims=True), rng.standard_normal((400, 1))])
    return codes + 0.1 * rng.standard_normal((400, 4)), np.full((400, 4), -2.0), factors


SETS = [(0,), (1,), (2,), (3,), (0, 1)]


def test_it_is_the_slow_version(world):
    found = mig_posteriors.information(*world, SETS, draws=40, seed=3)
    known, image = slow(*world, SETS, 40, 3)
    for number, bound in enumerate(("upper", "lower")):
        np.testing.assert_allclose(found.factors[bound], known[number], atol=1e-4)
        np.testing.assert_allclose(found.image[bound], image[number], atol=1e-4)


@pytest.mark.parametrize("scale", [1e-40, 1e25])
def test_units_of_any_scale_have_the_same_information(world, scale):
    codes, log_variances, factors = world
    found = mig_posteriors.information(*world, SETS, draws=40)
    other = mig_posteriors.information(scale * codes + 7 * scale, log_variances + 2 * np.log(scale), factors, SETS, 40)
    np.testing.assert_allclose(other.factors["lower"], found.factors["lower"], atol=1e-3)


def test_two_classes_of_a_gaussian_code_have_the_information_of_their_mixture():
    """z given v is N(+-1, .36 + .64), by means of variance .36 and posteriors of variance .64."""
    rng, apart = np.random.default_rng(1), 1.0
    factors = np.arange(6000)[:, None] % 2
    codes = apart * (2 * factors - 1) + 0.6 * rng.standard_normal((6000, 1))
    grid = np.linspace(-8, 8, 20_001)
    one, other = norm.pdf(grid, apart), norm.pdf(grid, -apart)
    mixture = (one + other) / 2
    exact = np.trapezoid(one * (np.log(one) - np.log(mixture)), grid)
    found = mig_posteriors.information(codes, np.full(codes.shape, np.log(0.64)), factors, [(0,)], draws=3000)
    for bound in ("upper", "lower"):
        assert found.factors[bound][0, 0] == pytest.approx(exact, abs=0.02)
    of_image = -np.trapezoid(mixture * np.log(mixture), grid) - 0.5 * np.log(2 * np.pi * np.e * 0.64)
    assert found.image["upper"][0] == pytest.approx(of_image, abs=0.03)
    assert found.image["lower"][0] == pytest.approx(of_image, abs=0.03)


def test_narrow_posteriors_saturate_and_the_bounds_say_so():
    rng = np.random.default_rng(2)
    codes, factors = rng.standard_normal((500, 8)), np.arange(500)[:, None] % 2
    found = mig_posteriors.information(codes, np.full(codes.shape, -8.0), factors, [range(8)], draws=200)
    assert found.factors["upper"][0, 0] == pytest.approx(np.log(2), abs=0.01)  # though the codes know nothing
    assert found.factors["lower"][0, 0] < 0.3


def test_scores_of_units_groups_and_levels(world):
    codes, log_variances, factors = world
    given = {"log_variances": log_variances, "levels": [0, 0, 1, 1], "groups": [[0], [1], [2, 3]], "chance": 4}
    found = metrics.compute("mig_posteriors", codes, factors, **given)
    for name in ("mig", "mig_groups", "mig_levels"):
        score, lower = found[f"mig_posteriors/{name}"], found[f"mig_posteriors/{name}_lower"]
        assert 0 <= lower <= 1 and 0 <= score <= 1
        assert abs(found[f"mig_posteriors/{name}_chance"]) < 0.1
    assert found["mig_posteriors/mig"] > 0.3 and len(found["mig_posteriors/mig_levels_nats"]) == 2
    alone = metrics.compute("mig_posteriors", codes, factors, log_variances=log_variances, chance=0)
    assert alone["mig_posteriors/mig_groups"] is None and alone["mig_posteriors/mig_levels"] is None
    joint = found["mig_posteriors/mig_levels_nats"][0]
    assert joint[0] > 0.6 * np.log(3) and joint[1] > 0.6 * np.log(5)  # the first level holds both factors


def test_rows_without_a_label_are_left_out_of_its_factor(world):
    codes, log_variances, factors = world
    partly = factors.copy()
    partly[::9, 1] = MISSING
    found = mig_posteriors.information(codes, log_variances, partly, SETS, draws=400)
    there = partly[:, 1] != MISSING
    alone = mig_posteriors.information(codes[there], log_variances[there], factors[there], SETS, draws=10_000)
    np.testing.assert_allclose(found.factors["upper"][:, 1], alone.factors["upper"][:, 1], atol=0.03)


def test_a_row_that_is_alone_in_its_class_is_left_out_of_the_lower_bound(world):
    codes, log_variances, factors = world
    lone = factors.copy()
    lone[7, 1] = 9
    found = mig_posteriors.information(codes, log_variances, lone, SETS, draws=400)
    rest = np.where(lone == 9, MISSING, lone)
    without = mig_posteriors.information(codes, log_variances, rest, SETS, draws=400)
    np.testing.assert_allclose(found.factors["lower"], without.factors["lower"], atol=0.01)
    scores = metrics.compute("mig_posteriors", codes, np.insert(lone, 0, 5, axis=1), log_variances=log_variances)
    assert scores["mig_posteriors/warnings"] == [
        "factor 2: the lower bound leaves out the rows that are alone in their class, 1 of 400"
    ]
    assert 0 <= scores["mig_posteriors/mig_lower"] <= 1


def test_without_posteriors_there_is_no_score_but_a_reason(world):
    codes, _, factors = world
    for log_variances in (None, np.full(codes.shape, -np.inf), np.full(codes.shape, -90.0)):
        found = metrics.compute("mig_posteriors", codes, factors, log_variances=log_variances, chance=0)
        assert (
            found["mig_posteriors/mig"] is None
            and "no information by posteriors" in found["mig_posteriors/warnings"][0]
        )
