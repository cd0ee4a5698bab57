"""Starts and rungs: who goes on, by what, once and for all; survivors are the runs that they would be alone."""

import dataclasses
import importlib.metadata
import itertools
import math
import shutil
import signal
import socket
import time

import jax
import numpy as np
import pytest

import scaledis
from scaledis.core import hosts, runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.core.files import write_sealed
from scaledis.metrics.shared import agreement
from scaledis.objectives import gaussian
from scaledis.planning import dry_run
from scaledis.search import contests, criteria, packing, rungs, stages
from scaledis.search.contests import Contest, Halving
from scaledis.sweeps import plan, starts
from scaledis.sweeps.expand import expand
from scaledis.sweeps.shards import Shard
from scaledis.sweeps.starts import Rung
from scaledis.training import memory
from scaledis.training.engine import Job
from scaledis.training.evaluate import sample
from scaledis.training.extract import extract
from scaledis.training.load import find, load_results, load_run
from scaledis.types import Run
from scaledis.workdir import decisions, log, score_files, table
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import assert_same, kills, processes, tiny

pytestmark = pytest.mark.usefixtures("linear_method")
DATASET = tiny.dataset()
BASE = {"config": {}, "sweep": [], "command": "test"}
RUNGS = ((1 / 3, 2, "loss_nats", "min"), (2 / 3, 1, "kl_nats", "max"))  # after 2 and 4 of 6 steps
FEW = {"method__name": "linear", "train__learning_rate": 1e-3, "train__starts": 3, "train__rungs": RUNGS}
FEW |= {"train__parallel": 2, "evaluate__metrics": ("mig",)}
NONE = {"beside": ()}
PLAIN = {"train__starts": 1, "train__rungs": ()}


def runs_of(*sweeps, **overrides):
    return expand(tiny.plain(**{**FEW, **overrides}), sweeps)


def train(folder, runs, **options):
    """The work directory of runs that were trained with their rungs."""
    workdir = Workdir(folder)
    base = BASE | options.pop("base", {})
    stages.train_all(Job(workdir, base, runs, DATASET, **NONE, **options))
    return workdir


def log_of(workdir, name):
    return read_records(workdir.run(name) / "metrics.jsonl")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, linear_method):
    """Two runs of three starts, in populations of two."""
    return train(tmp_path_factory.mktemp("whole"), runs_of("seeds:2"))


def test_each_rung_lets_the_best_go_on(whole):
    decided = decisions.read(whole.rungs)
    assert [*decided] == ["seed=0,start=0", "seed=1,start=0"]
    for seed, (first, second) in enumerate(decided.values()):
        names = [f"seed={seed},start={start}" for start in range(3)]
        losses = {name: log_of(whole, name)[0]["loss_nats"] for name in names}
        assert first.numbers == losses and (first.step, second.step) == (2, 4)
        assert list(first.go_on) == sorted(names, key=losses.__getitem__)[:2]
        # By the rule of the protocol: the last twentieth of the log lines, at least one.
        kl = {name: log_of(whole, name)[1]["kl_nats"] for name in first.go_on}
        assert second.numbers == kl and second.go_on == [max(kl, key=kl.__getitem__)]


def test_a_survivor_is_the_run_that_it_would_be_alone_and_a_dropped_run_stays_at_its_step(whole, tmp_path):
    dropped = whole.dropped()
    assert sorted(dropped.values()) == [2, 2, 4, 4]
    for run in runs_of("seeds:2"):
        steps = dropped.get(run.name, 6)
        alone = tiny.population([starts.alone(run.config)], DATASET)
        states, terms = alone.init(), []
        advance = alone.make_advance(DATASET)
        for _ in range(0, steps, 2):
            states, found = advance(states, 2)
            terms.append(jax.device_get(found))
        model = load_run(whole.root, run.name)
        assert model.step == steps
        for leaf, other in zip(jax.tree.leaves(model.state), jax.tree.leaves(states.state), strict=True):
            np.testing.assert_allclose(leaf, other[0], rtol=2e-4, atol=2e-5)
        lines = log_of(whole, run.name)
        assert [line["step"] for line in lines] == list(range(2, steps + 1, 2))
        for line, term in zip(lines, terms, strict=True):
            assert line["loss_nats"] == pytest.approx(term["loss_nats"][0], rel=1e-4)


def test_bit_for_bit_where_each_device_holds_one_run_before_and_after(tmp_path):
    """Two devices: populations of two before the rung, and of two behind it."""
    cut = ((1 / 3, 1, "loss_nats", "min"),)
    some = train(tmp_path / "starts", runs_of("seeds:2", train__starts=2, train__rungs=cut))
    names = [name for name in (run.name for run in some.runs()) if name not in some.dropped()]
    assert [len(group) for group in some.groups()][-1] == 2
    configs = [starts.alone(some.read_config(name)) for name in names]
    models = scaledis.train(configs, DATASET, workdir=tmp_path / "alone")
    for name, model in zip(names, models, strict=True):
        assert_same(load_run(some.root, name).state, model.state)
    alone = Workdir(tmp_path / "alone")
    assert [log_of(some, name) for name in names] == [log_of(alone, run.name) for run in alone.runs()]


def test_survivors_are_packed_into_full_populations(whole):
    groups, dropped = whole.groups(), whole.dropped()
    assert sorted(itertools.chain(*groups)) == sorted(run.name for run in runs_of("seeds:2"))
    assert len(groups) > 3 and all(0 < len(group) <= 2 for group in groups)
    for index, group in enumerate(groups):
        assert len({dropped.get(name) for name in group}) == 1, "a population has dropped runs alone, or none"
        steps = Checkpoints(whole.checkpoints(index)).newest
        assert steps == dropped.get(group[0], 6)
    [last] = [group for group in groups if group[0] not in dropped]
    assert [name[:6] for name in last] == ["seed=0", "seed=1"]


def halved(count, width, generator):
    """Steps of all places in the populations of a halving whose winners are drawn, and of full populations."""
    groups = dict(enumerate(plan.cut(runs_of(f"seeds:{count}", **PLAIN), width)))
    held = needed = last = 0
    for rung in [*Halving(3, 3, "x", "max").at(count, 270), Rung(270, 0, "x", "max")]:
        own = [run for group in groups.values() for run in group]
        held += len(groups) * width * (rung.step - last)
        needed += math.ceil(len(own) / width) * width * (rung.step - last)
        last, going = rung.step, {own[n].name for n in generator.choice(len(own), rung.keep, replace=False)}
        survivors = [
            packing.Survivor(run, n, rung.step) for n, group in groups.items() for run in group if run.name in going
        ]
        packs = packing.packed(survivors, groups, [0] * (max(groups) + 1))
        moved = {run.name for pack in packs for run in pack.runs}
        stay = {n: [run for run in group if run.name in going - moved] for n, group in groups.items()}
        assert all(group in ([], groups[n]) for n, group in stay.items()), "a population is moved or stays as it is"
        assert all(run in pack.sources[n] for pack in packs for run, n, _ in pack.members)
        stay |= dict(enumerate((pack.runs for pack in packs), max(groups) + 1))
        groups = {n: group for n, group in stay.items() if group}
    return held, needed


@pytest.mark.parametrize(("count", "width"), [(27, 2), (27, 4), (81, 8), (81, 64)])
def test_whoever_goes_on_survivors_train_in_as_few_populations_as_hold_them(count, width):
    for seed in range(5):
        held, needed = halved(count, width, np.random.default_rng(seed))
        assert held == needed


def test_no_device_has_more_runs_behind_a_rung_than_before(monkeypatch):
    """Four devices: a population lies evenly on as many of them as divide it."""
    monkeypatch.setattr(runtime, "device_memory", lambda: 1 << 30)
    monkeypatch.setattr(memory, "on_each", lambda runs: runs // max(n for n in (1, 2, 3, 4) if runs % n == 0))
    runs = runs_of("seeds:32", **PLAIN)
    groups = dict(enumerate(plan.cut(runs, 16)))
    going = [packing.Survivor(run, n, 3) for n, group in groups.items() for run in group][:27:2]
    sizes = [len(pack.runs) for pack in packing.packed(going[:13], groups, [0, 0])]
    assert sum(sizes) == 13 and sizes == [12, 1] and all(memory.on_each(size) <= 4 for size in sizes)


def test_a_narrow_population_whose_runs_all_go_on_fills_up_with_others(tmp_path, monkeypatch):
    monkeypatch.setattr(criteria.REGISTRY, "registered", {})
    scaledis.register_criterion("even", lambda candidate: float(candidate.run.config.seed % 2 == 0))
    runs = runs_of("seeds:3", **PLAIN)
    workdir = train(tmp_path, runs, base={"halving": "eta:2,rungs:1,by:even"})
    assert workdir.groups() == [["seed=1"], [], ["seed=0", "seed=2"]]
    for seed, name in ((0, "seed=0"), (2, "seed=2")):
        alone = tiny.population([runs[seed].config], DATASET)
        states, _ = alone.make_advance(DATASET)(alone.init(), 6)
        for leaf, other in zip(
            jax.tree.leaves(load_run(tmp_path, name).state), jax.tree.leaves(states.state), strict=True
        ):
            np.testing.assert_allclose(leaf, other[0], rtol=2e-4, atol=2e-5)
    done = tiny.command(f"--workdir={tmp_path}", "--stages=evaluate,report")
    assert done.returncode == 0, done.stderr
    table = load_results(tmp_path)
    assert table["run"].tolist() == ["seed=1", "seed=0", "seed=2"] and table["mig/mig"].notna().sum() == 2
    assert "3 runs in 2 populations" in dry_run.report(runs, workdir)


def test_the_same_command_says_that_all_is_done_and_changes_nothing(whole, capsys):
    before = tiny.tree(whole.root)
    train(whole.root, runs_of("seeds:2"))
    assert "all 2 runs are trained already" in capsys.readouterr().err
    after = tiny.tree(whole.root)
    assert {name: after[name] for name in before if name != "config.json"} == {
        name: before[name] for name in before if name != "config.json"
    }


def test_a_decision_is_read_and_not_taken_again(tmp_path):
    workdir, runs = Workdir(tmp_path), runs_of()
    with pytest.raises(Stopped, match="Stopped at a rung"):
        stages.train_all(Job(workdir, BASE, runs, DATASET, **NONE), workdir.rungs.exists)
    decided = decisions.read(workdir.rungs)
    assert [len(each) for each in decided.values()] == [1]
    kept = decided["start=0"][0]._replace(go_on=["start=2", "start=1"])  # another choice than the numbers'
    decisions.write(workdir.rungs, {"start=0": [kept]})
    train(tmp_path, runs)
    found = decisions.read(workdir.rungs)["start=0"]
    assert found[0] == kept and {*found[1].numbers} == {"start=1", "start=2"}


def test_what_was_killed_anywhere_ends_where_the_unstopped_ends(whole, tmp_path):
    """A process that dies before each of its writes in turn; the last time it ends."""
    workdir, runs = Workdir(tmp_path), runs_of("seeds:2")
    writes = [(decisions, "write"), (Workdir, "write_plan"), (Checkpoints, "save"), (Checkpoints, "delete")]

    def of_states(*args):
        """Only checkpoints of this directory count."""
        return bool(args) and getattr(args[0], "_directory", tmp_path).is_relative_to(tmp_path)

    moments = (0, 3, 4, 5, 2, 2, 3, 1, 2, 3)
    assert kills.in_turn(lambda: train(tmp_path, runs), writes, moments, of_states) == len(moments)
    assert_equal(workdir, whole)


def assert_equal(workdir, other):
    """Two directories with the same decisions, plan, states and logs."""
    assert decisions.read(workdir.rungs) == decisions.read(other.rungs)
    assert workdir.planned() == other.planned()
    for run in other.runs():
        assert log_of(workdir, run.name) == log_of(other, run.name)
        assert_same(load_run(workdir.root, run.name).state, load_run(other.root, run.name).state)


def test_a_damaged_checkpoint_of_a_decided_population_is_made_again_from_the_one_before(tmp_path, monkeypatch):
    workdir, runs = Workdir(tmp_path / "damaged"), runs_of("seeds:2", train__checkpoint_every=1)
    write_plan = Workdir.write_plan

    def full(self, populations):
        if self.rungs.exists():
            raise UserError("plan.json cannot be written")
        write_plan(self, populations)

    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "write_plan", full)
        with pytest.raises(UserError, match="cannot be written"):
            train(workdir.root, runs)
    assert Checkpoints(workdir.checkpoints(0)).steps == [1, 2]
    for file in (workdir.checkpoints(0) / "2" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"x" * len(file.read_bytes()))
    train(workdir.root, runs)
    assert_equal(workdir, train(tmp_path / "whole", runs))


def test_survivors_of_other_widths_and_allocations_are_the_runs_that_they_are_alone(tmp_path):
    """Narrow networks leave a population that was widened for others, and a wide one joins another."""
    settings = {**PLAIN, "method__name": "vlae", "train__steps": 4, "train__parallel": 2}
    sizes = [(6000, (2, 1)), (9000, (1, 3)), (6000, (1, 3)), (6000, (2, 1)), (9000, (2, 1)), (6000, (1, 2))]
    each = [{"model.parameters": size, "model.allocation": units, "seed": n} for n, (size, units) in enumerate(sizes)]
    runs = expand(tiny.plain(**settings), ["mine"], {"sweep_mine": lambda: each})
    keep = {runs[n].name for n in (0, 3, 4)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(criteria.REGISTRY, "registered", {})
        scaledis.register_criterion("kept", lambda candidate: float(candidate.run.name in keep))
        workdir = train(tmp_path, runs, base={"halving": "eta:2,rungs:1,by:kept"})
    assert {run.name for run in runs} - workdir.dropped().keys() == keep
    images = DATASET.images(np.arange(8))
    for run in (runs[n] for n in (0, 1, 3, 4)):  # three shapes, each of which compiles alone
        steps, model = workdir.dropped().get(run.name, 4), load_run(tmp_path, run.name)
        alone = tiny.population([run.config], DATASET)
        states, _ = alone.make_advance(DATASET)(alone.init(), steps)
        assert model.step == steps
        for found, wanted in zip(model.encode(images), alone.model(states, 0).encode(images), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4)


def test_runs_are_compared_by_scores_of_their_own_settings_whatever_was_scored_last(tmp_path):
    workdir, seen = Workdir(tmp_path), []
    runs = [Run(split, tiny.config(evaluate__split=split)) for split in ("all", "train")]
    for number, run in enumerate(runs):
        held = {"diverged": None, "unit_kl_nats": [], "held_out": 0.0, "step": 2, "all": {"mig/mig": float(number)}}
        write_sealed(score_files.path(workdir, run, 2), held | {"split": run.config.evaluate.split})
        write_sealed(workdir.run(run.name) / score_files.NEWEST, held | {"split": "held_out", "all": {"mig/mig": 9.0}})
    for run, step in itertools.product(runs, (2, 4)):
        seen.append(rungs.candidate(Job(workdir, BASE, runs, DATASET), run, step).scores())
    assert seen == [{"mig/mig": 0.0}, {}, {"mig/mig": 1.0}, {}]


def test_a_run_that_diverged_or_has_no_number_loses(tmp_path):
    workdir = Workdir(tmp_path)
    runs = [run for run in runs_of(train__starts=4, train__rungs=((0.5, 3, "loss_nats", "max"), (1, 1, "x", "min")))]
    lines = [{"loss_nats": -5.0}, {"loss_nats": None, "diverged": 2}, {"loss_nats": 1.0}, {}]
    for run, line in zip(runs, lines, strict=True):
        records = log.Records(workdir.run(run.name) / "metrics.jsonl", 0)
        for step, more in ((2, line), (4, {"loss_nats": 99.0})):  # the line of step 4 is behind the rung
            records.append({"step": step, **more})
    rung = Rung(2, 3, "loss_nats", "max")
    found = rungs.decision(Job(workdir, BASE, runs, DATASET), runs, rung)
    assert list(found.numbers.values()) == [-5.0, None, 1.0, None]
    assert found.go_on == ["start=2", "start=0", "start=1"]
    assert rungs.decision(Job(workdir, BASE, runs, DATASET), runs, rung._replace(best="min")).go_on == [
        "start=0",
        "start=2",
        "start=1",
    ]


def test_a_start_that_diverges_is_dropped_and_a_run_whose_starts_all_diverge_is_frozen(tmp_path, capsys):
    settings = {"train__learning_rate": 1e30, "train__starts": 2, "train__rungs": ((2 / 3, 1, "loss_nats", "min"),)}
    workdir = train(tmp_path, runs_of(**settings))
    assert workdir.dropped() == {"start=1": 4}
    table = load_results(tmp_path).set_index("run")
    assert table["diverged"].notna().all() and table["dropped_at"].isna().to_dict() == {
        "start=0": True,
        "start=1": False,
    }
    assert "damaged" not in capsys.readouterr().err


def test_the_number_is_the_mean_over_the_last_twentieth_of_the_log():
    records = [{"step": n, "loss_nats": float(n)} for n in range(1, 101)]
    assert log.last_mean(records, "loss_nats") == np.mean([96, 97, 98, 99, 100])
    assert log.last_mean(records[:9], "loss_nats") == 9
    assert log.last_mean([*records[:98], {"loss_nats": None}, records[99]], "loss_nats") is None
    assert log.last_mean([], "loss_nats") is None


def test_a_criterion_of_ones_own_gets_the_log_and_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(criteria.REGISTRY, "registered", {})
    seen = {}

    def second(candidate):
        seen[candidate.run.name] = candidate.load().step, [record["step"] for record in candidate.records]
        return {"start=1": 1.0, "start=0": math.nan, "start=2": 0.0}[candidate.run.name]

    scaledis.register_criterion("second", second)
    workdir = train(tmp_path, runs_of(train__rungs=((2 / 3, 1, "second", "max"),)))
    assert seen == {f"start={n}": (4, [2, 4]) for n in range(3)}
    [taken] = decisions.read(workdir.rungs)["start=0"]
    assert taken.go_on == ["start=1"] and taken.numbers == {"start=0": None, "start=1": 1.0, "start=2": 0.0}


def test_of_several_starts_the_one_that_agrees_most_with_the_others_goes_on(tmp_path):
    workdir = train(tmp_path, runs_of(train__rungs=((2 / 3, 1, "udr", "max"),)))
    [taken] = decisions.read(workdir.rungs)["start=0"]
    models = [load_run(tmp_path, name, step=4) for name in taken.numbers]
    codes = [model.encode(DATASET.images(sample(DATASET, models[0].config)[0])) for model in models]
    nats = [np.asarray(gaussian.kl_to_standard(each.mean, each.log_variance)).mean(0) for each in codes]
    wanted = agreement.udr([each.mean for each in codes], nats)["spearman"]
    assert [*taken.numbers.values()] == pytest.approx(wanted) and len({*wanted}) > 1
    assert taken.go_on == [[*taken.numbers][int(np.argmax(wanted))]]


def test_a_criterion_of_several_runs_gets_the_seeds_of_one_setting_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(criteria.REGISTRY, "registered", {})
    seen = []

    def last(candidates):
        seen.append([each.run.name for each in candidates])
        return range(len(candidates))

    scaledis.register_criterion("last", last, together=True)
    runs = runs_of("train.learning_rate=0.001,0.002", "seeds:3", **PLAIN)
    healthy = [
        rungs.candidate(Job(Workdir(tmp_path), {}, runs), run, 6)._replace(records=[{"step": 6}]) for run in runs
    ]
    frozen = healthy[4]._replace(records=[{"step": 6, "diverged": 5}])
    assert criteria.measured("last", [*healthy[:4], frozen, healthy[5]]) == [0, 1, 2, 0, None, 1]
    assert seen == [[run.name for run in runs[:3]], [runs[3].name, runs[5].name]]
    assert criteria.measured("last", healthy[2:4]) == [None, None]


@pytest.mark.parametrize(
    ("sweeps", "rungs", "message"),
    [
        (("train.learning_rate=0.001,0.002",), 1, "--halving: udr compares seeds, and a setting has one; give several"),
        (("seeds:4",), 2, "--halving: udr compares seeds, of which a rung may leave one a setting; take rungs:1"),
    ],
)
def test_agreement_needs_seeds_to_agree(tmp_path, sweeps, rungs, message):
    with pytest.raises(UserError, match=message):
        train(tmp_path, runs_of(*sweeps, **PLAIN), base={"halving": f"eta:2,rungs:{rungs},by:udr"})
    assert not list(tmp_path.iterdir())


def test_a_criterion_comes_in_by_an_entry_point(monkeypatch):
    spec = criteria.CriterionSpec(lambda candidate: 0.0)

    class Entry:
        value = "package.module:CRITERIA"

        def load(self):
            return {"theirs": spec}

    found = {"scaledis.criteria": [Entry()]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found.get(group, []))
    assert dataclasses.replace(criteria.REGISTRY, registered={}).choose("theirs") is spec
    with pytest.raises(UserError, match="measure: 3 must be"):
        criteria.CriterionSpec(3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train__rungs": ()}, "train.starts: 3 starts need train.rungs"),
        (
            {"train__rungs": ((0.5, 2, "a", "max"), (0.2, 1, "a", "max"))},
            "the share 0.2 comes after 0.5; shares must not",
        ),
        ({"train__rungs": ((0.5, 4, "a", "max"),)}, "train.rungs: 4 cannot go on of 3 that are left"),
        ({"train__rungs": ((0.5, 3, "a", "max"),)}, "train.rungs: 3 cannot go on of 3 that are left"),
        ({"train__rungs": ((0.5, 0, "a", "max"),)}, "train.rungs: 0 cannot go on of 3"),
        ({"train__rungs": ((0.5, 2, "a", "max"),)}, "train.rungs: 2 starts are left at the end; the last rung must"),
        ({"train__rungs": ((1.5, 1, "a", "max"),)}, r"train.rungs: \(1.5, .*\) must be \(share of the steps above 0"),
        ({"train__rungs": ((math.nan, 1, "a", "max"),)}, r"train.rungs: \(nan, .*\) must be"),
        ({"train__rungs": ((0.5, 1, "a", "most"),)}, r"train.rungs: \(0.5, 1, 'a', 'most'\) must be"),
        ({"train__rungs": ((0.5, True, "a", "max"),)}, "train.rungs: .* must be"),
        ({"train__rungs": (0.5, 1, "a")}, r"train.rungs: \(0.5, 1, 'a'\) must be"),
        ({"train__rungs": "abc"}, "train.rungs: 'abc' must be"),
        ({"train__starts": 1}, "train.rungs: 2 cannot go on of 1"),
        ({"train__starts": 0}, "train.starts: 0 must be a whole number from 1 to 100"),
        ({"train__start": 3}, "train.start: 3 must be less than train.starts, 3"),
    ],
)
def test_rungs_that_choose_nothing_are_one_sentence(given, message):
    with pytest.raises(UserError, match=message):
        tiny.config(**{**FEW, **given})


def test_a_rung_by_an_unknown_number_is_refused_before_anything_is_written(tmp_path):
    for base, runs, message in [
        ({}, runs_of(train__rungs=((0.5, 1, "los_nats", "min"),)), "train.rungs: 'los_nats' is unknown. .*'loss_nats'"),
        ({"halving": "eta:2,rungs:1,by:elbow"}, runs_of(train__starts=1, train__rungs=()), "--halving: 'elbow' is unk"),
    ]:
        with pytest.raises(UserError, match=message):
            train(tmp_path, runs, base=base)
        assert not list(tmp_path.iterdir())


def test_starts_of_near_seeds_are_all_different_and_the_first_has_the_seed_itself():
    configs = [tiny.config(**FEW, seed=seed) for seed in (*range(200), 9_999_999, 2**31 - 1)]
    seeds = [starts.seed_of(start) for config in configs for _, start in starts.each(config)]
    assert len({*seeds}) == len(seeds) and all(0 <= seed < 2**31 for seed in seeds)
    assert seeds[::3] == [config.seed for config in configs]
    steps = [n * starts.STRIDE % 2**31 for n in range(1, 100)]
    assert min(min(step, 2**31 - step) for step in steps) > 10_000_000
    start = configs[7]
    third = starts.each(start)[2][1]
    assert starts.alone(third) == dataclasses.replace(
        tiny.config(**{**FEW, "train__starts": 1, "train__rungs": ()}), seed=(7 + 2 * starts.STRIDE) % 2**31
    )


def test_the_door_returns_the_start_that_went_on(tmp_path):
    configs = [tiny.config(**FEW, seed=seed) for seed in (0, 1)]
    models = scaledis.train(configs, DATASET, workdir=tmp_path)
    assert [model.config.seed for model in models] == [0, 1] and all(model.step == 6 for model in models)
    last = [taken[-1].go_on for taken in decisions.read(Workdir(tmp_path).rungs).values()]
    assert [[f"start={model.config.train.start},seed={model.config.seed}"] for model in models] == last


def test_dropped_runs_are_rows_that_say_so_and_part_of_no_mean(whole, tmp_path):
    table = load_results(whole.root)
    assert len(table) == 6 and table["dropped_at"].notna().sum() == 4
    assert table["seed"].tolist().count(0) == 3
    other = train(tmp_path, runs_of("seeds:2", train__starts=1, train__rungs=(), train__batch=9))
    both = load_results([whole.root, other.root])
    [row] = scaledis.compare(both, "final/loss_nats", by="train.batch").to_dict("records")
    assert row["seeds_one"] == row["seeds_other"] == 2
    kept = table[table["dropped_at"].isna()]["final/loss_nats"].mean()
    assert kept in (pytest.approx(row["mean_one"]), pytest.approx(row["mean_other"]))


def test_rows_from_before_a_rung_hide_neither_who_was_dropped_nor_who_went_on(whole, tmp_path, capsys):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped, match="Stopped at a rung"):
        stages.train_all(Job(workdir, BASE, runs_of("seeds:2"), DATASET, **NONE), stop=workdir.rungs.exists)
    for index, names in enumerate(workdir.groups()):
        table.write_rows(workdir, index, *table.rows(workdir, index, names))
    train(tmp_path, runs_of("seeds:2"))
    capsys.readouterr()
    columns = ["run", "step", "dropped_at", "final/loss_nats"]
    assert load_results(tmp_path)[columns].equals(load_results(whole.root)[columns])
    assert not capsys.readouterr().err


def test_evaluation_and_the_page_leave_dropped_runs_out(whole):
    done = tiny.command("evaluate", f"--workdir={whole.root}")
    assert done.returncode == 0, done.stderr
    table = load_results(whole.root)
    assert (table["mig/mig"].notna() == table["dropped_at"].isna()).all()
    done = tiny.command("report", f"--workdir={whole.root}")
    assert done.returncode == 0 and "(2/2 seeds)" in done.stdout, done.stderr
    assert "Dropped at a rung, and in no mean: 4 runs (step 2 and 4)" in done.stdout
    page = (whole.report / "index.html").read_text()
    assert "4 runs (step 2 and 4)" in page


def test_a_survivor_is_loaded_scored_and_extracted_at_a_step_before_its_rungs(whole, tmp_path):
    copy = Workdir(shutil.copytree(whole.root, tmp_path / "copy"))
    going = [run for run in runs_of("seeds:2") if run.name not in whole.dropped()]
    assert min(Checkpoints(whole.checkpoints(find(whole, going[0].name)[0])).steps) == 4
    for run in going:
        alone = tiny.population([starts.alone(run.config)], DATASET)
        wanted, _ = alone.make_advance(DATASET)(alone.init(), 2)
        extract(copy.root, run.name, tmp_path / run.name, step=2)
        for model in (load_run(copy.root, run.name, step=2), load_run(tmp_path / run.name)):
            assert model.step == 2
            for leaf, other in zip(jax.tree.leaves(model.state), jax.tree.leaves(wanted.state), strict=True):
                np.testing.assert_allclose(leaf, other[0], rtol=2e-4, atol=2e-5)
        assert [line["step"] for line in log_of(Workdir(tmp_path / run.name), run.name)] == [2]
    done = tiny.command("evaluate", f"--workdir={copy.root}", "--step=2")
    assert done.returncode == 0, done.stderr
    assert all(score_files.newest(copy, run.name)["step"] == 2 for run in going)
    for folder in copy.checkpoints(0).parent.glob("*/2"):  # as `train.keep` would
        shutil.rmtree(folder)
    done = tiny.command("evaluate", f"--workdir={copy.root}", "--step=2")
    assert done.stderr == "scaledis: --step: there is no checkpoint of step 2; there are [4, 6].\n"
    with pytest.raises(UserError, match=r"there is no checkpoint of step 2; there are \[4, 6\]"):
        load_run(copy.root, going[0].name, step=2)


def test_an_extracted_start_goes_on_as_a_run_of_its_own(whole, tmp_path):
    name = next(iter(whole.dropped()))
    extract(whole.root, name, tmp_path / "one")
    own = Workdir(tmp_path / "one").read_config(name)
    assert own == starts.alone(whole.read_config(name))
    train(tmp_path / "one", Workdir(tmp_path / "one").runs())
    assert load_run(tmp_path / "one").step == 6


def test_shards_take_all_starts_of_a_run_and_end_where_one_process_ends(whole, tmp_path):
    runs = runs_of("seeds:4")
    for index in (0, 1, 0):
        workdir = train(tmp_path / "shards", runs, shard=Shard(index, 2))
    parts, groups = workdir.parts(), workdir.groups()
    for seed in range(4):
        own = {parts[n] % 2 for n, group in enumerate(groups) for name in group if name.startswith(f"seed={seed},")}
        assert len(own) == 1, "the starts of a run are in one shard"
    assert {part % 2 for part in parts} == {0, 1}
    taken = decisions.read(workdir.rungs)
    assert {name: taken[name] for name in decisions.read(whole.rungs)} == decisions.read(whole.rungs)
    assert len(workdir.dropped()) == 8 and (load_results(workdir.root)["step"] == 6).sum() == 4


def test_parts_are_as_small_as_the_starts_allow():
    for count, width, sizes in [(3, 2, [3, 3]), (2, 2, [1] * 4), (3, 64, [1]), (3, 3, [1] * 4), (1, 2, [1] * 2)]:
        cut = ((0.5, 1, "loss_nats", "min"),) if count > 1 else ()
        groups = plan.cut(runs_of("seeds:4", train__starts=count, train__rungs=cut), width)
        parts = starts.parts(groups, 5)
        assert parts[0] == 5 and [parts.count(part) for part in dict.fromkeys(parts)] == sizes
        assert [*dict.fromkeys(parts)] == list(range(5, 5 + len(sizes)))


def test_halving_lets_the_best_of_all_runs_go_on(tmp_path):
    runs = runs_of("seeds:5", "train.learning_rate=1e-3,1e-4", **PLAIN)
    halving = {"halving": "eta:3,rungs:2,by:loss_nats,best:min"}
    workdir = train(tmp_path, runs, base=halving)
    first, second = decisions.read(workdir.rungs)["*"]
    assert [len(first.numbers), len(first.go_on), len(second.go_on)] == [10, 4, 2]
    assert (first.step, second.step) == (1, 2)
    assert list(first.go_on) == sorted(first.numbers, key=first.numbers.__getitem__)[:4]
    table = load_results(tmp_path)
    assert sorted(table["step"]) == [1] * 6 + [2] * 2 + [6] * 2
    with pytest.raises(
        UserError, match="--halving: .* was begun with eta:3,rungs:2,by:loss_nats,best:min, and this is no"
    ):
        train(tmp_path, runs)
    more = runs_of("seeds:6", "train.learning_rate=1e-3,1e-4", **PLAIN)
    with pytest.raises(UserError, match="--halving: it has compared 10 runs already, and the sweep now gives 12"):
        train(tmp_path, more, base=halving)


def test_the_rungs_of_a_halving():
    assert Halving(3, 4, "x", "max").at(81, 8100) == [
        Rung(100, 27, "x", "max"),
        Rung(300, 9, "x", "max"),
        Rung(900, 3, "x", "max"),
        Rung(2700, 1, "x", "max"),
    ]
    assert [rung.keep for rung in Halving(2, 9, "x", "min").at(5, 1000)] == [3, 2, 1]
    assert contests.parse("eta:3,rungs:4,by:elbo_nats") == Halving(3, 4, "elbo_nats", "max")


@pytest.mark.parametrize(
    "text", ["", "3", "eta:1,rungs:4,by:x", "eta:3,rungs:0,by:x", "eta:3,rungs:4", "eta:3,rungs:4,by:x,best:y"]
)
def test_a_halving_that_cannot_be_is_one_sentence(text):
    with pytest.raises(UserError, match="--halving: .* must be eta:3,rungs:4,by:elbo_nats"):
        contests.parse(text)


def test_what_halving_cannot_go_with_is_one_sentence(tmp_path):
    halving = {"halving": "eta:2,rungs:1,by:loss_nats"}
    for runs, options, message in [
        (runs_of("seeds:2", **PLAIN), {"shard": Shard(0, 2)}, "--shard: 0/2 cannot go with --halving"),
        (runs_of(), {}, "--halving: runs with train.starts choose among their own starts"),
        (runs_of("train.steps=4,6", **PLAIN), {}, "--halving: runs of 4, 6 steps cannot be compared at a rung"),
    ]:
        with pytest.raises(UserError, match=message):
            train(tmp_path, runs, base=halving, **options)
        assert not list(tmp_path.iterdir())


def test_halving_on_the_command_line(tmp_path):
    line = ["--config=tests/tiny_config.py", "--config.method.name=linear", "--sweep=seeds:4", f"--workdir={tmp_path}"]
    line += ["--stages=train", "--config.train.learning_rate=1e-3"]
    done = tiny.command(*line, "--halving=eta:2,rungs:1,by:loss_nats,best:min")
    assert done.returncode == 0 and "Step 3: 2 of 4 runs go on, by loss_nats." in done.stderr, done.stderr
    done = tiny.command(f"--workdir={tmp_path}", "--stages=train")
    assert done.returncode == 0 and "all 2 runs are trained already" in done.stderr, done.stderr
    for more in (["--steps=8"], []):  # the dropped runs stay runs of 6 steps
        done = tiny.command(f"--workdir={tmp_path}", "--stages=train", *more)
        assert done.returncode == 0 and ("resumes from step 6 of 8" in done.stderr) == bool(more), done.stderr
    done = tiny.command(*line, "--halving=eta:2", "--shard=0/2")
    assert done.returncode == 2 and "--halving: 'eta:2' must be eta:3" in done.stderr


def test_more_seeds_have_decisions_of_their_own_and_more_steps_need_no_new_ones(whole, tmp_path):
    train(tmp_path, runs_of("seeds:1"))
    workdir = train(tmp_path, runs_of("seeds:2"))
    assert decisions.read(workdir.rungs) == decisions.read(whole.rungs)
    longer = runs_of("seeds:2", train__steps=8)
    with pytest.raises(UserError, match="train.rungs of run .* would change its course"):
        train(tmp_path, longer)
    train(tmp_path, longer, extend=True)
    assert decisions.read(workdir.rungs) == decisions.read(whole.rungs)
    assert sorted(load_results(tmp_path)["step"]) == [2, 2, 4, 4, 8, 8]


@pytest.mark.parametrize("content", ["{}", "[1]", '{"a": [{"step": 1}]}', "{"])
def test_a_damaged_decision_is_one_sentence(tmp_path, content):
    (tmp_path / "rungs.json").write_text(content)
    with pytest.raises(UserError, match=r"rungs\.json is damaged"):
        decisions.read(tmp_path / "rungs.json")


def test_a_contest_is_what_its_name_says():
    contest = Contest("a", ["a", "b"], [Rung(2, 1, "x", "max"), Rung(2, 1, "y", "max"), Rung(3, 1, "x", "max")])
    assert [rung.by for rung in contest.ahead([])] == ["x", "y"] and contest.going([]) == ["a", "b"]


def test_the_mean_share_of_the_steps_that_starts_train_for():
    share = starts.share(tiny.config(**FEW).train)
    assert share == pytest.approx((3 / 3 + 2 / 3 + 1 / 3) / 3)
    assert starts.share(tiny.config().train) == 1


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_rung_and_resume_ends_where_the_unstopped_ends(tmp_path):
    """Through the command line, in processes of their own, each killed a little later than the one before."""
    rungs = "((0.25,2,'loss_nats','min'),(0.5,1,'kl_nats','max'))"
    line = ["--config.train.steps=200", "--config.train.log_every=10", "--config.train.checkpoint_every=10"]
    line += ["--config.train.starts=3", f"--config.train.rungs={rungs}", "--config.train.parallel=2", "--sweep=seeds:2"]
    line += ["--config.train.learning_rate=1e-3", "--stages=train"]

    def start(folder):
        return processes.start(*line, f"--workdir={tmp_path / folder}", output=tmp_path / "said.txt")

    killed = 0
    for steps in (1, 4, 6, 8, 11, 14, 17, 20):
        process = start("killed")
        before = len(sorted((tmp_path / "killed").glob("checkpoints/*/*0")))
        while process.is_alive() and len(sorted((tmp_path / "killed").glob("checkpoints/*/*0"))) < before + steps // 2:
            time.sleep(0.005)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed > 2, "the processes ended before they could be killed"
    for folder in ("killed", "whole"):
        process = start(folder)
        process.join()
        assert process.exitcode == 0, (tmp_path / "said.txt").read_text()
    assert_equal(Workdir(tmp_path / "killed"), Workdir(tmp_path / "whole"))


@pytest.mark.slow
def test_two_processes_take_the_decision_that_one_takes(tmp_path):
    line = ["--config.train.steps=30", "--config.train.parallel=4", "--config.train.learning_rate=1e-3"]
    line += ["--config.train.starts=2", "--config.train.rungs=((0.4,1,'loss_nats','min'),)", "--sweep=seeds:4"]
    line += ["--stages=train"]
    one = processes.start(*line, f"--workdir={tmp_path / 'one'}", output=tmp_path / "one.txt", devices=4)
    one.join()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        joined = [f"--coordinator=127.0.0.1:{free.getsockname()[1]}", "--processes=2", f"--workdir={tmp_path / 'two'}"]
    both = [processes.start(*line, *joined, f"--process={n}", output=tmp_path / f"{n}.txt", devices=2) for n in (0, 1)]
    for process in both:
        process.join(120)
    codes = [process.exitcode for process in (one, *both)]
    assert codes == [0, 0, 0], [(tmp_path / f"{name}.txt").read_text() for name in ("one", 0, 1)]
    assert_equal(Workdir(tmp_path / "two"), Workdir(tmp_path / "one"))


def test_a_criterion_cannot_load_what_other_processes_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(criteria.REGISTRY, "registered", {})
    scaledis.register_criterion("loads", lambda candidate: float(candidate.load().step))
    monkeypatch.setattr(hosts, "alone", lambda: False)
    workdir, [run, *_] = Workdir(tmp_path), runs_of()
    log.Records(workdir.run(run.name) / "metrics.jsonl", 0).append({"step": 2})
    with pytest.raises(UserError, match="train.rungs: a criterion that loads a model cannot go with --distributed"):
        rungs.decision(Job(workdir, BASE, [run], DATASET), [run], Rung(2, 1, "loads", "max"))
