"""Factors as they are: numbers, angles and missing labels."""

import re

import numpy as np
import pytest
from scipy.special import xlogy
from scipy.stats import pearsonr
from sklearn.feature_selection import mutual_info_regression

from scaledis import metrics
from scaledis.core import UserError
from scaledis.metrics.mcc import correlations
from scaledis.metrics.shared import labels
from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.mutual import nearest_information

ROWS = 3000
FAST = {"chance": 0}


@pytest.fixture(scope="module")
def world():
    """Units that each know one of a category, a number and an angle, with noise, and a unit of noise."""
    rng = np.random.default_rng(0)
    shape, size, hue = rng.integers(4, size=ROWS), rng.uniform(-1, 1, ROWS), rng.uniform(0, 2 * np.pi, ROWS)
    factors = np.stack([shape, size, hue], axis=1)
    units = [shape, size, np.cos(hue), np.sin(hue), rng.standard_normal(ROWS)]
    return np.stack(units, axis=1) + 0.02 * rng.standard_normal((ROWS, 5)), factors


KINDS = ("category", "number", "angle")


@pytest.mark.parametrize("rho", [0, 0.5, 0.9])
def test_information_of_correlated_gaussians_is_their_closed_form(rho):
    first, noise = np.random.default_rng(1).standard_normal((2, 5000))
    second = rho * first + np.sqrt(1 - rho**2) * noise
    exact = -0.5 * np.log(1 - rho**2)
    [[nats]] = metrics.information(first[:, None], second[:, None], estimator="nearest")
    assert nats == pytest.approx(exact, abs=0.02)
    [reference] = mutual_info_regression(first[:, None], second, n_neighbors=10)
    assert nats == pytest.approx(reference, abs=1e-6)
    [[binned]] = metrics.information(first[:, None], second[:, None], estimator="quantile", corrected=True)
    assert exact - 0.08 <= binned <= exact + 0.02  # bins lose a tenth of a strong dependence


def nearest(first, second, **settings):
    return metrics.information(first[:, None], second[:, None], estimator="nearest", **settings)[0, 0]


@pytest.mark.parametrize("values, share", [(2, 0.5), (10, 0), (10, 0.5), (10, 1), (20, 0), (100, 1)])
def test_information_of_numbers_with_few_values_is_that_of_their_classes(values, share):
    rng = np.random.default_rng(4)
    first, other = rng.integers(values, size=(2, ROWS))
    second = np.where(rng.random(ROWS) < share, first, other)
    cells = np.full((values, values), (1 - share) / values) + share * np.eye(values)  # p(second | first)
    exact = np.mean(np.sum(xlogy(cells, cells * values), axis=1))
    assert nearest(first / 10, second / 7, kinds=["number"]) == pytest.approx(exact, abs=0.06)
    angles = 2 * np.pi / values * second
    assert nearest(first / 10, angles, kinds=["angle"]) == pytest.approx(exact, abs=0.06)


def test_information_of_a_mixture_of_classes_and_amounts_is_its_closed_form():
    """A number that is a whole one plus noise of width 2 (Gao et al. 2017, their second experiment)."""
    rng = np.random.default_rng(5)
    whole = rng.integers(5, size=ROWS)
    exact = np.log(5) - 4 / 5 * np.log(2)
    assert nearest(whole, whole + 2 * rng.random(ROWS)) == pytest.approx(exact, abs=0.03)
    rounded = (whole + 2 * rng.random(ROWS)).round(1)
    assert nearest(whole, rounded, kinds=["number"]) == pytest.approx(exact, abs=0.06)
    assert nearest(np.ones(ROWS), rounded, kinds=["number"]) == 0


def test_infomec_of_numbers_with_few_values_is_that_of_their_classes():
    values = np.random.default_rng(6).integers(10, size=(ROWS, 2))
    for name in ("modularity", "compactness"):
        number, category = (
            metrics.compute("infomec", values / 10, each, **FAST)[f"infomec/{name}"] for each in (values / 10, values)
        )
        assert 0.95 < category <= 1 and number == pytest.approx(category, abs=0.02) and 0 <= number <= 1


def test_an_angle_scores_the_same_after_a_turn_by_every_metric(world):
    codes, factors = world
    turned = factors.copy()
    turned[:, 2] = (turned[:, 2] + 1.7) % (2 * np.pi)
    names = ["dci", "mig", "mig_sup", "jemmig", "dcimig", "mcc", "sap", "infomec", "modularity"]
    before, after = (metrics.compute(names, codes, each, kinds=KINDS, **FAST) for each in (factors, turned))
    for key, score in before.items():
        if isinstance(score, float):
            assert after[key] == pytest.approx(score, abs=0.01 if key.startswith(("dci/", "infomec/")) else 1e-6), key


def test_a_perfect_code_of_every_kind_scores_well_and_degrees_are_radians(world):
    codes, factors = world
    found = metrics.compute(["dci", "mcc", "sap"], codes, factors, kinds=KINDS, **FAST)
    category, number, angle = found["dci/informativeness_per_factor"]
    assert 0.99 <= category <= 1 and 0.97 <= number <= 1 and 0.9 <= angle <= 1
    importances = np.array(found["dci/importances"])
    assert importances[0, 0] > 0.95 and importances[1, 1] > 0.95 and importances[2:4, 2].sum() > 0.95
    assert 0.99 < found["mcc/pearson_per_factor"][2] <= 1  # a unit that is the cosine
    degrees = factors * [1, 1, 180 / np.pi]
    same = metrics.compute("mcc", codes, degrees, kinds=("category", None, "angle:360"), **FAST)
    assert same["mcc/pearson"] == pytest.approx(found["mcc/pearson"], abs=1e-9)
    assert found["mcc/kinds"] == list(KINDS) and found["mcc/labeled"] == [ROWS] * 3


def test_the_correlation_with_an_angle_is_that_of_a_regression_on_cosine_and_sine(world):
    codes, factors = world
    hue = factors[:, 2]
    known = labels.read("factors", factors[:, 2:], ["angle"])
    design = np.stack([np.cos(hue), np.sin(hue), np.ones(ROWS)], axis=1)
    for unit, found in zip(codes.T, correlations(codes, known)[:, 0], strict=True):
        fitted = design @ np.linalg.lstsq(design, unit)[0]
        assert found == pytest.approx(abs(pearsonr(unit, fitted)[0]), abs=1e-9)


@pytest.mark.parametrize("pair", [(0, 180), (30, 75), (90, 270), (10, 10.001)])
def test_an_angle_with_two_values_correlates_as_a_number_does(pair):
    rng = np.random.default_rng(7)
    values = rng.choice(pair, size=(300, 1))
    codes = np.hstack([values + 0.01 * np.ptp(pair) * rng.standard_normal((300, 1)), rng.standard_normal((300, 1))])
    angle, number = (labels.read("factors", values, [kind]) for kind in ("angle:360", "number"))
    for of_ranks in (False, True):
        found = correlations(codes, angle, of_ranks)
        np.testing.assert_allclose(found, correlations(codes, number, of_ranks), atol=1e-6)
        assert (0.8 if of_ranks else 0.99) < found[0, 0] <= 1
    assert 0.9 < metrics.compute("sap", codes, values, kinds=["angle:360"], **FAST)["sap/sap"] <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_missing_labels_are_left_out_factor_by_factor(world, kind):
    codes, factors = world
    column = KINDS.index(kind)
    partly = factors.copy()
    gone = np.random.default_rng(2).random(ROWS) < 0.1
    partly[gone, column] = np.nan
    names = ["dci", "mig", "mcc", "sap", "infomec", "modularity", "mig_sup", "dci_es", "irs", "factor_vae_score"]
    whole, less = (metrics.compute(names, codes, each, kinds=KINDS, **FAST) for each in (factors, partly))
    assert less["mig/labeled"] == [ROWS - gone.sum() if each == column else ROWS for each in range(3)]
    for key, score in whole.items():
        if isinstance(score, float):
            assert less[key] == pytest.approx(score, abs=0.05), key
    alone = metrics.compute("mig", codes[~gone], factors[~gone], kinds=KINDS, shuffle=False, **FAST)
    apart = metrics.compute("mig", codes, partly, kinds=KINDS, shuffle=False, **FAST)
    edges = [np.ptp(codes[~gone], axis=0) == np.ptp(codes, axis=0)]
    if np.all(edges):  # the bins of the units are those of all rows
        assert apart["mig/per_factor"][column] == pytest.approx(alone["mig/per_factor"][column], abs=1e-12)


def test_every_way_to_write_a_missing_label_is_the_same(world):
    pandas = pytest.importorskip("pandas")
    codes, factors = world
    shape = factors[:, :1].astype(int)
    coded = np.where(np.arange(ROWS)[:, None] % 5 == 0, -1, shape)
    listed = [[None if value < 0 else value] for (value,) in coded.tolist()]
    floats = np.where(coded < 0, np.nan, coded)
    frame = pandas.DataFrame({"shape": pandas.array(coded[:, 0], "Int64")}).mask(coded < 0)
    found = [metrics.compute("mig", codes, each, **FAST)["mig/mig"] for each in (listed, floats, frame)]
    assert found == [metrics.compute("mig", codes, coded, missing=-1, **FAST)["mig/mig"]] * 3
    words = np.where(coded < 0, "", coded.astype(str))
    assert metrics.compute("mig", codes, words, missing="", **FAST)["mig/mig"] == found[0]
    assert metrics.compute("mig", codes, coded, **FAST)["mig/mig"] != found[0]


def test_a_metric_that_is_not_defined_for_a_kind_leaves_it_out_and_says_so(world):
    codes, factors = world
    found = metrics.compute(["irs", "modularity"], codes, factors, kinds=KINDS)
    assert found["irs/dropped"]["factors"] == [1, 2] and 0 <= found["irs/irs"] <= 1
    assert "factor 1: a number, for which irs is not defined; it is left out" in found["irs/warnings"]
    assert "factor 2: an angle, for which irs is not defined; it is left out" in found["irs/warnings"]
    assert found["modularity/explicitness_per_factor"][1:] == [None, None]
    none = metrics.compute(["irs", "beta_vae_score", "modularity"], codes, factors[:, 1:2])
    assert none["irs/irs"] is None and none["irs/n"] == ROWS and none["beta_vae_score/accuracy"] is None
    assert none["modularity/explicitness"] is None and 0 < none["modularity/modularity"] <= 1


def test_plain_factors_say_nothing_of_kinds(world):
    codes, factors = world
    assert "mig/kinds" not in metrics.compute("mig", codes, factors[:, :1].astype(int), **FAST)


def test_noise_has_chance_levels_near_its_scores():
    rng = np.random.default_rng(3)
    codes, factors = rng.standard_normal((600, 3)), rng.uniform(size=(600, 2))
    factors[rng.random((600, 2)) < 0.2] = np.nan
    found = metrics.compute(["mig", "mcc", "dci"], codes, factors, chance=8)
    for name in ("mig/mig", "mcc/pearson", "dci/informativeness"):
        assert 0 <= found[name] <= 0.15 and abs(found[name] - found[f"{name}_chance"]) < 0.08, name


def test_bins_of_numbers_hold_equally_many_and_begin_after_the_widest_gap_of_angles():
    numbers = np.random.default_rng(0).exponential(size=(1000, 1))
    known = labels.read("factors", numbers)
    assert known.kinds == ("number",) and set(np.bincount(known.classes[:, 0])) <= {49, 50, 51}
    angles = np.array([[350.5], [355.0], [5.0], [10.0]])
    assert labels.read("factors", angles, ["angle:360"]).classes[:, 0].tolist() == [0, 1, 2, 3]
    lacking = labels.read("factors", [[None], [0.5]])
    assert lacking.classes[0, 0] == MISSING and np.isnan(lacking.amounts[0, 0]) and lacking.there[1, 0]


def test_the_smallest_integer_is_a_label_of_a_user():
    smallest = np.array([[-(2**63)], [0], [1]])
    assert labels.read("factors", smallest).classes[:, 0].tolist() == [0, 1, 2]


def test_nan_in_an_array_of_text_is_missing():
    codes = np.random.default_rng(0).standard_normal((60, 2))
    words = np.where(np.arange(60) % 3, np.array(["red", "blue"])[np.arange(60) % 2], None)[:, None]
    every = [words, np.array([[np.nan if word is None else word] for [word] in words])]  # which is an array of text
    every.append(every[1].astype("S"))
    assert every[1].dtype.kind == "U" and every[2].dtype.kind == "S"
    first, *others = (metrics.compute("mig", codes, each, **FAST) for each in every)
    assert first["mig/labeled"] == [40] and others == [first, first]


@pytest.mark.parametrize(
    ("factors", "missing", "message"),
    [
        ([[1], [2], [-1]], "-1", "missing: '-1' is text, and all factors are numbers, so that it is no label."),
        ([["a"], ["b"], ["-1"]], -1, "missing: -1 is a number, and all factors are text, so that it is no label."),
    ],
)
def test_a_missing_label_of_another_kind_than_all_factors_is_refused(factors, missing, message):
    for given in (factors, np.array(factors), np.array(factors, object)):
        with pytest.raises(UserError, match=re.escape(message)):
            metrics.compute("mig", np.arange(3.0)[:, None], given, missing=missing, **FAST)
    mixed = np.array([["a", 1], ["b", 2], ["-1", -1]], object)
    assert metrics.compute("mig", np.arange(3.0)[:, None], mixed, missing=missing, **FAST)["mig/n"] == 3


def test_objects_hold_numbers_and_missing_labels_of_every_float():
    column = np.array([[np.float32("nan")], [np.float32(0.5)], [2]], object)
    known = labels.read("factors", column)
    assert known.kinds == ("number",) and known.there[:, 0].tolist() == [False, True, True]


def test_a_factor_without_labels_in_a_part_is_a_sentence(world):
    codes, factors = world
    rare = np.where(np.arange(ROWS) < 5, factors[:, 0], np.nan)[:, None]
    for name in ("dci", "sap", "infomec", "dci_es", "modularity"):
        with pytest.raises(UserError, match="factor 0: 5 of 2000 training rows and 0 test rows have its label"):
            metrics.compute(name, codes, rare, shuffle=False, **FAST)


def test_information_of_an_angle_needs_no_origin(world):
    codes, factors = world
    first, second = (
        nearest_information(codes, labels.read("f", factors[:, 2:] + shift, ["angle"]), 0) for shift in (0, 2.5)
    )
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert first[4] < 0.05 < 1 < min(first[2], first[3])


@pytest.mark.parametrize(
    "factors, settings, sentence",
    [
        ([[0.5], [np.inf], [1]], {}, "column 0: row 1 is inf"),
        ([["a"], ["b"], ["a"]], {"kinds": ["number"]}, "a number is needed, and 'a' is none"),
        ([[1], [2], [3]], {"kinds": ["amount"]}, "'amount' is unknown"),
        ([[1], [2], [3]], {"kinds": ["number", "angle"]}, "2 for 1 factors"),
        ([[1], [2], [3]], {"kinds": {1: "number"}}, "there is no factor 1"),
        ([[1], [2], [3]], {"kinds": ["angle:0"]}, "the period of an angle"),
        ([[1], [2], [3]], {"kinds": ["angle:x"]}, "the period of an angle"),
        ([[None], [None], [1]], {}, "constant"),
        ([[0.5], [0.25], [0.75]], {"kinds": ["category"]}, "class numbers"),
    ],
)
def test_labels_that_cannot_be_used_are_a_sentence(factors, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        metrics.compute("mig", np.arange(3.0)[:, None], factors, **settings)
