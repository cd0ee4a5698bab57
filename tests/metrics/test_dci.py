"""DCI against a plain-loop oracle, both backends against each other, and codes whose score is known."""

import math
import re

import numpy as np
import pytest

from scaledis import metrics
from scaledis.core.errors import UserError
from scaledis.metrics import dci
from scaledis.metrics.shared import boosting
from scaledis.metrics.shared.classes import MISSING
from tests.metrics import crafted

SIZES = (6, 5, 4)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return np.stack([rng.integers(size, size=900) for size in SIZES], axis=1)


def slow_entropy(weights: list[float], base: int) -> float:
    return -sum(w / sum(weights) * math.log(w / sum(weights), base) for w in weights if w > 0)


def slow_disentanglement(importances: np.ndarray) -> float:
    """Eq. 14, one unit at a time."""
    rows = [row for row in importances.tolist() if sum(row) > 0]
    total = sum(map(sum, rows))
    return 1 - sum(sum(row) / total * slow_entropy(row, importances.shape[1]) for row in rows)


def slow_completeness(importances: np.ndarray) -> float:
    """Eq. 15, one factor at a time."""
    columns = importances.T.tolist()
    return 1 - sum(slow_entropy(column, importances.shape[0]) for column in columns) / len(columns)


@pytest.mark.parametrize("shape", [(10, 6), (3, 7), (2, 2)])
def test_scores_of_importances_equal_the_plain_loops(rng, shape):
    importances = rng.random(shape) ** 4
    importances[0] = 0
    assert dci.disentanglement(importances) == pytest.approx(slow_disentanglement(importances), abs=1e-12)
    assert dci.completeness(importances) == pytest.approx(slow_completeness(importances), abs=1e-12)


def test_scores_of_importances_by_hand():
    assert dci.disentanglement(np.eye(3)) == dci.completeness(np.eye(3)) == 1
    assert dci.disentanglement(np.ones((3, 3))) == pytest.approx(0, abs=1e-12)
    assert dci.completeness(np.ones((3, 3))) == pytest.approx(0, abs=1e-12)
    twice = np.concatenate([np.eye(4), np.eye(4)])
    assert dci.disentanglement(twice) == 1
    assert dci.completeness(twice) == pytest.approx(1 - math.log(2, 8))


def test_conventions_at_the_edges():
    assert dci.disentanglement(np.zeros((3, 2))) == dci.completeness(np.zeros((3, 2))) == 0
    assert dci.completeness(np.ones((1, 2))) == 1  # a single unit
    assert dci.disentanglement(np.ones((2, 1))) == 1  # a single factor
    assert dci.completeness(np.array([[1.0, 0.0], [0.0, 0.0]])) == 0.5  # a factor that no unit explains


def test_a_result_holds_the_scores_of_its_importances(rng, factors):
    codes = factors @ rng.standard_normal((3, 5)) + 0.3 * rng.standard_normal((900, 5))
    scores = dci.compute(codes, factors)
    importances = np.array(scores["importances"])
    assert importances.shape == (5, 3)
    np.testing.assert_allclose(importances.sum(axis=0), 1)
    assert scores["disentanglement"] == pytest.approx(slow_disentanglement(importances))
    assert scores["completeness"] == pytest.approx(slow_completeness(importances))
    assert scores["informativeness"] == pytest.approx(np.mean(scores["informativeness_per_factor"]))
    assert scores["informativeness"] < scores["informativeness_train"] <= 1


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_a_unit_per_factor_scores_one(factors, backend):
    scores = dci.compute(factors.astype(float), factors, backend=backend)
    assert scores["backend"] == backend
    assert all(0.99 < scores[name] <= 1 for name in dci.SPEC.scores)


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_a_negated_copy_shares_importance_as_any_copy_does(factors, backend):
    scores = dci.compute(np.concatenate([factors, -3 * factors], axis=1), factors, backend=backend)
    assert 0.99 < scores["disentanglement"] <= 1
    assert scores["completeness"] == pytest.approx(1 - math.log(2, 6), abs=0.01)


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_equal_units_share_their_importance(factors, backend):
    scores = dci.compute(np.concatenate([factors, factors], axis=1), factors, backend=backend)
    assert 0.99 < scores["disentanglement"] <= 1
    assert scores["completeness"] == pytest.approx(1 - math.log(2, 6), abs=0.01)


@pytest.mark.parametrize("backend", dci.BACKENDS)
@pytest.mark.parametrize(("scale", "shift"), [(1e-8, 0), (1e-6, 3), (1e39, 0)])
def test_the_scale_of_a_unit_does_not_matter(rng, factors, backend, scale, shift):
    codes = factors[:300] + 0.3 * rng.standard_normal((300, 3))
    score = dci.compute(codes, factors[:300], backend=backend)
    scaled = dci.compute(codes * scale + shift, factors[:300], backend=backend)
    for name in dci.SPEC.scores:
        assert scaled[name] == score[name], name


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_bool_factors(rng, backend):
    factors = rng.random((300, 2)) < 0.3
    scores = dci.compute(factors + 0.1 * rng.standard_normal((300, 2)), factors, backend=backend)
    assert all(0.97 < scores[name] <= 1 for name in dci.SPEC.scores)


def test_the_backends_agree(rng, factors):
    codes = np.concatenate([factors[:, :2] @ [[1, 0.4], [-0.4, 1]], factors[:, 2:], np.zeros((900, 1))], axis=1)
    codes += 0.2 * rng.standard_normal(codes.shape)
    fast, reference = (dci.compute(codes, factors, backend=backend) for backend in ("lightgbm", "sklearn"))
    for name in ("disentanglement", "completeness", "informativeness"):
        assert fast[name] == pytest.approx(reference[name], abs=0.03), name


def test_a_rotation_scores_low(rng):
    factors = rng.integers(6, size=(900, 2))
    scores = dci.compute(factors @ np.array([[1.0, -1.0], [1.0, 1.0]]) + 0.1 * rng.standard_normal((900, 2)), factors)
    assert 0 <= scores["disentanglement"] < 0.1
    assert 0 <= scores["completeness"] < 0.1


def test_noise_scores_near_zero(rng, factors):
    scores = dci.compute(rng.standard_normal((900, 6)), factors)
    assert 0 <= scores["disentanglement"] < 0.05
    assert 0 <= scores["completeness"] < 0.05
    assert scores["informativeness"] == pytest.approx(np.mean([1 / size for size in SIZES]), abs=0.06)


def test_constant_units_weigh_nothing(factors):
    codes = np.concatenate([factors, np.full((900, 1), 0.3), np.zeros((900, 1))], axis=1)
    scores = dci.compute(codes, factors)
    assert scores["importances"][3:].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert 0.99 < scores["disentanglement"] <= 1


@pytest.mark.parametrize("where", ["in both parts", "in the test rows alone"])
def test_units_that_hardly_vary_can_be_scored(rng, where):
    """More rows than have exact bins: a sample of them sees one value, from which LightGBM refuses to learn."""
    factors = np.stack([rng.integers(size, size=9000) for size in (4, 3)], axis=1)
    codes = np.zeros((9000, 2))
    codes[[10, 20, 8000] if where == "in both parts" else [8000], 0] = 1.0
    scores = metrics.compute("dci", codes, factors, 0, {"dci": {"train_fraction": 2 / 3}}, shuffle=False)
    assert all(0 <= scores[f"dci/{name}"] <= 1 for name in ("disentanglement", "completeness", "informativeness"))
    assert not np.asarray(scores["dci/importances"])[1].any()
    if where == "in the test rows alone":
        assert scores["dci/disentanglement"] == 0 and not np.any(scores["dci/importances"])


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_codes_of_constants_score_zero(factors, backend):
    scores = dci.compute(np.ones((900, 2)), factors, backend=backend)
    assert scores["disentanglement"] == scores["completeness"] == 0
    assert scores["informativeness"] == pytest.approx(np.mean([1 / size for size in SIZES]), abs=0.06)


def test_a_factor_of_183_classes_is_learned(rng):
    factors = rng.integers(183, size=(1500, 1))
    codes = np.concatenate([factors, rng.standard_normal((1500, 1))], axis=1)
    scores = dci.compute(codes, factors)
    assert scores["informativeness"] > 0.8
    assert scores["importances"][0][0] > 0.8


def test_bins_do_not_hide_small_classes(rng, monkeypatch):
    """Three ways to cut the same units: 255 bins, exact bins, and for factors of small classes some of either."""
    factors = np.stack([rng.integers(size, size=1500) for size in (4, 60)], axis=1)
    centered = (factors - factors.mean(0)) / factors.std(0)
    codes = np.tanh(centered @ rng.standard_normal((2, 5))) + 0.1 * rng.standard_normal((1500, 5))

    def importances(exact_rows, few_rows):
        monkeypatch.setattr(boosting, "EXACT_ROWS", exact_rows)
        monkeypatch.setattr(boosting, "FEW_ROWS", few_rows)
        return dci.compute(codes, factors)["importances"]

    exact, binned, mixed = importances(4000, 100), importances(100, 0), importances(100, 100)
    np.testing.assert_array_equal(mixed[:, 0], binned[:, 0])  # 250 rows a class
    to_exact, to_binned = (np.abs(mixed[:, 1] - other[:, 1]).sum() for other in (exact, binned))
    assert 0 < to_binned < np.abs(exact - binned)[:, 1].sum() and to_exact < np.abs(exact - binned)[:, 1].sum()


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_classes_may_be_missing_from_either_part(rng, backend):
    factors = rng.integers(4, size=(300, 1))
    factors[:200][factors[:200] == 3] = 2
    factors[200:][factors[200:] == 0] = 3
    scores = dci.compute(factors.astype(float), factors, backend=backend)
    assert scores["informativeness_train"] == 1
    assert scores["informativeness"] == np.mean(factors[200:] != 3)


def test_order_and_scale_of_units_do_not_matter(rng, factors):
    codes = factors @ rng.standard_normal((3, 5)) + 0.3 * rng.standard_normal((900, 5))
    score = dci.compute(codes, factors)
    for same in (dci.compute(codes[:, [3, 1, 4, 0, 2]], factors), dci.compute(8 * codes, factors)):
        assert same["disentanglement"] == pytest.approx(score["disentanglement"], abs=1e-9)
        assert same["completeness"] == pytest.approx(score["completeness"], abs=1e-9)
        assert same["informativeness"] == score["informativeness"]


@pytest.mark.parametrize("backend", dci.BACKENDS)
def test_a_seed_fixes_every_number(rng, factors, backend):
    codes = factors @ rng.standard_normal((3, 4)) + rng.standard_normal((900, 4))
    first, second = (metrics.compute("dci", codes, factors, 3, {"dci": {"backend": backend}}) for _ in range(2))
    assert first == second
    assert first["dci/backend"] == backend


def test_bad_options_are_named(factors):
    with pytest.raises(UserError, match="dci.backend: 'lightgmb' is unknown.*'lightgbm'.*lightgbm, sklearn"):
        dci.compute(factors, factors, backend="lightgmb")
    with pytest.raises(UserError, match="train_fraction: 1.0 leaves 900 of 900 rows"):
        dci.compute(factors, factors, train_fraction=1.0)


def test_rows_in_the_order_of_the_data_set_are_shuffled():
    codes, factors, _ = crafted.CODES["perfect"]
    ordered = np.lexsort(factors.T[::-1])
    codes, factors = codes[ordered], factors[ordered]
    assert metrics.compute("dci", codes, factors)["dci/informativeness"] == 1
    with pytest.raises(UserError, match="order of factor 0, and the 2000 training rows lack its classes 3"):
        metrics.compute("dci", codes, factors, shuffle=False)


def test_rare_classes_are_named(rng):
    factors = np.zeros((300, 1), int)
    factors[:9] = 1
    scores = metrics.compute("dci", rng.standard_normal((300, 2)), factors)
    assert re.fullmatch(
        r"factor 0: 1 of 2 classes have fewer than 50 of the 200 training rows", scores["dci/warnings"][0]
    )


@pytest.mark.parametrize("backend", sorted(dci.BACKENDS))
def test_two_rows_can_train(backend):
    codes, factors = np.arange(30.0)[:, None], np.full((30, 1), MISSING)
    factors[[5, 19, 29], 0] = 0, 1, 1
    scores = dci.compute(codes, factors, backend=backend)
    assert scores["informativeness"] == scores["completeness"] == scores["disentanglement"] == 1


def test_groups_add_up(rng, factors):
    codes = np.concatenate([factors, rng.standard_normal((900, 3))], axis=1)
    scores = metrics.compute("dci", codes, factors, groups=[[0, 1], [2], [3, 4, 5]])
    assert np.shape(scores["dci/importances"]) == (3, 3)
    assert 0.4 < scores["dci/disentanglement"] < 0.7
    assert 0.95 < scores["dci/completeness"] <= 1


def test_a_missed_factor_counts_against_completeness():
    # disentanglement_lib's own test_missed_factors has 1 here: it weighs factors by their importance, Eq. 15 does not.
    importances = np.zeros((5, 5))
    importances[:2, :2] = np.eye(2)
    assert dci.completeness(importances) == pytest.approx(0.4)
    assert dci.disentanglement(importances) == 1
