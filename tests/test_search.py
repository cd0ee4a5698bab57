"""A search: what is asked for, trained, told back and kept; a search that was stopped ends as one that was not."""

import itertools
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from scipy.stats import qmc

import scaledis
from scaledis.core.errors import Stopped, UserError
from scaledis.core.files import write_sealed
from scaledis.metrics.shared import agreement
from scaledis.objectives import gaussian
from scaledis.search import batches, criteria, samplers, settings, space, stages
from scaledis.search.samplers import Question
from scaledis.search.space import Range
from scaledis.search.study import Study
from scaledis.sweeps.aim import Aim
from scaledis.sweeps.configs import override
from scaledis.sweeps.expand import expand
from scaledis.sweeps.shards import Shard
from scaledis.training.engine import Job
from scaledis.training.load import load_run
from scaledis.workdir import decisions, trials
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import last_mean, read_records
from scaledis.workdir.trials import Trial, Trials
from tests import assert_same, kills, tiny

pytestmark = pytest.mark.usefixtures("linear_method")
DATASET = tiny.dataset()
SETTINGS = {"method__name": "linear", "train__steps": 4, "evaluate__metrics": ("mig",), "train__parallel": 2}
CONFIG = tiny.plain(**SETTINGS)
STARTS = {"train__starts": 2, "train__rungs": ((0.5, 1, "loss_nats", "min"),)}
SPACE = {"train.learning_rate": space.log_uniform(1e-5, 1e-2), "objective.sigma": space.uniform(0.1, 1.0)}


def search(folder, text="optuna:6", by=("kl_nats:min",), ranges=SPACE, sweeps=(), config=CONFIG, stop=None, **options):
    """The work directory of a search; `options` are the job's."""
    workdir = Workdir(folder)
    base = {"config": config, "sweep": list(sweeps), "command": "test"} | options.pop("base", {})
    job = Job(workdir, base, (), DATASET, beside=(), **options)
    wanted = settings.parse(text, by, ranges)
    batches.train_all(job, wanted, lambda params: expand(override(config, params), sweeps), stop or (lambda: False))
    return workdir


def told(workdir):
    found = trials.read(workdir.trials)
    assert found is not None
    return found.trials


def study_of(workdir):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{workdir.root / 'study.db'}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, linear_method):
    """A search of 24 trials in batches of four, that was never stopped."""
    return search(tmp_path_factory.mktemp("whole"), "optuna:24,batch:4")


def assert_equal(workdir, other):
    """Two directories of searches with the same trials, plan, decisions, states and logs."""
    assert told(workdir) == told(other) and workdir.planned() == other.planned()
    assert decisions.read(workdir.rungs) == decisions.read(other.rungs)
    for run in other.runs():
        paths = (each.run(run.name) / "metrics.jsonl" for each in (workdir, other))
        assert read_records(next(paths)) == read_records(next(paths))
        assert_same(load_run(workdir.root, run.name).state, load_run(other.root, run.name).state)


# The space


def test_the_values_of_a_range_are_equally_likely():
    shares = (np.arange(1200) + 0.5) / 1200

    def values(text):
        return np.array([space.parse([f"key={text}"])["key"].at(float(share)) for share in shares])

    np.testing.assert_allclose(values("uniform:-2..4"), -2 + 6 * shares)
    np.testing.assert_allclose(values("log:0.01..10"), 10 ** (-2 + 3 * shares))
    assert {*values("int:3..8")} == {3, 4, 5, 6, 7, 8} and (np.bincount(values("int:3..8"))[3:] == 200).all()
    counts = np.bincount(values("logint:1..7"))[1:]
    np.testing.assert_allclose(counts / 1200, np.log2(1 + 1 / np.arange(1, 8)) / 3, atol=2e-3)
    assert values("choice:vae,vlae,8").tolist() == ["vae"] * 400 + ["vlae"] * 400 + ["8"] * 400


@pytest.mark.parametrize("text", ["uniform:0.0..8.0", "log:1.0..64.0", "int:2..9", "logint:1..9", "choice:(4,2),vae,3"])
def test_a_range_is_written_as_it_is_read(text):
    [found] = space.parse([f"key={text}"]).values()
    assert str(found) == text and found.at(0.0) == found.bounds[0]
    assert found.at(space.LAST) == pytest.approx(found.bounds[-1]) if found.kind != "choice" else True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method.beta", "must be a key and its range, as in method.beta=log:1..64"),
        ("method.beta=lgo:1..64", "--space: kind of range of method.beta: 'lgo' is unknown. Did you mean 'log'"),
        ("method.beta=log:0..64", "log of .0.0, 64.0. must be two numbers above 0, the smaller one first"),
        ("method.beta=uniform:4..4", "must be two numbers, the smaller one first"),
        ("method.beta=uniform:0..nan", "must be two numbers"),
        ("train.batch=int:2.5..8", "must be two whole numbers"),
        ("train.batch=logint:0..8", "must be two whole numbers from 1 on"),
        ("train.batch=choice:32", "must be at least two different values"),
        ("train.batch=choice:32,32", "must be at least two different values"),
    ],
)
def test_what_is_no_range_is_refused(text, words):
    with pytest.raises(UserError, match=words):
        space.parse([text])


def test_the_space_of_a_config_file():
    assert space.of_file({"search_space": lambda: SPACE}) == SPACE and space.of_file({}) == {}
    with pytest.raises(UserError, match="search_space: 3 must be {key: range}"):
        space.of_file({"search_space": lambda: 3})


@pytest.mark.parametrize(
    ("ranges", "sweeps", "words"),
    [
        ({}, (), "--space: missing; give a range, as in --space=method.beta=log:1..64, or search_space"),
        ({"train.batch": space.integers(2, 8)}, ("train.batch=4,8",), "train.batch of int:2..8 changes nothing"),
        ({"objective.sigma": space.uniform(-1, 1)}, (), "objective.sigma: 0.0 must"),
        ({"method.batch": space.integers(2, 8)}, (), "'method.batch' is unknown"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_before_anything_is_written(tmp_path, ranges, sweeps, words):
    with pytest.raises(UserError, match=words):
        search(tmp_path / "none", ranges=ranges, sweeps=sweeps)
    assert not (tmp_path / "none").exists()


# Samplers


def asked(sampler, number, seed=0, ended=()):
    study = optuna.create_study(directions=["minimize"])
    for params, value in ended:
        kept = samplers.distributions(SPACE)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kept, value=value))
    return samplers.SAMPLERS[sampler](Question(study, SPACE, seed, number))


def test_the_sampler_quasi_takes_the_points_of_a_sobol_sequence():
    points = qmc.Sobol(2, rng=3).random(4)
    for number, (first, second) in enumerate(points):
        found = asked("quasi", number, seed=3)
        assert found == {"train.learning_rate": pytest.approx(10 ** (-5 + 3 * first)),
                         "objective.sigma": pytest.approx(0.1 + 0.9 * second)}  # fmt: skip


def test_the_sampler_random_depends_on_seed_and_number_alone():
    one = asked("random", 5)
    assert asked("random", 5, ended=[({"train.learning_rate": 1e-3, "objective.sigma": 0.5}, 1.0)]) == one
    assert asked("random", 6) != one != asked("random", 5, seed=1)
    rates = [math.log10(asked("random", n)["train.learning_rate"]) for n in range(200)]
    assert np.mean(rates) == pytest.approx(-3.5, abs=0.2) and np.std(rates) == pytest.approx(3 / 12**0.5, abs=0.1)


def test_the_sampler_tpe_comes_near_to_the_best():
    """After forty random trials its proposals for a bowl lie nearer to the bottom than random ones do."""

    def bowl(params):
        return (math.log10(params["train.learning_rate"]) + 3) ** 2 + (params["objective.sigma"] - 0.4) ** 2

    ended = [(params, bowl(params)) for params in (asked("random", n) for n in range(40))]
    proposed = [bowl(asked("tpe", 40, seed, ended)) for seed in range(8)]
    assert np.median(proposed) < np.median([value for _, value in ended]) / 4
    assert asked("tpe", 40, 0, ended) == asked("tpe", 40, 0, ended)


def test_a_choice_of_tuples_comes_back_as_it_was():
    ranges = {"model.allocation": space.choice((2, 1), (1, 2)), "train.batch": space.choice(4, 8)}
    for number in range(6):
        found = samplers.tpe(Question(optuna.create_study(), ranges, 0, number))
        assert found["model.allocation"] in ((2, 1), (1, 2)) and found["train.batch"] in (4, 8)
        assert type(found["train.batch"]) is int


# The search


def test_every_trial_is_a_run_of_its_setting_with_its_number_told_back(whole):
    every = told(whole)
    assert [each.number for each in every] == list(range(24)) and {each.state for each in every} == {"complete"}
    assert [each.batch for each in every] == [number // 4 * 4 for number in range(24)]
    held = study_of(whole)
    assert [each.value for each in held.trials] == [each.values[0] for each in every]
    assert held.direction.name == "MINIMIZE" and [each.params for each in held.trials] == [
        each.params for each in every
    ]
    for trial in every:
        [name] = trial.runs
        config = whole.read_config(name)
        assert name == f"trial={trial.number}"
        assert config.train.learning_rate == trial.params["train.learning_rate"]
        assert config.objective.sigma == trial.params["objective.sigma"]
        assert trial.values == [last_mean(read_records(whole.run(name) / "metrics.jsonl"), "kl_nats")]
    shares = trials.read(whole.trials).importance["kl_nats"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["train.learning_rate"] > 0.9 > 0.1 > shares["objective.sigma"] >= 0  # the method has no sigma


def test_a_batch_trains_in_full_populations(whole):
    assert [len(group) for group in whole.groups()] == [2] * 12


def test_a_search_that_was_stopped_twice_ends_like_one_that_was_not(whole, tmp_path):
    for ended in (7, 16):
        count = itertools.count()
        with pytest.raises(Stopped):
            search(tmp_path, "optuna:24,batch:4", stop=lambda count=count, ended=ended: next(count) > ended)
    assert 4 < sum(each.state == "complete" for each in told(Workdir(tmp_path))) < 24
    assert_equal(search(tmp_path, "optuna:24,batch:4"), whole)


def test_a_search_that_was_killed_before_each_of_its_writes_ends_like_one_that_was_not(tmp_path):
    other = search(tmp_path / "whole", "optuna:4,batch:2")
    writes = [(Study, "begin"), (Study, "tell"), (trials, "write"), (Workdir, "write_plan"), (Checkpoints, "save")]
    moments = (0, 1, 2, 1, 1, 2, 3, 1, 2, 2, 1, 1, 2, 1, 0)
    assert kills.in_turn(lambda: search(tmp_path / "killed", "optuna:4,batch:2"), writes, moments) > 10
    assert_equal(Workdir(tmp_path / "killed"), other)


def test_more_trials_go_on_from_those_that_are_there(tmp_path, whole):
    shutil.copytree(whole.root, tmp_path / "more")
    more = search(tmp_path / "more", "optuna:26")  # the batch is that of the directory
    assert told(more)[:24] == told(whole) and len(told(more)) == 26
    assert [each.batch for each in told(more)[24:]] == [24, 24]


def test_the_trials_of_several_seeds_have_their_mean(tmp_path):
    workdir = search(tmp_path, "optuna:2,batch:1", sweeps=("seeds:2",))
    for trial in told(workdir):
        assert trial.runs == [f"trial={trial.number},seed={seed}" for seed in (0, 1)]
        logs = [read_records(workdir.run(name) / "metrics.jsonl") for name in trial.runs]
        assert trial.values == [pytest.approx(np.mean([last_mean(each, "kl_nats") for each in logs]))]
    assert [len(group) for group in workdir.groups()] == [2, 2]


def test_a_search_for_a_score_finds_what_evaluate_finds(tmp_path):
    workdir = search(tmp_path, "optuna:2", ["mig/mig"], evaluate=True)
    for trial in told(workdir):
        scores = json.loads((workdir.run(trial.runs[0]) / "scores.json").read_text())
        assert trial.values == [scores["all"]["mig/mig"]] and 0 <= trial.values[0] <= 1
    unscored = search(tmp_path / "other", "optuna:2", ["mig/mig"])
    assert [each.values for each in told(unscored)] == [pytest.approx(each.values) for each in told(workdir)]


def test_a_search_for_agreement_finds_udr(tmp_path):
    workdir = search(tmp_path, "optuna:1", ["udr"], sweeps=("seeds:3",))
    [trial] = told(workdir)
    models = [load_run(tmp_path, name) for name in trial.runs]
    config = workdir.read_config(trial.runs[0])
    among = scaledis.training.evaluate.sample(DATASET, config)[0]
    codes = [model.encode(DATASET.images(among)) for model in models]
    nats = [np.asarray(gaussian.kl_to_standard(each.mean, each.log_variance)).mean(0) for each in codes]
    wanted = agreement.udr([each.mean for each in codes], nats)["spearman"]
    assert trial.values == [pytest.approx(np.mean(wanted))] and 0 < trial.values[0] <= 1


def test_the_elbo_across_weights_is_warned_of(tmp_path, capsys):
    config = {**CONFIG, "train": {**CONFIG["train"], "steps": 2}}
    scaledis.register_criterion("elbo_nats", lambda candidate: -candidate.records[-1]["loss_nats"])
    search(tmp_path / "a", "optuna:1", ["elbo_nats"], config=config)
    words = (
        "--objective: elbo_nats favors the lowest penalty across objective.sigma; it tells the better of several seeds"
    )
    assert words in capsys.readouterr().err
    search(
        tmp_path / "b", "optuna:1", ["elbo_nats"], {"train.learning_rate": space.log_uniform(1e-4, 1)}, config=config
    )
    assert "favors" not in capsys.readouterr().err


def test_several_objectives_are_weighed_against_each_other(tmp_path):
    workdir = search(tmp_path, "optuna:4", ["kl_nats:min", "reconstruction_nats:min"])
    held = study_of(workdir)
    assert [each.name for each in held.directions] == ["MINIMIZE"] * 2
    assert [each.values for each in held.trials] == [each.values for each in told(workdir)]
    assert all(len(each.values) == 2 for each in told(workdir))


def test_rungs_prune_trials_and_the_study_knows_at_which_numbers(tmp_path):
    text = "optuna:8,batch:4"
    workdir = search(tmp_path / "a", text, base={"halving": "eta:2,rungs:2,by:loss_nats,best:min"})
    taken = decisions.read(workdir.rungs)
    assert [*taken] == ["trial=0", "trial=4"] and [len(each) for each in taken.values()] == [2, 2]
    held = study_of(workdir).trials
    for first, several in zip((0, 4), taken.values(), strict=True):
        assert [[each.step, len(each.go_on)] for each in several] == [[1, 2], [2, 1]]
        for trial, theirs in zip(told(workdir)[first : first + 4], held[first : first + 4], strict=True):
            [name] = trial.runs
            passed = {each.step: each.numbers[name] for each in several if name in each.numbers}
            if name in several[-1].go_on:
                assert trial.state == "complete" and theirs.state.name == "COMPLETE"
            else:
                assert trial.state == "pruned" and theirs.state.name == "PRUNED"
                assert theirs.intermediate_values == passed and trial.why == f"dropped at step {max(passed)}"
    moments = itertools.count()
    with pytest.raises(Stopped):
        search(tmp_path / "b", text, base={"halving": "eta:2,rungs:2,by:loss_nats,best:min"},
               stop=lambda: next(moments) > 2)  # fmt: skip
    assert_equal(search(tmp_path / "b", text, base={"halving": "eta:2,rungs:2,by:loss_nats,best:min"}), workdir)


@pytest.mark.parametrize("looked_for", [max, min])
@pytest.mark.parametrize("best", [max, min])
def test_the_best_at_a_rung_is_the_best_in_the_study_whichever_way_the_objective_looks(tmp_path, looked_for, best):
    job, wanted = Job(Workdir(tmp_path), {}, ()), settings.parse("optuna:4", [f"kl_nats:{looked_for.__name__}"], SPACE)
    numbers = {"trial=0": 1.0, "trial=1": 3.0, "trial=2": 2.0}
    rung = decisions.Decision(2, "loss_nats", best.__name__, numbers, [best(numbers, key=numbers.__getitem__)])
    decisions.write(job.workdir.rungs, {"trial=0": [rung]})
    seen = {name: dict(batches._numbers(job, wanted, Trial(0, "pruned", {}, [name])))[2] for name in numbers}
    assert looked_for(seen, key=seen.__getitem__) == rung.go_on[0]


def test_a_search_with_rungs_that_was_killed_before_each_of_its_writes_ends_like_one_that_was_not(tmp_path):
    halving = {"halving": "eta:2,rungs:2,by:loss_nats,best:min"}

    def run(name):
        return search(tmp_path / name, "optuna:8,batch:4", base=dict(halving))

    writes = [(decisions, "write"), (Study, "tell"), (trials, "write"), (Workdir, "write_plan")]
    moments = (0, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 2, 1, 1, 1)
    assert kills.in_turn(lambda: run("killed"), writes, moments) > 8
    assert kills.in_turn(lambda: run("told"), [(Study, "tell")], (1, 2, 0)) == 3  # some of a batch are told
    assert kills.in_turn(lambda: run("moved"), [(decisions, "write")], (1, 0)) == 2  # survivors are packed already
    whole = run("whole")
    for name in ("killed", "told", "moved"):
        assert_equal(Workdir(tmp_path / name), whole)


def test_a_wrong_number_of_a_rung_is_refused_before_the_search_begins(tmp_path):
    with pytest.raises(UserError, match="--halving: 'los_nats' is unknown. Did you mean 'loss_nats'"):
        search(tmp_path / "none", base={"halving": "eta:2,rungs:1,by:los_nats"})
    assert not (tmp_path / "none").exists()


def test_the_start_that_goes_on_stands_for_its_trial(tmp_path):
    config = tiny.plain(**SETTINGS, **STARTS)
    workdir = search(tmp_path, "optuna:2", config=config)
    for trial in told(workdir):
        [name] = {*trial.runs} - workdir.dropped().keys()
        assert len(trial.runs) == 2 and trial.state == "complete"
        assert trial.values == [last_mean(read_records(workdir.run(name) / "metrics.jsonl"), "kl_nats")]


def test_a_trial_that_diverged_is_pruned_and_one_that_cannot_run_fails(tmp_path, capsys):
    ranges = {"train.learning_rate": space.choice(1e-3, 1e30), "train.batch": space.choice(4, 8)}
    workdir = search(tmp_path / "a", "optuna:6,sampler:random", ranges=ranges)
    rates = {each.params["train.learning_rate"]: each for each in told(workdir)}
    assert rates[1e-3].state == "complete" and rates[1e30].state == "pruned"
    assert rates[1e30].why == "a run diverged, or has no kl_nats"
    # Each end runs beside the middle of the other key, and one of the four settings does not.
    ranges = {"model.allocation": space.choice((1, 3), (2, 1)), "model.latents": space.choice(3, 0)}
    workdir = search(tmp_path / "b", "optuna:8,sampler:quasi", ranges=ranges)
    said = capsys.readouterr().err
    for trial in told(workdir):
        wrong = trial.params == {"model.allocation": [1, 3], "model.latents": 3}
        assert (trial.state, bool(trial.runs)) == (("failed", False) if wrong else ("complete", True))
        assert ("model.latents is 3" in trial.why) == wrong
        assert (f"Trial {trial.number} cannot run: {trial.why}\n" in said) == wrong
    assert {each.state for each in told(workdir)} == {"failed", "complete"}


def test_shards_share_a_study_by_a_journal(tmp_path):
    """Two shards in turns: each trains the batches that it asked for, and ends when all trials have begun."""
    one, other = Shard(0, 2), Shard(1, 2)
    count = itertools.count()
    with pytest.raises(Stopped):
        search(tmp_path, "optuna:6,batch:2", shard=one, stop=lambda: next(count) > 0)
    search(tmp_path, "optuna:6,batch:2", shard=other)
    workdir = search(tmp_path, "optuna:6,batch:2", shard=one)
    assert [each.shard for each in told(workdir)] == [0, 0, 1, 1, 1, 1]
    assert {each.state for each in told(workdir)} == {"complete"}
    assert [each.part % 2 for each in workdir.planned()] == [0, 1, 1]
    assert (tmp_path / "study.journal").exists() and not (tmp_path / "study.db").exists()
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    )
    assert len(optuna.load_study(study_name="search", storage=storage).trials) == 6


# What is refused


def test_another_search_in_the_same_directory_is_refused(tmp_path, whole):
    for change, words in [
        ({"text": "optuna:24,batch:4,seed:1"}, "seed is 0 there and 1 here"),
        ({"by": ["kl_nats:max"]}, "objectives is .'kl_nats:min'. there and"),
        ({"ranges": {"train.learning_rate": space.log_uniform(1e-5, 1e-1)}}, "space is .* there and"),
        ({"config": tiny.plain(**{**SETTINGS, "train__steps": 8})}, "have another train.steps; take another directory"),
        ({"sweeps": ("seeds:2",)}, "have another --sweep"),
        ({"base": {"halving": "eta:2,rungs:1,by:kl_nats"}}, "--halving: .* was begun with none, and this is eta:2"),
        ({"shard": Shard(0, 2)}, "--shard: one process has searched in .*; go on without --shard"),
    ]:
        before = tiny.tree(whole.root)
        with pytest.raises(UserError, match=words):
            search(whole.root, **{"text": "optuna:24,batch:4", **change})
        assert tiny.tree(whole.root) == before
    with pytest.raises(UserError, match="took another|holds another search"):
        plain = Workdir(tmp_path)
        runs = expand(CONFIG, ())
        stages.train_all(Job(plain, {"config": CONFIG, "sweep": [], "command": ""}, runs, DATASET, beside=()))
        search(tmp_path)


@pytest.mark.parametrize(
    ("by", "halving", "fixed", "free"),
    [
        ("kl_nats", None, {"train.log_every": 1}, {"evaluate.seed": 1, "train.keep": 9}),
        ("mig/mig", None, {"evaluate.seed": 1}, {"train.log_every": 1, "evaluate.chance": 5}),
        ("last_kl", None, {"evaluate.test_codes": 20}, {"evaluate.metrics": ("mig", "sap")}),
        ("last_kl", None, {"train.log_every": 1}, {"evaluate.floor": True}),
        ("kl_nats", "eta:2,rungs:1,by:mig/mig", {"evaluate.split": "train"}, {"evaluate.ceiling": True}),
    ],
)
def test_settings_that_change_what_trials_are_compared_by_stay(tmp_path, monkeypatch, by, halving, fixed, free):
    def check(config):
        base = {"config": config, "sweep": [], "command": "test", "halving": halving}
        batches._check_config(Job(workdir, base, ()), settings.parse("optuna:2", [by], SPACE))

    monkeypatch.setattr(criteria.REGISTRY, "registered", {})
    scaledis.register_criterion("last_kl", lambda candidate: candidate.records[-1]["kl_nats"])
    workdir, [key] = tiny.claimed(tmp_path), fixed
    write_sealed(workdir.config, {"config": CONFIG, "sweep": [], "command": "test"})
    check(override(CONFIG, free))
    with pytest.raises(UserError, match=f"have another {key}; take another directory"):
        check(override(CONFIG, fixed))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"text": "optuna"}, "--search: 'optuna' must be optuna and a number of trials, such as optuna:200"),
        ({"text": "optuna:0"}, "--search: trials of 0 must be a whole number from 1 to 1,000,000"),
        ({"text": "hyperopt:5"}, "--search: 'hyperopt' is unknown. Choices: optuna"),
        ({"text": "optuna:5,sampler:cma"}, "--search: sampler: 'cma' is unknown. Choices: quasi, random, tpe"),
        ({"text": "optuna:5,workers:2"}, "--search: option: 'workers' is unknown"),
        ({"text": "optuna:5,seed:x"}, "seed of 'x' must be a whole number"),
        ({"by": []}, "--objective: missing; give a score, such as dci/disentanglement, or without factors udr"),
        ({"by": ["kl_nat"]}, "--objective: 'kl_nat' is unknown. Did you mean 'kl_nats'"),
        ({"by": ["mig/migs"]}, "--objective: 'mig/migs' is unknown. Did you mean 'mig/mig'"),
        (
            {"by": ["kl_nats:least"]},
            "--objective: 'kl_nats:least' must be a number of the log or a score, with :min behind it",
        ),
        ({"by": ["kl_nats", "kl_nats:min"]}, "--objective: kl_nats, kl_nats has one twice"),
        ({"by": ["udr"]}, "--objective: udr compares seeds, and a setting has one; give several, as in --seeds=3"),
        ({"by": ["udr"], "config": tiny.plain(**SETTINGS, **STARTS)}, "udr compares seeds, and a setting has one"),
        ({"by": ["mig/mig"], "config": tiny.plain(**SETTINGS, train__keep_best="los_nats")}, "'los_nats' is unknown"),
        (
            {"by": ["mig/mig"], "config": tiny.plain(**SETTINGS, data__correlation=(("ground", "plce", 0.2),))},
            "data.correlation: 'plce' is unknown. Did you mean 'place'",
        ),
        ({"base": {"halving": "eta:2,rungs:1,by:kl_nats"}, "sweeps": ("seeds:2",)}, "prunes trials of one run"),
        ({"base": {"halving": "eta:2,rungs:1,by:kl_nats"}, "by": ["kl_nats", "loss_nats"]}, "for one objective only"),
        (
            {"base": {"halving": "eta:2,rungs:1,by:kl_nats"}, "ranges": {"train.steps": space.integers(4, 8)}},
            "--halving: trials of different train.steps cannot be compared at a rung; leave it out",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        search(tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()


def test_without_optuna_a_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"--search: optuna needs Optuna; pip install scaledis\[search\]"):
        search(tmp_path)


def test_a_damaged_study_and_a_damaged_list_of_trials(tmp_path, whole):
    shutil.copytree(whole.root, tmp_path / "study")
    (tmp_path / "study" / "study.db").write_bytes(b"no database" * 200)
    with pytest.raises(UserError, match="--search: the study in .* cannot be used"):
        search(tmp_path / "study", "optuna:26,batch:4")
    shutil.copytree(whole.root, tmp_path / "list")
    path = tmp_path / "list" / "trials.json"
    path.write_text(path.read_text().replace("complete", "finished"))
    with pytest.raises(UserError, match=r"trials.json is damaged"):
        trials.read(path)
    assert_equal(search(tmp_path / "list", "optuna:24,batch:4"), whole)  # the study makes it again


def test_trials_that_somebody_adds_by_optuna_itself_are_seen_by_its_sampler_alone(tmp_path):
    workdir = search(tmp_path, "optuna:2")
    kept = samplers.distributions(SPACE)
    params = {"train.learning_rate": 1e-3, "objective.sigma": 0.5}
    study_of(workdir).add_trial(optuna.trial.create_trial(params=params, distributions=kept, value=1.0))
    search(tmp_path, "optuna:4")
    assert [each.number for each in told(workdir)] == [0, 1, 3, 4]


def test_the_list_of_trials_is_read_as_it_was_written(tmp_path):
    ended = Trial(0, "complete", {"method.beta": 2.0}, ["trial=0"], [1.5])
    failed = Trial(1, "failed", {"method.beta": 3.0}, [], [], "it cannot run", 0, 1)
    found = Trials([Aim("elbo_nats", "max")], {"method.beta": "log:1..64"}, [ended, failed], {"a": {"b": 1.0}})
    trials.write(tmp_path / "trials.json", found)
    assert trials.read(tmp_path / "trials.json") == found and found.of_run == {"trial=0": ended}
    assert trials.read(tmp_path / "none.json") is None
    trials.write(tmp_path / "trials.json", found._replace(trials=[ended._replace(values=[])]))
    with pytest.raises(UserError, match="trial 0 has a state or values that no trial has"):
        trials.read(tmp_path / "trials.json")


def test_ranges_are_made_by_functions_too():
    assert space.integers(2, 8) == Range("int", (2, 8)) and space.integers(2, 8, log=True).kind == "logint"
    assert space.choice("vae", (2, 1)).bounds == ("vae", (2, 1))


def test_the_door_for_python_is_the_same_search(tmp_path, capsys):
    config = scaledis.make_config("linear", {**{key.replace("__", "."): each for key, each in SETTINGS.items()},
                                            "model.allocation": (2, 1), "train.batch": 8, "evaluate.train_codes": 60,
                                            "evaluate.test_codes": 30, "evaluate.chance": 0})  # fmt: skip
    ranges = {"train.learning_rate": "log:1e-5..1e-2", "objective.sigma": space.uniform(0.1, 1.0)}
    table = scaledis.tune(config, ranges, "mig/mig", 3, seeds=2, dataset=DATASET, workdir=tmp_path / "a", batch=2)
    assert table["run"].tolist() == [f"trial={trial},seed={seed}" for trial in range(3) for seed in range(2)]
    for trial in told(Workdir(tmp_path / "a")):
        of_trial = table[table["run"].isin(trial.runs)]
        assert trial.values == [pytest.approx(of_trial["mig/mig"].mean())]
        assert {*of_trial["train.learning_rate"]} == {trial.params["train.learning_rate"]}
    again = scaledis.tune(config, ranges, "mig/mig", 3, seeds=2, dataset=DATASET, workdir=tmp_path / "a", batch=2)
    assert again.equals(table)
    with pytest.raises(UserError, match="log of .0.0, 1.0. must be two numbers above 0"):
        scaledis.tune(config, {"train.learning_rate": "log:0..1"}, "mig/mig", dataset=DATASET)


def test_the_command_line_searches_evaluates_and_resumes(tmp_path):
    changes = {**SETTINGS, "train__steps": 2}
    flags = [f"--config.{key.replace('__', '.')}={each if key != 'evaluate__metrics' else 'mig'}"
             for key, each in changes.items()]  # fmt: skip
    place, file = f"--workdir={tmp_path / 'a'}", f"--config={Path(__file__).with_name('tiny_config.py')}"
    ranges = ["--space=train.learning_rate=log:1e-5..1e-2", "--objective=mig/mig"]
    line = ["train", file, *flags, *ranges, place]
    planned = tiny.command(*line, "--search=optuna:5", "--dry_run")
    assert planned.returncode == 0 and "trial=4" in planned.stdout and not (tmp_path / "a").exists()
    done = tiny.command(*line, "--search=optuna:2", "--stages=train,evaluate")
    assert done.returncode == 0 and "2 of 2 trials done; the best mig/mig is " in done.stderr
    assert "2 trials: 2 complete. Trial" in done.stdout
    more = tiny.command(*line, "--search=optuna:3", "--stages=train")
    assert more.returncode == 0 and "3 of 3 trials done" in more.stderr
    assert [each.state for each in told(Workdir(tmp_path / "a"))] == ["complete"] * 3
    for words, sentence in [
        (["train", place], "holds a search; go on with `scaledis train --config="),
        (["train", file, *ranges], "--space: it is for a search; give --search=optuna:N too"),
        (["train", place, "--search=optuna:4"], "--search: it needs a config"),
        (
            [*line, "--search=optuna:3", "--space=train.larning_rate=log:1..2"],
            "--space: 'train.larning_rate' is unknown",
        ),
    ]:
        refused = tiny.command(*words)
        assert refused.returncode == 2 and sentence in refused.stderr
