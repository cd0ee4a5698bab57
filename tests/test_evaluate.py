"""Scores: which codes they are made of, and what cannot be scored is said and in nobody's way."""

import dataclasses

import matplotlib
import numpy as np
import pytest

from scaledis import report
from scaledis.config import Evaluate
from scaledis.core.errors import UserError
from scaledis.core.files import read_json
from scaledis.datasets.base import sampling
from scaledis.metrics.of_models.shared import classifiers
from scaledis.model import Model
from scaledis.sweeps.expand import expand
from scaledis.training import evaluate, loop, scores
from scaledis.types import Codes
from scaledis.workdir import claims, score_files, table
from scaledis.workdir.layout import Workdir
from tests import tiny
from tests.report import material

GRID = tiny.dataset()
NAMELESS = dataclasses.replace(GRID, factor_names=(), factor_values=(), table=np.zeros((96, 0), np.int32))
LEVELS = np.asarray([0, 0, 1])
FACTORS = GRID.factors(np.random.default_rng(0).permutation(96))


def with_evaluate(config, **settings):
    return dataclasses.replace(config, evaluate=dataclasses.replace(config.evaluate, **settings))


def test_codes_come_from_the_split_and_train_and_test_are_disjoint():
    config = tiny.config(
        data__held_out=0.5, evaluate__split="held_out", evaluate__train_codes=30, evaluate__test_codes=18
    )
    index, train_codes = evaluate.sample(GRID, config)
    assert len(set(index)) == 48 and train_codes == 30
    other, _ = evaluate.sample(GRID, with_evaluate(config, split="train"))
    assert not set(index) & set(other)
    again, _ = evaluate.sample(GRID, config)
    assert (again == index).all()
    assert set(evaluate.sample(GRID, with_evaluate(config, seed=1))[0]) == set(index)  # all of them, in another order


@pytest.mark.parametrize("seed", range(5))
def test_codes_of_all_images_are_of_held_out_and_trained_ones_in_their_proportion(seed):
    data, settings = {"data__held_out": 0.25}, {"train_codes": 48, "test_codes": 24, "seed": seed}
    config = with_evaluate(tiny.config(**data), **settings)
    index, train_codes = evaluate.sample(GRID, config)
    held = np.isin(index, sampling.split(GRID, config.data, "held_out"))
    for part, expected in ((held[:train_codes], 12), (held[train_codes:], 6)):
        assert expected / 2 <= part.sum() <= 1.5 * expected


def test_a_set_that_is_smaller_than_asked_for_is_scored_on_what_there_is():
    index, train_codes = evaluate.sample(GRID, tiny.config(evaluate__train_codes=200, evaluate__test_codes=100))
    assert len(set(index)) == 96 and train_codes == 64
    index, train_codes = evaluate.sample(GRID, tiny.config(evaluate__train_codes=60, evaluate__test_codes=30))
    assert len(index) == 90 and train_codes == 60


def test_a_split_of_very_few_images_is_an_error_that_names_both_numbers():
    with pytest.raises(UserError, match="evaluate.split: 'held_out' of tiny has 5 images; 10 are needed"):
        evaluate.sample(GRID, tiny.config(data__held_out=0.05, evaluate__split="held_out"))
    with pytest.raises(UserError, match="evaluate.train_codes: 2 beside evaluate.test_codes=999 leaves 0 of 96 images"):
        evaluate.sample(GRID, tiny.config(evaluate__train_codes=2, evaluate__test_codes=999))
    few = tiny.config(data__held_out=0.05, evaluate__split="held_out")
    assert len(evaluate.sample(NAMELESS, few)[0]) == 5  # without factors nothing is trained on the codes


def scored(mean, **settings):
    codes = Codes(np.asarray(mean, np.float32), np.zeros_like(mean, np.float32), LEVELS)
    return scores.score_codes(codes, FACTORS, Evaluate(**settings), 64, GRID)


def test_every_level_is_scored_alone_and_all_units_together():
    factors = FACTORS.astype(float)
    found = scored(factors)  # a unit for each factor: level 2 has the first two, level 1 the third
    assert not found["skipped"] and found.keys() >= {"all", "level2", "level1"}
    assert found["all"]["mig/mig"] > 0.99
    np.testing.assert_allclose(found["unit_kl_nats"], 0.5 * np.square(factors).mean(0), rtol=1e-5)


@pytest.mark.parametrize("level, units", [("level2", [0, 1]), ("level1", [2])])
def test_a_level_that_is_absent_is_skipped_with_a_reason_and_its_neighbor_is_scored(level, units, capsys):
    mean = FACTORS.astype(float)
    mean[:, units] = 0
    found = scored(mean)
    reason = "the codes are the same for every image"
    assert found["skipped"] == {f"{level}/dci": reason, f"{level}/mig": reason} and found[level] == {}
    other = ({"level1", "level2"} - {level}).pop()
    assert {"dci/disentanglement", "mig/mig"} <= found[other].keys() & found["all"].keys()
    assert f"{level}: not scored by dci: {reason}" in capsys.readouterr().err


def test_a_run_whose_codes_are_all_zero_or_not_finite_is_skipped_with_a_reason():
    zero = scored(np.zeros((96, 3)))
    assert zero["all"] == zero["level1"] == {} and len(zero["skipped"]) == 6 and zero["unit_kl_nats"] == [0, 0, 0]
    broken = scored(np.full((96, 3), np.nan))
    assert broken["skipped"]["all/mig"] == "the codes are not finite" and broken["unit_kl_nats"] is None


@pytest.mark.parametrize(("log_variance", "scored"), [(-np.inf, True), (np.inf, True), (np.nan, False)])
def test_posteriors_without_noise_are_scored_by_their_means(log_variance, scored):
    """A deterministic encoder: only what takes the variance is not defined."""
    mean, log_variances = FACTORS.astype(np.float32), np.zeros((96, 3), np.float32)
    log_variances[:, 1] = log_variance
    found = scores.score_codes(Codes(mean, log_variances, LEVELS), FACTORS, Evaluate(metrics=("mig",)), 64, GRID)
    if not scored:
        assert found["skipped"]["all/mig"] == "the codes are not finite" and found["unit_kl_nats"] is None
        return
    assert found["unit_kl_nats"] == [pytest.approx(each) if each else None for each in (1.75 / 2 * 2, None, 5 / 6)]
    assert (
        found["all"]["mig/mig"] > 0.99 and "unit_kl_nats: the KL of unit 1 is infinite" in found["all"]["mig/warnings"]
    )
    assert not found["skipped"] and found["level1"]["mig/mig_sampled"] is not None
    assert (found["all"]["mig/mig_sampled"] is None) == (log_variance > 0)


def test_one_metric_that_cannot_score_is_not_in_the_way_of_another(monkeypatch):
    compute = scores.compute

    def failing(names, *args, **kwargs):
        if "dci" in names:
            raise UserError("dci has said no")
        return compute(names, *args, **kwargs)

    monkeypatch.setattr(scores, "compute", failing)
    found = scored(FACTORS.astype(float))
    assert found["skipped"]["all/dci"] == "dci has said no" and found["all"]["mig/mig"] > 0.99


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A population of one run that trains and one that diverges at once."""
    workdir = Workdir(tmp_path_factory.mktemp("pair"))
    runs = expand(tiny.plain(method__name="vlae", train__steps=2), ["train.learning_rate=1e-3,1e30"])
    [group] = claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs)
    loop.train_population(group, 0, GRID, workdir)
    return workdir, group


def test_a_diverged_run_is_scored_at_its_last_good_state_and_its_neighbor_at_the_end(pair, capsys):
    workdir, group = pair
    evaluate.evaluate_population(group, 0, GRID, workdir)
    good, bad = (read_json(workdir.run(run.name) / "scores.json") for run in group)
    assert good["diverged"] is None and bad["diverged"] == 1
    assert {"dci/disentanglement", "mig/mig"} <= good["all"].keys() and good["fingerprint"] == GRID.fingerprint
    with np.load(workdir.run(group[1].name) / "codes.npz") as codes:
        assert np.isfinite(codes["mean"]).all() and np.isfinite(codes["log_variance"]).all()
        assert (codes["levels"] == LEVELS).all()
    before = tiny.tree(workdir.root)
    capsys.readouterr()
    evaluate.evaluate_population(group, 0, GRID, workdir)
    assert tiny.tree(workdir.root) == before and capsys.readouterr().err == ""


def test_chance_levels_are_scored_where_they_are_asked_for_and_missing(pair):
    workdir, group = pair
    asked = [run._replace(config=with_evaluate(run.config, seed=3, metrics=("mig",), chance=2)) for run in group]
    without = [run._replace(config=with_evaluate(run.config, chance=0)) for run in asked]
    evaluate.evaluate_population(without, 0, GRID, workdir)
    held = score_files.read(workdir, score_files.path(workdir, asked[0], 2))
    assert "mig/mig_chance" not in held["all"] and score_files.missing(held, asked[0].config.evaluate, GRID) == ["mig"]
    evaluate.evaluate_population(asked, 0, GRID, workdir)
    held = score_files.read(workdir, score_files.path(workdir, asked[0], 2))
    assert 0 <= held["all"]["mig/mig_chance"] < 1 and 0 <= held["level2"]["mig/mig_chance"] < 1
    assert not any(score_files.missing(held, run.config.evaluate, GRID) for run in (asked[0], without[0]))
    more = with_evaluate(asked[0].config, metrics=("mig", "quality"), chance=3).evaluate
    assert score_files.missing(held, more, GRID) == ["mig", "quality"]
    rows, _ = table.rows(workdir, 0, [group[0].name])
    assert rows[0]["mig/mig_chance"] == held["all"]["mig/mig_chance"]
    assert rows[0]["level2/mig/mig_chance"] == held["level2"]["mig/mig_chance"]


def test_other_data_are_refused(pair):
    workdir, group = pair
    other = [run._replace(config=with_evaluate(run.config, seed=7)) for run in group]
    with pytest.raises(UserError, match="trained on other images or factors.* fingerprint was"):
        evaluate.evaluate_population(other, 0, tiny.changed(GRID), workdir)


def test_a_population_without_a_checkpoint_is_said_and_left_out(pair, tmp_path, capsys):
    workdir, group = pair
    for place, step, message in [
        (workdir, 4, "there is no checkpoint of step 4; there are [2]"),
        (tiny.claimed(tmp_path, *group), None, "no checkpoint"),
    ]:
        assert not evaluate.evaluate_population(group, 0, GRID, place, step=step)
        assert message in capsys.readouterr().err


def test_images_without_factors_train_and_are_drawn_and_no_metric_applies(tmp_path, capsys, monkeypatch):
    workdir = Workdir(tmp_path)
    runs = expand(tiny.plain(train__steps=2, method__name="vlae"), [])
    groups = claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs)
    loop.train_population(groups[0], 0, NAMELESS, workdir)
    for _ in range(2):
        evaluate.evaluate_population(groups[0], 0, NAMELESS, workdir)
    assert capsys.readouterr().err.count("no factors, so that no metric applies") == 1
    scores = read_json(workdir.run("run") / "scores.json")
    assert scores["all"] == {} and len(scores["unit_kl_nats"]) == 3
    monkeypatch.setattr(sampling, "load_dataset", lambda data: NAMELESS)
    report.write(groups, workdir)
    assert (workdir.report / "traversals.png").exists()
    drawn = tiny.tree(workdir.report)
    with matplotlib.rc_context(material.OWN_STYLE):
        report.write(groups, workdir)
    assert tiny.tree(workdir.report) == drawn


def test_metrics_of_a_model_stand_beside_those_of_its_codes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classifiers, "STEPS", 50)
    workdir = Workdir(tmp_path / "run")
    asked = {"evaluate__metrics": ("level", "edits", "quality"), "data__directory": str(tmp_path)}
    runs = expand(tiny.plain(train__steps=2, method__name="vlae", **asked), [])
    groups = claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs)
    loop.train_population(groups[0], 0, GRID, workdir)
    evaluate.evaluate_population(groups[0], 0, GRID, workdir)
    scores = read_json(workdir.run("run") / "scores.json")
    found = scores["all"]
    assert {"level/concentration", "level/order", "edits/selectivity", "quality/ssim"} <= found.keys()
    assert not scores["skipped"] and not any(key.startswith("edits/") for key in scores["level1"])
    assert any(each.startswith("edits: ") for each in found["edits/warnings"])  # two steps teach nothing
    before = tiny.tree(workdir.root)
    evaluate.evaluate_population(groups[0], 0, GRID, workdir)
    assert tiny.tree(workdir.root) == before
    assert capsys.readouterr().err.count("scoring") == 1


def test_without_factors_a_model_is_still_measured(tmp_path, capsys):
    model = Model(tiny.config(), 0, None, None, lambda codes: np.zeros((len(codes), *GRID.image_shape)))
    model = model._replace(negative_log_likelihood=lambda expected, images: np.ones(len(images)))
    codes = Codes(np.ones((96, 3), np.float32), np.zeros((96, 3), np.float32), LEVELS)
    settings = Evaluate(metrics=("dci", "level", "edits", "quality"))
    found = scores.score_codes(codes, NAMELESS.factors(np.arange(96)), settings, 64, NAMELESS)
    found = scores.score_model(found, model, NAMELESS, np.arange(96), codes, settings)
    assert found["all"]["quality/mse"] > 0 and found["all"]["level/order"] is None
    assert found["skipped"] == {"all/edits": "tiny has no factors that an edit could change"}
    broken = found | {"unit_kl_nats": None, "skipped": {}}
    found = scores.score_model(broken, model, NAMELESS, np.arange(96), codes, settings)
    assert set(found["skipped"].values()) == {"the codes are not finite"} and len(found["skipped"]) == 3


def test_the_door_scores_codes_of_any_model():
    codes = FACTORS.astype(float)
    assert evaluate.score(codes, FACTORS, "mig")["mig/mig"] > 0.99
    assert 0 <= evaluate.score(codes, FACTORS, "mig", chance=2)["mig/mig_chance"] < 0.9
    found = evaluate.score(codes, FACTORS, chance=0, dci={"backend": "sklearn"})
    assert found["dci/backend"] == "sklearn" and found["dci/disentanglement"] > 0.9
    with pytest.raises(UserError, match="mog"):
        evaluate.score(codes, FACTORS, ["mog"])
