"""Every metric on codes with known answers."""

import numpy as np
import pytest

from scaledis import metrics
from scaledis.metrics import dci_es
from tests.metrics import crafted

FITTED = {"dci": 0.01, "factor_vae_score": 0.02}  # 1e-9 for all others
CASES = {**crafted.CODES, "outlier": crafted.outlier(), "noise": crafted.noise(1500)}


@pytest.fixture(scope="module")
def scores():
    """The scores of all metrics by the name of the codes; of explicitness only the bounds matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dci_es, "CAPACITIES", range(1, 4))
        return {name: metrics.compute(metrics.names(), *case[:2]) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_table(scores, name):
    for key, value in CASES[name].scores.items():
        tolerance = FITTED.get(key.split("/")[0], 1e-9)
        assert scores[name][key] == (None if value is None else pytest.approx(value, abs=tolerance)), key


@pytest.mark.parametrize("name", CASES)
def test_every_score_lies_between_its_bounds(scores, name):
    for metric in metrics.names():
        for score in metrics.spec(metric).scores:
            value = scores[name].get(f"{metric}/{score}")
            assert value is None or 0 <= value <= 1, (metric, score)


def test_noise_scores_near_chance():
    below = {"mig/mig": 0.003, "mig_sup/mig_sup": 0.003, "dcimig/dcimig": 0.003, "dci/disentanglement": 0.05}
    below |= {"dci/completeness": 0.05, "mcc/pearson": 0.05, "sap/sap": 0.05}
    names = {key.split("/")[0] for key in below} | {"factor_vae_score", "modularity"}
    noise = metrics.compute(sorted(names), *crafted.noise()[:2])
    for key, bound in below.items():
        assert 0 <= noise[key] < bound, key
    assert 0 <= noise["factor_vae_score/accuracy"] < 1 / 3 + 0.15
    assert noise["modularity/explicitness"] == pytest.approx(0.5, abs=0.02)


def test_dci_does_not_see_an_outlier(scores):
    for key in ("dci/disentanglement", "dci/completeness", "dci/informativeness"):
        assert scores["outlier"][key] == pytest.approx(scores["perfect"][key], abs=0.01)


def test_what_a_metric_does_not_see(scores):
    assert scores["merged"]["mig/mig"] == pytest.approx(1)  # MIG does not see two factors in one unit
    assert scores["twice"]["mig_sup/mig_sup"] == pytest.approx(1)  # MIG-sup does not see copies
    assert scores["twice"]["dcimig/dcimig"] == pytest.approx(1)  # DCIMIG does not see them either
    assert scores["merged"]["jemmig/jemmig"] < scores["perfect"]["jemmig/jemmig"] == pytest.approx(1)


def test_dead_units_under_library():
    codes, factors, _ = crafted.CODES["constants beside"]
    library = metrics.compute("modularity", codes, factors, protocol="library")
    assert library["modularity/modularity"] == pytest.approx(3 / 5, abs=1e-9)


def test_scores_beside_the_table(scores):
    assert scores["perfect"]["sap/r2"] == pytest.approx(1)
    assert scores["twice"]["sap/r2"] == 0
    assert scores["perfect"]["irs/irs"] == pytest.approx(1)
    assert scores["twice"]["dependence/gaussian_tc"] is None
    assert "copy" in scores["twice"]["dependence/warnings"][0]
    assert scores["perfect"]["dependence/gaussian_tc"] == pytest.approx(0, abs=1e-9)


def test_one_binary_attribute_a_unit_has_half_of_tad():
    factors = crafted.grid(2, 2, 2, 2)
    scores = metrics.compute("tad", factors, factors)
    assert scores["tad/tad"] == pytest.approx(2, abs=1e-12)
    assert scores["tad/captured"] == 4
    assert metrics.compute("tad", np.tile(factors, 2), factors)["tad/tad"] == 0
