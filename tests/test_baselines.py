"""Floor and ceiling: codes that know little of the factors, and a network that was told them."""

import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA

from scaledis import metrics, report
from scaledis.config import Evaluate
from scaledis.core.errors import Stopped, UserError
from scaledis.core.files import read_json, write_sealed
from scaledis.datasets.base import sampling
from scaledis.metrics import of_models
from scaledis.metrics.shared import encoding
from scaledis.model import Model
from scaledis.sweeps.expand import expand
from scaledis.training import baselines, evaluate, hooks, loop, scores
from scaledis.training.baselines import Task
from scaledis.training.load import load_results, load_run
from scaledis.training.restore import restore
from scaledis.workdir import claims, score_files
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from tests import tiny

GRID, RENDERED = tiny.dataset(), tiny.rendered()  # the first has principal components of equal variance
NAMELESS = dataclasses.replace(GRID, factor_names=(), factor_values=(), table=np.zeros((96, 0), np.int32))
LEVELS = np.asarray([0, 0, 1])
ORDER = np.random.default_rng(0).permutation(96)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process that has scored nothing yet, and trains a supervised encoder for few steps."""
    monkeypatch.setattr(baselines, "steps_of", lambda _: 20)
    monkeypatch.setattr(baselines, "_scored", {})


@pytest.fixture
def counted(monkeypatch):
    """The metric and the first code of every computation of a metric of codes."""
    compute, found = scores.compute, []

    def counting(metric, codes, *args, **kwargs):
        found.append((metric, codes.shape, float(codes[0, 0])))
        return compute(metric, codes, *args, **kwargs)

    monkeypatch.setattr(scores, "compute", counting)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs in one population, one of them padded."""
    workdir = Workdir(tmp_path_factory.mktemp("trained"))
    runs = expand(tiny.plain(train__steps=2, model__parameters=30_000), ["model.allocation=(2,1),(1,1)"])
    [group] = claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs)
    loop.train_population(group, 0, GRID, workdir)
    return workdir, group


def asking(group, **settings):
    own = [dataclasses.replace(run.config.evaluate, **settings) for run in group]
    configs = [dataclasses.replace(run.config, evaluate=each) for run, each in zip(group, own, strict=True)]
    return [run._replace(config=config) for run, config in zip(group, configs, strict=True)]


def scored(workdir, group):
    evaluate.evaluate_population(group, 0, GRID, workdir)
    return [read_json(workdir.run(run.name) / "scores.json") for run in group]


def task(model=None, dataset=GRID, levels=LEVELS, factors=None, **settings):
    factors = dataset.factors(ORDER) if factors is None else factors
    return Task(model, dataset, ORDER, factors, 64, levels, Evaluate(**settings))


def test_noise_scores_what_chance_gives_and_what_it_should():
    codes, factors = encoding.noise((3000, 10), 0), np.random.default_rng(1).integers(0, 5, (3000, 3))
    assert (
        abs(codes.mean()) < 0.02 and abs(codes.std() - 1) < 0.02 and abs(np.corrcoef(codes.T) - np.eye(10)).max() < 0.1
    )
    found = metrics.compute(["mig", "mcc"], codes, factors, chance=5)
    assert 0 <= found["mig/mig"] < 0.01 and 0 <= found["mcc/pearson"] < 0.06
    for key in ("mig/mig", "mcc/pearson"):
        assert found[key] == pytest.approx(found[f"{key}_chance"], abs=0.02)
    assert not np.array_equal(codes, encoding.noise((3000, 10), 1))
    own = baselines.noise(task(seed=3))
    assert own.mean.shape == (96, 3) and own.log_variance is None and (own.levels == LEVELS).all()


def test_components_are_those_of_scikit_learn(monkeypatch):
    images = RENDERED.images(ORDER).reshape(96, -1) / 255
    expected = PCA(3, svd_solver="full").fit(images[:64]).transform(images)
    found = baselines.pca(task(dataset=RENDERED)).mean
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-4)
    monkeypatch.setattr(baselines, "CHUNK", 16)  # several parts are close to the components of all
    found = baselines.pca(task(dataset=RENDERED)).mean
    correlations = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(found.T, expected.T, strict=True)]
    assert min(correlations) > 0.9
    with pytest.raises(UserError, match="64 images of 768 numbers have fewer than 65 principal components"):
        baselines.pca(task(levels=np.zeros(65, int)))


def test_the_untrained_network_is_the_start_of_the_run_in_its_population(trained):
    workdir, group = trained
    population = tiny.population([run.config for run in group], GRID)
    start = population.init()
    for slot, run in enumerate(group):
        model = load_run(workdir.root, run.name)
        levels = model.encode(GRID.images(ORDER)).levels
        found = baselines.untrained(task(model, levels=levels))
        expected = population.model(start, slot).encode(GRID.images(ORDER))
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.log_variance, expected.log_variance, rtol=1e-4, atol=1e-5)
        assert not np.allclose(found.mean, model.encode(GRID.images(ORDER)).mean, rtol=1e-4, atol=1e-5)


def test_units_are_told_what_varies_with_mean_0_and_variance_1_and_missing_labels_are_masked():
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, 3, 96), np.zeros(96), rng.normal(5, 2, 96), rng.uniform(0, 360, 96)], axis=1)
    factors[:10, 2] = np.nan
    named = dataclasses.replace(GRID, factor_names=("class", "still", "size", "turn"), factor_values=())
    own = task(dataset=named, factors=factors, levels=np.zeros(9), kinds=("turn=angle:360",))
    targets, there = baselines._targets(own)
    assert targets.shape == there.shape == (64, 4) and targets.dtype == np.float32
    known = [targets[there[:, unit], unit] for unit in range(4)]
    np.testing.assert_allclose([each.mean() for each in known], 0, atol=1e-6)
    np.testing.assert_allclose([each.std() for each in known], 1, atol=1e-6)
    assert there.sum(axis=0).tolist() == [64, 54, 64, 64] and not targets[:10, 1].any()
    turn = np.deg2rad(factors[:64, 3])
    assert np.corrcoef(targets[:, 2], np.cos(turn))[0, 1] > 0.999 < np.corrcoef(targets[:, 3], np.sin(turn))[0, 1]
    few, _ = baselines._targets(own._replace(levels=np.zeros(2)))
    np.testing.assert_array_equal(few, targets[:, :2])
    with pytest.raises(UserError, match="no factor varies over the images of the train codes"):
        baselines._targets(task(factors=np.zeros((96, 3))))


def test_floor_and_ceiling_enclose_a_run_and_are_shown_wherever_its_scores_are(trained, counted, monkeypatch):
    workdir, group = trained
    monkeypatch.setattr(baselines, "steps_of", lambda _: 800)
    group = asking(group, seed=1, floor=True, ceiling=True)
    first, second = scored(workdir, group)
    assert first["floor"].keys() == second["floor"].keys() == {"noise", "untrained", "pca"} and not first["skipped"]
    told, start = first["ceiling"]["supervised"], first["floor"]["untrained"]
    assert 1 >= told["dci/informativeness"] > start["dci/informativeness"] + 0.2
    assert 1 >= told["mig/mig"] > 0.4 > 0.1 > max(first["floor"]["noise"]["mig/mig"], start["mig/mig"]) >= 0
    assert second["ceiling"]["supervised"]["dci/dropped"]["units"] == [] and told["dci/n"] == 90
    assert not any("chance" in key for scores in (*first["floor"].values(), told) for key in scores)
    names = dict.fromkeys(shape for _, shape, _ in counted)
    assert len(counted) == len(set(counted)) and names.keys() >= {(90, 3), (90, 2)}

    table = load_results(workdir.root)
    assert table["ceiling/supervised/mig/mig"].tolist() == [told["mig/mig"], second["ceiling"]["supervised"]["mig/mig"]]
    assert table["floor/noise/dci/informativeness"][0] == first["floor"]["noise"]["dci/informativeness"]
    monkeypatch.setattr(sampling, "load_dataset", lambda data: GRID)
    lines = report.table([group], workdir).splitlines()
    titles = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert titles[-4:] == ["floor, noise", "floor, untrained", "floor, pca", "ceiling, supervised"] and len(titles) == 7
    mean = np.mean([each["ceiling"]["supervised"]["mig/mig"] for each in (first, second)])
    assert lines[-3].split("|")[-3].strip() == f"{mean:.3f}"
    report.write([group], workdir)
    assert '"ceiling, supervised":[' in (workdir.report / "index.html").read_text()


def test_what_runs_share_is_computed_once(trained, counted):
    workdir, group = trained
    alike = asking([group[0]], seed=2, metrics=("mig",), floor=True)
    scored(workdir, alike)
    assert len(counted) == 3 + 3  # of all units and two levels; of the floor
    later = asking([group[0]], seed=2, metrics=("mig",), floor=True, split="train")  # without held out images the same
    [found] = scored(workdir, later)
    assert found["split"] == "train" and len(counted) == 6 + 3 + 3
    scored_before, baselines._scored = baselines._scored, {}
    assert {key[0][0] for key in scored_before} == {"noise", "untrained", "pca"}


@pytest.mark.parametrize("allowed", range(4, 9))
def test_an_interrupted_run_goes_on_and_no_metric_is_computed_twice(allowed, trained, counted, monkeypatch):
    workdir, group = trained
    [run] = asking(group[:1], seed=10 + allowed, metrics=("mig", "mcc"), floor=True)
    with pytest.raises(Stopped, match="between the scores of"):
        evaluate.evaluate_population([run], 0, GRID, workdir, stop=lambda: len(counted) >= allowed)
    held = score_files.newest(workdir, run.name)
    assert len(counted) == allowed and not score_files.is_scored(workdir, run, 2, GRID)
    monkeypatch.setattr(baselines, "_scored", {})  # as in another process
    [found] = scored(workdir, [run])
    of_floor = [each for each in counted if each[1] == (90, 3)]
    assert len(of_floor) == len(set(of_floor)) == 8  # two metrics of the run's units and of three baselines
    assert found["floor"]["noise"].items() >= held["floor"].get("noise", {}).items()
    assert all({"mig/mig", "mcc/pearson"} <= each.keys() for each in found["floor"].values())
    assert score_files.is_scored(workdir, run, 2, GRID)


def test_a_run_that_was_scored_without_is_scored_again_once_asked_and_keeps_all(trained, counted):
    workdir, group = trained
    plain = asking(group, seed=20, metrics=("mig",), chance=2)
    [first, _] = scored(workdir, plain)
    assert "floor" not in first and "ceiling" not in first
    before = len(counted)
    [found, _] = scored(workdir, asking(plain, floor=True))
    assert len(counted) == before + 6 and found["all"] == first["all"]
    assert found["floor"].keys() == {"noise", "untrained", "pca"}
    [found, _] = scored(workdir, asking(plain, metrics=("mig", "mcc")))  # another metric, now without a floor
    assert found["floor"]["pca"]["mig/mig"] >= 0 and "mcc/pearson" not in found["floor"]["pca"]
    before = tiny.tree(workdir.root)
    scored(workdir, asking(plain, floor=True))
    assert tiny.tree(workdir.root) == before


def test_what_cannot_be_computed_is_left_out_with_one_sentence(trained, capsys, monkeypatch):
    workdir, group = trained
    model = load_run(workdir.root, group[0].name)
    wanted = task(model, metrics=("mig", "mcc"), floor=True, ceiling=True)
    monkeypatch.setattr(baselines, "_start", lambda model: _without_parameters(model))
    found = baselines.score_baselines({}, wanted)
    sentence = "scale_vlae keeps no parameters that could follow a gradient"
    assert found["skipped"]["ceiling/supervised"] == sentence and found["ceiling"] == {}
    assert found["floor"].keys() == {"noise", "untrained", "pca"} and capsys.readouterr().err.count(sentence) == 1
    assert not score_files.missing_baselines(found, wanted.settings, GRID)
    found = baselines.score_baselines({}, task(model, NAMELESS, metrics=("mig",), floor=True))
    assert found == {"skipped": {}, "floor": {}} and "floor: tiny has no factors" in capsys.readouterr().err
    assert not score_files.missing_baselines(found, Evaluate(floor=True), NAMELESS)


def _without_parameters(model):
    """A population whose method keeps an array and nothing else."""
    alone = tiny.population([model.config], GRID)
    start = alone.init()
    return _Alone(alone.model(start, 0)), start._replace(state={"table": np.zeros((1, 2))})


class _Alone:
    def __init__(self, model: Model):
        self._model = model

    def model(self, start, slot):
        return self._model


def test_a_constant_baseline_is_skipped_by_metric_and_no_other(trained, monkeypatch, capsys):
    workdir, group = trained
    monkeypatch.setitem(baselines.MAKERS, "pca", lambda task: baselines.noise(task)._replace(mean=np.zeros((96, 3))))
    model = load_run(workdir.root, group[0].name)
    found = baselines.score_baselines({}, task(model, metrics=("mig",), floor=True))
    reason = "the codes are the same for every image"
    assert found["skipped"] == {"floor/pca/mig": reason} and found["floor"].keys() == {"noise", "untrained"}
    assert f"floor/pca: not scored by mig: {reason}" in capsys.readouterr().err


def test_every_baseline_has_its_maker_and_metrics_of_models_have_none():
    assert sorted(baselines.MAKERS) == sorted(name for names in score_files.BASELINES.values() for name in names)
    only = Evaluate(metrics=tuple(name for name in of_models.names() if name not in metrics.names()), floor=True)
    assert score_files.missing_baselines({}, only, GRID) == {}


@pytest.mark.parametrize("key", ["floor", "ceiling"])
def test_misuse_is_one_sentence(key, trained):
    with pytest.raises(UserError, match=f"evaluate.{key}: 'yes' must be True or False"):
        tiny.config(**{f"evaluate__{key}": "yes"})
    workdir, group = trained
    [run] = asking(group[:1], seed=30)
    scored(workdir, [run])
    file = workdir.run(run.name) / "scores.json"
    write_sealed(file, read_json(file) | {key: [1]})
    with pytest.raises(UserError, match="scores.json is damaged"):
        score_files.newest(workdir, run.name)


def test_periodic_scores_have_neither(trained):
    workdir, group = trained
    group = asking(group, seed=40, metrics=("mig",), floor=True, ceiling=True)
    population, states, step = restore(workdir, 0)
    facts, checkpoints = sampling.facts(GRID, group[0].config.data), Checkpoints(workdir.checkpoints(0))
    training = hooks.Training(group, population, 0, GRID, facts, workdir, checkpoints, step, lambda: False)
    hooks.make_scores()(training).call(hooks.Moment(step, states, {}, np.asarray([-1, -1])))
    held = score_files.newest(workdir, group[0].name)
    assert "mig/mig" in held["all"] and not {"floor", "ceiling"} & held.keys()
