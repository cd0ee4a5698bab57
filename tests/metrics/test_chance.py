"""Chance levels: of noise they are its own scores, and where a score would be a ratio of noise there is none."""

import numpy as np
import pytest

from scaledis import metrics
from scaledis.core import registry
from scaledis.core.errors import UserError
from scaledis.metrics import dci_es, mig
from scaledis.metrics.shared import boosting, scoring
from scaledis.metrics.shared.information import FAR, Information

ROWS, LEVELS = 450, [0, 0, 1]
FEWER = {"factor_vae_score": {"chance": 10}, "infomec": {"chance": 16}}  # they take the longest
RATIOS = ("infomec/modularity", "infomec/compactness", "modularity/modularity", "modularity/modularity_corrected")
WITHOUT_FIT = ["mig", "mig_sup", "dcimig", "jemmig", "mcc", "irs", "level", "modularity", "tad"]


def with_chance(name):
    return metrics.spec(name).with_chance


def factors_of(kind, rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(5, size=(rows, 3)) if kind == "common" else (rng.random((rows, 3)) < [0.02, 0.03, 0.05]) + 0


def noise(seed, rows=ROWS):
    """The codes of other factors."""
    rng = np.random.default_rng(100 + seed)
    return rng.integers(5, size=(rows, 3)) + 0.1 * rng.standard_normal((rows, 3))


@pytest.fixture(scope="module", params=["common", "rare"])
def scored(request):
    """The scores of three draws of noise by smaller models than else; the first has its chance levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "ROUNDS", 20)
        patch.setattr(dci_es, "CAPACITIES", range(1, 4))
        patch.setattr(dci_es, "TREES", 4)
        return [
            metrics.compute(
                metrics.names(),
                noise(draw),
                factors_of(request.param),
                options=FEWER if draw == 0 else None,
                chance=40 if draw == 0 else 0,
                levels=LEVELS,
            )
            for draw in range(3)
        ]


@pytest.mark.parametrize("name", [name for name in metrics.names() if with_chance(name)])
def test_noise_scores_its_chance_level(scored, name):
    first, compared = scored[0], 0
    for key in (f"{name}/{key}" for key in with_chance(name)):
        if first.get(key) is not None:
            level, deviation = first[f"{key}_chance"], first[f"{key}_chance_deviation"]
            found, compared = np.mean([scores[key] for scores in scored]), compared + 1
            assert abs(found - level) <= 2 * deviation + 0.005, (key, found, level, deviation)
            assert 0 <= level <= 1
    assert compared or name == "mig_posteriors" or first.get("tad/tad") is None  # no posteriors; no binary factor


def test_a_ratio_of_noise_is_none_and_has_a_chance_level(scored):
    for scores in scored:
        assert [scores[key] for key in RATIOS] == [None] * 4
        assert any("modularity, compactness: no unit knows more" in words for words in scores["infomec/warnings"])
        assert any("no unit knows more" in words for words in scores["modularity/warnings"])
    assert 0.2 < scored[0]["infomec/modularity_chance"] < 0.95
    assert 0.2 < scored[0]["infomec/compactness_chance"] < 0.95


@pytest.mark.parametrize("protocol", ["library", "paper"])
def test_a_ratio_of_noise_is_none_under_every_protocol(protocol):
    found = metrics.compute(["infomec", "modularity"], noise(2), factors_of("rare"), protocol=protocol, n_bootstrap=3)
    assert [found[key] for key in RATIOS] == [None] * 4
    assert found["modularity/modularity_interval"] is None and found["modularity/explicitness_interval"]


def test_a_code_that_knows_a_little_keeps_its_ratios():
    factors = factors_of("common")
    codes = np.stack([factors[:, 0] + 3 * noise(0)[:, 0], *noise(1).T[:2]], axis=1)
    assert all(0 <= metrics.compute(["infomec", "modularity"], codes, factors)[key] <= 1 for key in RATIOS)


def test_one_code_of_noise_in_a_hundred_seems_to_know():
    passed = [
        Information(noise(seed, 300), factors_of(kind, 300, seed + 1)).above_chance(seed)
        for seed in range(100)
        for kind in ("common", "rare")
    ]
    assert np.mean(passed) <= 0.03


@pytest.mark.parametrize("kind", ["an outlier", "nearly always 0"])
def test_either_binning_shows_what_a_unit_knows(kind):
    rng = np.random.default_rng(0)
    factors = factors_of("rare", 900)
    codes = factors[:, :1] * (1 + rng.random((900, 1))) if kind == "nearly always 0" else rng.random((900, 1))
    if kind == "an outlier":
        factors, codes[7] = (codes > 0.5) + 0, 1e6
    information = Information(codes, factors)
    leads = [information.table(binning=binning).lead for binning in ("equal_width", "quantile")]
    assert min(leads) < 5 < FAR < max(leads) and information.above_chance(0)


def test_no_permutation_is_far_from_chance():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.standard_cauchy(500), rng.standard_normal(500), rng.random(500) < 0.01], axis=1)
    factors = np.stack([np.arange(500) == 0, rng.random(500) < 0.02, rng.integers(100, size=500)], axis=1)
    tables = Information(codes, factors)
    leads = [tables.permuted(rng.permutation(500)).table().lead for _ in range(200)]
    assert max(leads) < 0.75 * FAR


@pytest.mark.parametrize("name", WITHOUT_FIT)
def test_the_chance_level_is_the_mean_over_permuted_rows(name, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 1)
    factors = factors_of("rare")
    codes = factors + noise(0)
    found = metrics.compute(name, codes, factors, chance=8, shuffle=False, levels=LEVELS)
    repeats = found[f"{name}/permutations"]
    rng, compute = np.random.default_rng([0, scoring.PERMUTATIONS]), registry.module("metrics", metrics, name).compute
    known = {"levels": np.array(LEVELS)} if name == "level" else {}
    draws = [compute(codes, factors[rng.permutation(ROWS)], 0, **known) for _ in range(repeats)]
    for key in draws[0].keys() & {*with_chance(name)}:
        values = [draw[key] for draw in draws]
        level = 0.5 if key == "explicitness" else np.mean(values)  # in closed form
        assert found[f"{name}/{key}_chance"] == pytest.approx(level, abs=1e-12)
        assert found[f"{name}/{key}_chance_deviation"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_a_chance_level_of_one_permutation_has_no_deviation():
    found = metrics.compute("mig", noise(0), factors_of("common"), chance=1)
    assert found["mig/mig_chance"] > 0 and found["mig/mig_chance_deviation"] is None


@pytest.mark.parametrize(("chance", "expected"), [(0, [0, 0, 0]), (1, [1, 1, 0]), (5, [5, 2, 0])])
def test_metrics_with_fits_take_a_quarter_of_the_permutations(chance, expected):
    found = metrics.compute(["mig", "sap", "support"], noise(0), factors_of("common"), chance=chance)
    assert [found[f"{name}/permutations"] for name in ("mig", "sap", "support")] == expected
    assert ("mig/mig_chance" in found) == ("sap/r2_chance" in found) == (chance > 0)
    assert not any(key.startswith("support/") and key.endswith("_chance") for key in found)


def test_the_bootstrap_and_chance_do_not_multiply(monkeypatch):
    calls, compute = [], mig.compute

    def counted(codes, factors, seed=0, *, information=None):
        calls.append(1)
        return compute(codes, factors, seed, information=information)

    monkeypatch.setattr(mig, "compute", counted)
    found = metrics.compute("mig", noise(0), factors_of("common"), n_bootstrap=7, chance=5)
    assert len(calls) == 1 + 7 + 5 and "mig/mig_chance_interval" not in found


@pytest.mark.parametrize("chance", [-1, 2.5, None, True, 10**40])
def test_a_wrong_number_of_permutations_is_a_sentence(chance):
    with pytest.raises(UserError, match="chance: .* must be a (whole number|number from 0 to 10000)"):
        metrics.compute("mig", noise(0), factors_of("common"), chance=chance)
