"""Closed forms against plain loops and scikit-learn, and what disentanglement_lib's own tests assert.

One of its assertions is ours with another value on purpose: the completeness of a factor that no unit explains
(test_dci.py).
"""

import math

import numpy as np
import pytest
import scipy.linalg
from sklearn.metrics import mutual_info_score, roc_auc_score

from scaledis import metrics
from scaledis.metrics import dci, dci_es, irs, modularity, sap, support, tad
from scaledis.metrics.shared import linear
from scaledis.metrics.shared.labels import of_classes
from tests.metrics import crafted

BINS = 20


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data(rng):
    """Mixed codes [N, 5] with a dead unit, and factors [N, 3] of sizes 6, 5 and 2."""
    factors = np.stack([rng.integers(size, size=900) for size in (6, 5, 2)], axis=1)
    codes = np.tanh(factors @ rng.standard_normal((3, 4)) / 3) + 0.2 * rng.standard_normal((900, 4))
    return np.concatenate([codes, np.full((900, 1), 2.0)], axis=1), factors


def binned(unit):
    return np.digitize(unit, np.histogram(unit, BINS)[1][:-1])


def entropies(factors):
    return [mutual_info_score(factor, factor) for factor in factors.T]


def information(codes, factors):
    return [[mutual_info_score(binned(unit), factor) for factor in factors.T] for unit in codes.T]


def test_the_mig_family_equals_plain_loops(data):
    codes, factors = data
    nats, of_factors = information(codes, factors), entropies(factors)
    units, mass = range(codes.shape[1]), range(factors.shape[1])
    gaps, jemmig = [], []
    for k in mass:
        second, first = sorted(nats[j][k] for j in units)[-2:]
        best = max(units, key=lambda j, k=k: nats[j][k])
        cells = binned(codes[:, best])
        joint = mutual_info_score(cells, cells) + of_factors[k] - first
        gaps.append((first - second) / of_factors[k])
        jemmig.append(1 - (joint - first + second) / (of_factors[k] + math.log(BINS)))
    sup, given = [], [0.0] * len(mass)
    for j in units[:-1]:  # the last unit is dead
        second, first = sorted(nats[j][k] / of_factors[k] for k in mass)[-2:]
        sup.append(first - second)
        second, first = sorted(nats[j])[-2:]
        owner = nats[j].index(first)
        given[owner] = max(given[owner], first - second)
    scores = metrics.compute(["mig", "jemmig", "mig_sup", "dcimig"], codes, factors)
    assert scores["mig/mig"] == pytest.approx(np.mean(gaps), abs=1e-9)
    assert scores["jemmig/jemmig"] == pytest.approx(np.mean(jemmig), abs=1e-9)
    assert scores["mig_sup/mig_sup"] == pytest.approx(np.mean(sup), abs=1e-9)
    assert scores["dcimig/dcimig"] == pytest.approx(sum(given) / sum(of_factors), abs=1e-9)


def test_modularity_equals_plain_loops(data):
    codes, factors = data
    scores = []
    for row in information(codes, factors):
        best = max(row)
        others = sum(value**2 for value in row) - best**2
        scores.append(1 - others / best**2 / (len(row) - 1) if best > 1e-12 else 0)
    library = metrics.compute("modularity", codes, factors, protocol="library")
    assert library["modularity/modularity"] == pytest.approx(np.mean(scores), abs=1e-9)
    assert metrics.compute("modularity", codes, factors)["modularity/modularity"] > np.mean(scores)


def test_modularity_as_disentanglement_lib_asserts_it():
    def mean(information):
        return modularity.of_units(np.asarray(information, float)).mean()

    assert mean(np.eye(5)) == 1
    assert mean(np.vstack([np.eye(5), np.eye(5)])) == 1
    missed = np.diag([1.0, 1, 0, 0, 0])
    assert mean(missed) == pytest.approx(2 / 5)
    assert mean(np.zeros((10, 5))) == 0
    assert mean(np.hstack([np.eye(5), np.eye(5)])) == pytest.approx(1 - 1 / 9)


def test_dci_as_disentanglement_lib_asserts_it():
    assert dci.disentanglement(np.eye(5)) == dci.completeness(np.eye(5)) == 1
    twice = np.vstack([np.eye(5), np.eye(5)])
    assert dci.disentanglement(twice) == 1
    assert dci.completeness(twice) == pytest.approx(1 - math.log(2) / math.log(10))
    shared = np.hstack([np.eye(5), np.eye(5)])
    assert dci.disentanglement(shared) == pytest.approx(1 - math.log(2) / math.log(10))
    assert dci.completeness(shared) == 1
    assert dci.disentanglement(np.zeros((10, 10))) == dci.completeness(np.zeros((10, 10))) == 0


def slow_irs(codes, factors, quantile):
    matrix = np.zeros((codes.shape[1], factors.shape[1]))
    largest = np.max(np.abs(codes - codes.mean(axis=0)), axis=0)
    for k, factor in enumerate(factors.T):
        for value in np.unique(factor):
            inside = codes[factor == value]
            deviations = np.abs(inside - inside.mean(axis=0))
            matrix[:, k] += np.percentile(deviations, 100 * quantile, axis=0) / len(np.unique(factor))
    return np.average((1 - matrix / largest[:, None]).max(axis=1), weights=largest)


def test_irs_equals_plain_loops(data):
    codes, factors = data
    alive = codes[:, :-1]
    library = metrics.compute("irs", codes * [1, 5, 1, 1, 1], factors, protocol="library")
    assert library["irs/irs"] == pytest.approx(slow_irs(alive * [1, 5, 1, 1], factors, 0.99), abs=1e-9)
    scaled = (alive - alive.mean(axis=0)) / alive.std(axis=0)
    assert metrics.compute("irs", codes, factors)["irs/irs"] == pytest.approx(slow_irs(scaled, factors, 0.99), abs=1e-9)
    paper = metrics.compute("irs", codes, factors, protocol="paper")
    assert paper["irs/irs"] == pytest.approx(slow_irs(scaled, factors, 1), abs=1e-9)
    assert irs.compute(factors, factors)["irs"] == pytest.approx(1)


def test_how_far_library_is_from_public_code(rng):
    """The sizes that shared/protocols.py states."""
    factors = np.stack([rng.integers(size, size=6000) for size in (24, 4, 183)], axis=1)
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    codes = scaled @ rng.standard_normal((3, 5)) + 0.3 * rng.standard_normal((6000, 5))
    cut = np.stack([binned(factor) for factor in factors.T], axis=1)
    library = irs.compute(codes, factors, protocol="library")["irs"]
    assert library == pytest.approx(slow_irs(codes, cut, 0.99), abs=1e-9)
    assert 0.002 < abs(library - slow_irs(codes, factors, 0.99)) < 0.02  # without bins
    assert abs(library - slow_irs(codes[:4000], cut[:4000], 0.99)) < 0.01  # the training rows alone
    every, train = (sap.r2(codes[:n], of_classes(factors[:n]))["r2"] for n in (6000, 4000))
    assert 1e-6 < abs(every - train) < 0.005


def test_sap_r2_equals_plain_loops(data):
    codes, factors = data
    squares = [[np.corrcoef(unit, factor)[0, 1] ** 2 for factor in factors.T] for unit in codes.T[:-1]]
    gaps = [sorted(column)[-1] - sorted(column)[-2] for column in zip(*squares, strict=True)]
    assert metrics.compute("sap", codes, factors)["sap/r2"] == pytest.approx(np.mean(gaps), abs=1e-9)


def test_sap_under_library_depends_on_scale_and_under_paper_does_not(data):
    codes, factors = data
    library, paper = (
        [sap.compute(codes * scale, factors, protocol=name)["sap"] for scale in (0.01, 1)]
        for name in ("library", "paper")
    )
    assert abs(library[0] - library[1]) > 0.01
    assert paper[0] == paper[1]
    assert all(0 <= score <= 1 for score in library + paper)


def test_thresholds_find_middle_classes():
    factors = np.arange(3000)[:, None] % 5
    codes = np.concatenate([factors, np.random.default_rng(0).standard_normal((3000, 1))], axis=1)
    paper = metrics.compute("sap", codes, factors, protocol="paper")["sap/sap"]
    assert paper == pytest.approx(1 - 1 / 5, abs=0.05)
    assert 0 <= metrics.compute("sap", codes, factors)["sap/sap"] < paper


def test_the_gaussian_fit_equals_its_definitions(data):
    codes, factors = data
    scores = metrics.compute("dependence", codes, None)
    alive = codes[:, :-1]
    covariance = np.cov(alive.T)
    tc = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    assert scores["dependence/gaussian_tc"] == pytest.approx(tc, abs=1e-9)
    root = scipy.linalg.sqrtm(covariance * np.diag(covariance)[:, None]).real
    distance = 2 * np.trace(covariance) - 2 * np.trace(root)
    assert scores["dependence/gaussian_wasserstein"] == pytest.approx(distance, abs=1e-6)
    cells = [binned(unit) for unit in alive.T]
    pairs = [mutual_info_score(a, b) for i, a in enumerate(cells) for j, b in enumerate(cells) if i != j]
    assert scores["dependence/mutual_information"] == pytest.approx(np.mean(pairs), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-90, 1e90])
def test_the_gaussian_fit_holds_at_every_scale_of_codes_that_is_accepted(data, scale):
    codes, _ = data
    one, other = (metrics.compute("dependence", each, None) for each in (codes, scale * codes))
    for name in ("gaussian_tc", "gaussian_wasserstein_normalized"):
        assert other[f"dependence/{name}"] == pytest.approx(one[f"dependence/{name}"])
    assert other["dependence/gaussian_wasserstein"] == pytest.approx(scale**2 * one["dependence/gaussian_wasserstein"])


def test_the_total_correlation_of_a_correlation_of_09(rng):
    first, second = np.linalg.qr(rng.standard_normal((4000, 3)) - 0)[0].T[:2]
    units = np.stack([first, second], axis=1) - np.mean([first, second], axis=1)
    units = units @ np.linalg.inv(np.linalg.cholesky(np.cov(units.T))).T
    codes = np.stack([units[:, 0], 0.9 * units[:, 0] + math.sqrt(1 - 0.81) * units[:, 1]], axis=1)
    assert metrics.compute("dependence", codes, None)["dependence/gaussian_tc"] == pytest.approx(0.8304, abs=1e-4)


def test_areas_equal_scikit_learn(data):
    codes, factors = data
    areas = [roc_auc_score(factors[:, 2], unit) for unit in codes.T]
    first, second = sorted((max(area, 1 - area) for area in areas), reverse=True)[:2]
    scores = metrics.compute("tad", codes, factors)
    assert scores["tad/auroc_per_factor"][2] == pytest.approx(first, abs=1e-12)
    assert scores["tad/tad"] == pytest.approx(first - second if first >= tad.CAPTURED else 0, abs=1e-12)
    outlying = codes.copy()
    outlying[codes[:, 0].argmax(), 0] = 1e9
    assert metrics.compute("tad", outlying, factors)["tad/tad"] == scores["tad/tad"]  # ranks do not see it
    classes, odds = linear.one_versus_rest(codes, factors[:, 1], 600)
    expected = np.mean([roc_auc_score(factors[600:, 1] == c, odds[600:, n]) for n, c in enumerate(classes)])
    assert linear.mean_area(odds[600:], factors[600:, 1], classes) == pytest.approx(expected, abs=1e-12)


def test_redundant_attributes_are_dropped_if_asked_for(rng):
    factors = rng.integers(2, size=(400, 2))
    factors = np.concatenate([factors, factors[:, :1]], axis=1)
    assert metrics.compute("tad", factors, factors)["tad/captured"] == 3
    scores = metrics.compute("tad", factors, factors, options={"tad": {"redundancy": 0.2}})
    assert scores["tad/redundant"] == [2]
    assert scores["tad/captured"] == 2


def test_the_distance_to_the_factorized_support():
    corner = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # (1, 1) is missing; the nearest row is 1 away
    assert support.pair_distance(corner) == 1
    assert support.pair_distance(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])) == 0
    line = np.arange(64) % 8
    scores = metrics.compute("support", np.stack([line, line], axis=1), None)
    assert scores["support/fos"] == pytest.approx(0.5 * (7 / line.std()) ** 2, rel=0.1)  # from a corner to the line


def test_votes_and_points_under_library_depend_on_scale(data):
    codes, factors = data
    for name in ("factor_vae_score", "beta_vae_score"):
        default = [metrics.compute(name, codes * scale, factors)[f"{name}/accuracy"] for scale in (1, 1e-3)]
        library = [
            metrics.compute(name, codes * scale, factors, protocol="library")[f"{name}/accuracy"] for scale in (1, 1e-3)
        ]
        assert default[0] == pytest.approx(default[1], abs=1e-3)
        assert 0 <= library[1] < library[0] - 0.1 <= 0.9


def test_infomec_under_library_prunes_by_range_and_by_default_does_not(rng):
    factors = np.stack([rng.integers(size, size=2000) for size in (4, 3)], axis=1)
    codes = factors + 0.05 * rng.standard_normal((2000, 2))
    default, library = (
        metrics.compute("infomec", codes * [1, 0.01], factors, options={"infomec": {"protocol": name}})
        for name in ("scaledis", "library")
    )
    assert default["infomec/active_units"] == [0, 1]
    assert library["infomec/active_units"] == [0]
    assert 0.95 < default["infomec/modularity"] <= 1
    assert 0.95 < default["infomec/compactness"] <= 1
    assert 0.9 < default["infomec/explicitness"] <= 1
    assert library["infomec/compactness"] is None


def test_explicitness_falls_with_the_capacity_that_a_factor_needs():
    rng = np.random.default_rng(0)
    factors = rng.integers(2, size=(1500, 2))
    hidden = 2 * factors[:, 1] - 1 + 4 * rng.integers(4, size=1500)  # one bit of a coarse position
    codes = np.stack([factors[:, 0], hidden], axis=1) + 0.1 * rng.standard_normal((1500, 2))
    for probe in dci_es.PROBES:
        scores = metrics.compute("dci_es", codes, factors, options={"dci_es": {"probe": probe}})
        easy, hard = scores["dci_es/explicitness_per_factor"]
        assert 0 <= hard < easy - 0.1 <= 0.9, probe
        assert scores["dci_es/size"] == 1
    noise = metrics.compute("dci_es", rng.standard_normal((1500, 2)), factors)
    assert 0 <= noise["dci_es/explicitness"] <= 1
    constants = metrics.compute("dci_es", np.zeros((1500, 4)), factors)
    assert (constants["dci_es/explicitness"], constants["dci_es/size"]) == (0, 0.5)


def scores_of(metric, key, codes, protocols=("library", "paper")):
    return [metrics.compute(metric, codes, PERFECT.factors, protocol=name)[f"{metric}/{key}"] for name in protocols]


PERFECT, MERGED = crafted.CODES["perfect"], crafted.CODES["merged"]


def test_how_far_the_protocols_are_apart():
    """The sizes that the docstrings state."""
    assert scores_of("mig_sup", "mig_sup", PERFECT.codes / 100) == pytest.approx([1, 0])
    assert scores_of("sap", "sap", PERFECT.codes) == pytest.approx([0.53, 0.75], abs=0.01)
    assert scores_of("sap", "sap", PERFECT.codes / 100) == pytest.approx([0.26, 0.75], abs=0.01)
    assert scores_of("irs", "irs", MERGED.codes) == pytest.approx([0.81, 0.88], abs=0.005)
    assert scores_of("factor_vae_score", "accuracy", PERFECT.codes / 100) == [0, 1]
    assert scores_of("beta_vae_score", "accuracy", PERFECT.codes / 10_000) == pytest.approx([1 / 3, 1], abs=0.02)
    assert scores_of("infomec", "compactness", PERFECT.codes * [100, 1, 1]) == [None, pytest.approx(1)]
