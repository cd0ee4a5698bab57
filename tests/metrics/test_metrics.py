"""What holds of every metric: the contract of `metrics.compute`, its conventions, and its refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest

from scaledis import metrics
from scaledis.core.errors import UserError
from scaledis.metrics.shared import boosting
from tests.metrics import crafted

CODES, FACTORS, _ = crafted.CODES["perfect"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_jax_is_not_imported():
    program = (
        "import sys, numpy as np; from scaledis import metrics;"
        "v = np.arange(60).reshape(30, 2) % 3; metrics.compute(metrics.names(), v, v, chance=0);"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_lone_name_is_a_metric_and_the_seed_is_0():
    assert metrics.compute("mig", CODES, FACTORS) == metrics.compute(["mig"], CODES, FACTORS, 0)


@pytest.mark.parametrize("name", metrics.names())
def test_every_result_says_what_it_is_of(name):
    scores = metrics.compute(name, CODES, FACTORS)
    assert scores[f"{name}/n"] == len(CODES)
    assert scores[f"{name}/protocol"] in metrics.PROTOCOLS
    assert scores[f"{name}/dropped"] == {"factors": [], "units": []}
    assert isinstance(scores[f"{name}/warnings"], list)
    assert next(iter(scores)) == f"{name}/{next(iter([*metrics.spec(name).scores, *metrics.spec(name).intervals]))}"
    json.dumps(scores, allow_nan=False)


@pytest.mark.parametrize("name", metrics.names())
def test_constants_are_dropped_and_listed(name):
    factors = np.insert(FACTORS, 1, 7, axis=1)
    codes = np.insert(CODES, 0, 0.3, axis=1)
    scores, expected = metrics.compute(name, codes, factors), metrics.compute(name, codes, FACTORS)
    assert scores[f"{name}/dropped"] == {"factors": [1], "units": [0]}
    for key, value in expected.items():
        if isinstance(value, float):
            assert scores[key] == value, key


def test_lists_of_factors_keep_the_places_of_those_left_out():
    scores = metrics.compute(["mig", "dci"], CODES, np.insert(FACTORS, 1, 7, axis=1))
    assert scores["mig/per_factor"][1] is None
    assert scores["dci/informativeness_per_factor"][1] is None
    assert [row[1] for row in scores["dci/importances"]] == [0, 0, 0]


def test_a_factor_that_is_constant_in_the_rows_drawn_is_left_out():
    factors = np.column_stack([FACTORS[:400, 0], np.arange(400) == 399])
    found = metrics.compute("mig", CODES[:400], factors, shuffle=False, rows=100)
    alone = metrics.compute("mig", CODES[:100], FACTORS[:100, :1])
    assert found["mig/dropped"]["factors"] == [1] and found["mig/per_factor"] == [found["mig/mig"], None]
    assert found["mig/mig"] == pytest.approx(alone["mig/mig"]) and 0.9 < found["mig/mig"] <= 1
    with pytest.raises(UserError, match="all 1 are constant over 100 rows"):
        metrics.compute("mig", CODES[:400], factors[:, 1:], shuffle=False, rows=100)


def test_a_factor_has_the_number_that_its_user_gave_it():
    binary = FACTORS[:300] % 2
    factors = np.column_stack([np.full(300, 7), binary[:, 0], binary[:, 0], binary[:, 1] * (np.arange(300) < 30)])
    codes, options = binary[:, :1].astype(float), {"tad": {"redundancy": 0.2}}
    names = ["mcc", "tad", "mig_posteriors", "dci", "dci_es", "sap", "infomec", "modularity"]
    scores = metrics.compute(names, codes, factors, options=options, shuffle=False, log_variances=codes - 2)
    assert scores["mcc/matching"] == [None, 0, None, None] and scores["tad/redundant"] == [2]
    classes = [np.unique(factor, return_counts=True)[1] for factor in factors.T]
    rows = [None, *(np.log(counts @ counts / 300) for counts in classes[1:])]
    assert scores["mig_posteriors/log_rows"] == pytest.approx(rows)
    rare = "factor 3: 1 of 2 classes have fewer than 50 of the 200 training rows"
    assert all(rare in scores[f"{name}/warnings"] for name in names[3:])


def test_an_error_names_a_factor_by_the_number_that_its_user_gave_it():
    factors = np.column_stack([np.full(300, 7), np.arange(300) // 30])
    for name in ("dci", "dci_es", "sap", "infomec", "modularity"):
        with pytest.raises(UserError, match="order of factor 1"):
            metrics.compute(name, factors, factors, shuffle=False)


def test_codes_are_binned_once(monkeypatch):
    from scaledis.metrics.shared import information

    calls = []
    table = information._table
    monkeypatch.setattr(information, "_table", lambda *arguments: calls.append(1) or table(*arguments))
    metrics.compute(["mig", "mig_sup", "dcimig", "jemmig", "modularity", "level"], CODES, FACTORS)
    assert len(calls) == 1


def test_the_bootstrap_gives_intervals(rng):
    factors = FACTORS[:600]
    codes = factors + 0.5 * rng.standard_normal(factors.shape)
    names = ["mig", "dci", "sap", "modularity"]
    scores = metrics.compute(names, codes, factors, n_bootstrap=50)
    for key in ("mig/mig", "dci/informativeness", "sap/sap", "sap/r2", "modularity/modularity"):
        low, high = scores[f"{key}_interval"]
        assert 0 <= low < high <= 1 and high - low < 0.3
    assert (
        scores["dci/informativeness_interval"][0]
        < scores["dci/informativeness"]
        < scores["dci/informativeness_interval"][1]
    )
    assert "dci/disentanglement_interval" not in scores  # importances are not fitted anew
    again = metrics.compute(names, codes, factors, n_bootstrap=50)
    assert scores == again


@pytest.mark.parametrize("name", metrics.names())
def test_groups_are_one_unit_each_or_are_refused(name, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 5)
    factors = FACTORS[:300] % 2
    codes = factors + 0.1 * np.random.default_rng(0).standard_normal(factors.shape)
    if metrics.spec(name).groups is None:
        with pytest.raises(UserError, match=f"groups: the metric '{name}' takes none. Metrics that take groups: dci, "):
            metrics.compute(["mig", name], codes, factors, groups=[[2, 1], [0]])
        return
    with pytest.raises(UserError, match="must be columns from 0 to 2"):
        metrics.compute(["mig", name], codes, factors, options={name: {"groups": [[0, 3]]}})
    given = {"codes": codes, "factors": factors, "protocol": "paper"}
    given |= {"log_variances": np.full(codes.shape, -4.0)} if name == "mig_posteriors" else {}
    single, pair = (metrics.compute(name, **given, groups=groups) for groups in ([[2], [1], [0]], [[2, 1], [0]]))
    turned = metrics.compute(name, **(given | {"codes": codes[:, ::-1]}))
    for key in (f"{name}/{score}" for score in metrics.spec(name).with_chance):
        if turned.get(key) is not None:  # as that of groups is without them
            assert single.get(key) == pytest.approx(turned.get(key), abs=0.02), key
    assert pair != single


def test_groups_count_as_their_first_principal_component(rng):
    wide = np.concatenate([CODES, 0.1 * rng.standard_normal(CODES.shape)], axis=1)
    scores = metrics.compute(["mig", "mcc"], wide, FACTORS, groups=[[0, 3], [1, 4], [2, 5]])
    assert 0.97 < scores["mcc/pearson"] <= 1
    alone = metrics.compute(["mig", "mcc"], CODES, FACTORS, groups=[[0], [1], [2]])
    assert alone["mig/mig"] == pytest.approx(1)


def test_rows_are_limited_but_for_what_the_protocol_gives_all():
    scores = metrics.compute(["mig", "dci"], CODES, FACTORS, protocol="hfs", rows=600)
    assert (scores["mig/n"], scores["dci/n"]) == (3000, 600)


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.array([[0.0], [np.nan]]), np.array([[0], [1]]), "codes: 1 of 2 entries are NaN or infinite"),
        (np.zeros((2, 1)), np.array([[0.0], [np.inf]]), "factors, column 0: row 1 is inf; class numbers .integers"),
        (np.array([[0.0], [1e160]]), np.array([[0], [1]]), r"codes: an entry of 1e\+160; at most 1e\+100"),
        (np.zeros(2), np.array([[0], [1]]), r"codes: shape \(2,\)"),
        (np.zeros((2, 0)), np.array([[0], [1]]), r"codes: shape \(2, 0\)"),
        (np.zeros((3, 1)), np.array([[0], [1]]), "3 and 2 rows"),
        (np.zeros((1, 1)), np.array([[0]]), "codes: 1 row; at least 2 are needed"),
        (np.zeros((2, 1)), np.array([[4], [4]]), "all 1 are constant over 2 rows"),
        (np.zeros((2, 1)), None, "factors: None; the metric 'mig' needs them"),
    ],
)
def test_bad_input_is_a_sentence(codes, factors, message):
    with pytest.raises(UserError, match=message) as caught:
        metrics.compute("mig", codes, factors)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": "mgi"}, "metrics: 'mgi' is unknown.*'mig'.*dci"),
        ({"names": "mig", "options": {"mig": {"bin": 5}}}, "option of metric 'mig': 'bin' is unknown.*'bins'"),
        ({"names": "mig", "options": {"mig": {"binning": "wide"}}}, "metrics binning: 'wide' is unknown"),
        ({"names": "mig", "protocol": "libary"}, "protocol: 'libary' is unknown.*'library'.*hfs, library, paper"),
        ({"names": "mig", "groups": [[0, 3]]}, r"groups: \(0, 3\) must be columns from 0 to 2"),
        ({"names": "mig", "levels": [0, 1]}, r"levels: shape \(2,\) must be \(3,\), one level per unit"),
        ({"names": "mig", "log_variances": np.zeros((2, 3))}, r"log_variances: shape \(2, 3\)"),
    ],
)
def test_an_unknown_choice_lists_the_choices(arguments, message):
    with pytest.raises(UserError, match=message):
        metrics.compute(codes=CODES, factors=FACTORS, **arguments)


def test_options_of_one_metric_leave_the_others_alone():
    options = {"modularity": {"protocol": "library"}, "mig": {"bins": 2}}
    codes = np.concatenate([CODES, np.zeros((len(CODES), 2))], axis=1)
    scores = metrics.compute(["modularity", "mig", "mig_sup"], codes, FACTORS, options=options)
    assert scores["modularity/modularity"] == pytest.approx(3 / 5)
    assert scores["mig/mig"] < 0.7
    assert scores["mig_sup/mig_sup"] == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e39, 1e-39, 1e-160])
def test_no_scale_breaks_a_metric(rng, scale):
    codes = CODES[:120] + 0.2 * rng.standard_normal((120, 3))
    scores = metrics.compute(metrics.names(), codes * scale, FACTORS[:120], levels=[0, 0, 1])
    json.dumps(scores, allow_nan=False)
    assert scores["mig/dropped"]["units"] == ([0, 1, 2] if scale < 1e-100 else [])


def test_metrics_without_factors():
    scores = metrics.compute(["support", "dependence"], CODES, None)
    assert scores["dependence/gaussian_tc"] == pytest.approx(0, abs=1e-9)
