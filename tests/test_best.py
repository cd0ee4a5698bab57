"""The best state of each run, beside the newest: which it is, bit for bit, whatever was stopped or killed."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest

import scaledis
from scaledis.core.errors import Stopped, UserError
from scaledis.core.files import read_json, write_sealed
from scaledis.search import stages
from scaledis.sweeps.aim import parse
from scaledis.sweeps.expand import expand
from scaledis.training import loop
from scaledis.training.engine import Job
from scaledis.training.extract import extract
from scaledis.training.load import load_results, load_run
from scaledis.workdir import best, claims, log, score_files
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from tests import assert_same, kills, tiny

pytestmark = pytest.mark.usefixtures("linear_method")
DATASET = tiny.dataset()
BASE = {"config": {}, "sweep": [], "command": "test"}
LINE = {"method__name": "linear", "train__learning_rate": 3e-3, "train__steps": 12, "train__parallel": 2}
LINE |= {"train__log_every": 1, "train__checkpoint_every": 2, "train__keep": 9}
BY_TERM = LINE | {"train__keep_best": "loss_nats:min"}
BY_SCORE = LINE | {"train__checkpoint_every": 3, "train__evaluate_every": 3, "train__keep_best": "mig/mig"}
BY_SCORE |= {"evaluate__metrics": ("mig",), "evaluate__chance": 2}
NAMES = ["seed=0", "seed=1"]


def runs_of(settings, *sweeps, **overrides):
    return expand(tiny.plain(**{**settings, **overrides}), sweeps or ["seeds:2"])


def train(folder, runs, **options):
    """The work directory of runs that train as one population."""
    workdir = Workdir(folder)
    [group] = claims.claim(workdir, BASE, runs)
    loop.train_population(group, 0, DATASET, workdir, **options)
    return workdir


def found(workdir, index=0):
    """The best steps of a population."""
    return best.read(best.checkpoints(workdir, index))


def losses(workdir, name, term="loss_nats", every=2):
    """{step: the number of a run at the steps at which it is compared}."""
    records = log.read_records(workdir.run(name) / "metrics.jsonl")
    return {record["step"]: record[term] for record in records if record["step"] % every == 0}


def scored(workdir, name):
    """{step: the score of a run}."""
    files = [json.loads(path.read_text()) for path in (workdir.run(name) / "scores").iterdir()]
    return {scores["step"]: scores["all"]["mig/mig"] for scores in files}


def assert_best_equal(workdir, other, index=0):
    assert found(workdir, index) == found(other, index)
    for name in found(other, index).runs:
        one, wanted = (load_run(each.root, name, step="best") for each in (workdir, other))
        assert one.step == wanted.step
        assert_same(one.state, wanted.state)


@pytest.fixture(scope="module")
def by_term(tmp_path_factory, linear_method):
    return train(tmp_path_factory.mktemp("by_term"), runs_of(BY_TERM))


@pytest.fixture(scope="module")
def by_score(tmp_path_factory, linear_method):
    return train(tmp_path_factory.mktemp("by_score"), runs_of(BY_SCORE))


def test_each_run_is_kept_at_the_step_of_its_best_number(by_term):
    numbers = {name: losses(by_term, name) for name in NAMES}
    steps = {name: min(each, key=each.__getitem__) for name, each in numbers.items()}
    assert len({*steps.values()}) == 2 and max(steps.values()) < 12, "the runs have best steps of their own"
    assert found(by_term) == ("loss_nats:min", NAMES, [*steps.values()], [numbers[n][s] for n, s in steps.items()], "")
    for name, step in steps.items():
        kept, wanted = (load_run(by_term.root, name, step=each) for each in ("best", step))
        assert kept.step == step == wanted.step
        assert_same(kept.state, wanted.state)
    assert Checkpoints(by_term.checkpoints(0)).steps == [2, 4, 6, 8, 10, 12]


def test_the_largest_number_is_the_best_unless_the_least_is_asked_for(by_term, tmp_path):
    workdir = train(tmp_path, runs_of(LINE, train__keep_best="loss_nats"))
    for name, step, number in zip(*found(workdir)[1:4], strict=True):
        assert number == max(losses(by_term, name).values()) == losses(by_term, name)[step]


def test_a_number_is_the_mean_over_the_last_lines_as_at_a_rung(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LAST", 0.4)
    workdir = train(tmp_path, runs_of(BY_TERM))
    for name, _, number in zip(*found(workdir)[1:4], strict=True):
        every = [*losses(workdir, name, every=1).values()]
        means = [np.mean(every[step - max(1, round(0.4 * step)) : step]) for step in range(2, 13, 2)]
        assert number == pytest.approx(min(means), rel=1e-12)


def test_a_score_keeps_the_step_at_which_it_was_largest(by_score):
    scores = {name: scored(by_score, name) for name in NAMES}
    assert all([*each] and {*each} == {3, 6, 9, 12} for each in scores.values())
    steps = {name: max(each, key=each.__getitem__) for name, each in scores.items()}
    kept, numbers = found(by_score), [scores[n][s] for n, s in steps.items()]
    assert kept[:4] == ("mig/mig:max", NAMES, [*steps.values()], numbers) and "seed=0" in kept.way
    for name, step in steps.items():
        assert_same(load_run(by_score.root, name, step="best").state, load_run(by_score.root, name, step=step).state)


def killed_in_turn(run, places, more=()):
    """Calls `run` until it ends; it dies before one of its writes each time, at these places in turn."""
    writes = [(Checkpoints, "save"), (Checkpoints, "clear"), (score_files, "write"), *more]
    assert kills.in_turn(run, writes, itertools.islice(itertools.cycle(places), 30)) > 5


@pytest.mark.parametrize("kind", ["term", "score"])
def test_what_was_killed_anywhere_ends_with_the_best_of_the_unstopped(kind, by_term, by_score, tmp_path):
    whole, settings = {"term": (by_term, BY_TERM), "score": (by_score, BY_SCORE)}[kind]
    killed_in_turn(lambda: train(tmp_path, runs_of(settings)), (0, 3, 7, 1, 6, 9, 4))
    assert_best_equal(Workdir(tmp_path), whole)
    assert len(best.checkpoints(Workdir(tmp_path), 0).steps) == 1


def test_a_signal_at_any_step_adds_no_step_that_is_compared(by_term, tmp_path):
    runs, workdir = runs_of(BY_TERM), Workdir(tmp_path)
    for step in (1, 3, 4, 7):  # stops between two checkpoints leave one more
        with pytest.raises(Stopped, match=f"Stopped at step {step} of 12"):
            train(tmp_path, runs, stop=lambda step=step: losses(workdir, "seed=0", every=1).keys() >= {step})
    train(tmp_path, runs)
    assert_best_equal(workdir, by_term)


def test_a_signal_between_two_scores_keeps_the_step_whose_runs_are_compared_when_they_go_on(by_score, tmp_path):
    runs, workdir = runs_of(BY_SCORE, train__checkpoint_every=12), Workdir(tmp_path)
    for step in (3, 3, 6, 12, 12):  # once more where it goes on, and at the last step
        with pytest.raises(Stopped, match=f"Stopped at step {step}, between the scores of train.keep_best"):
            train(tmp_path, runs, stop=lambda step=step: any(workdir.run("seed=0").glob(f"scores/step={step},*")))
        assert Checkpoints(workdir.checkpoints(0)).newest == step
        assert not any(workdir.run("seed=1").glob(f"scores/step={step},*"))
    for _ in range(2):
        train(tmp_path, runs)
        assert_best_equal(workdir, by_score)
        assert {each.name for each in workdir.checkpoints(0).iterdir()} == {"3", "6", "12", "best"}


def test_a_run_that_diverges_keeps_its_best_and_one_that_never_had_a_number_has_none(tmp_path, capsys):
    rates = [{"seed": 0}, {"train.learning_rate": 0.3, "seed": 1}, {"train.learning_rate": 1e30, "seed": 2}]
    runs = expand(tiny.plain(**{**BY_TERM, "train__parallel": 3}), ["mine"], {"sweep_mine": lambda: rates})
    runs = [run._replace(name=name) for run, name in zip(runs, ("good", "late", "never"), strict=True)]
    workdir = train(tmp_path, runs)
    at = {run.name: load_results(tmp_path).set_index("run")["diverged"][run.name] for run in runs}
    assert np.isnan(at["good"]) and at["never"] == 1 and 2 < at["late"] < 12, at
    kept = found(workdir)
    assert kept.steps[1] < at["late"] and kept.steps[2] is None and kept.numbers[2] is None
    late = load_run(tmp_path, "late", step="best")
    assert late.step == kept.steps[1] and "diverged" not in repr(late)
    assert_same(late.state, load_run(tmp_path, "late", step=late.step).state)
    with pytest.raises(UserError, match="step: never has no best state, since it never had a number loss_nats:min"):
        load_run(tmp_path, "never", step="best")
    capsys.readouterr()
    done = tiny.command("evaluate", f"--workdir={tmp_path}", "--step=best", "--config.evaluate.metrics=mig")
    assert done.returncode == 0 and "never: not scored: never had a number loss_nats:min" in done.stderr
    assert not (workdir.run("never") / "scores.json").exists()


def test_more_steps_go_on_with_the_best_so_far(by_term, tmp_path):
    workdir = train(tmp_path, runs_of(BY_TERM, train__steps=8))
    early = found(workdir)
    assert_best_equal(train(tmp_path, runs_of(BY_TERM)), by_term)
    assert early.steps[0] == found(by_term).steps[0]


def test_another_number_begins_where_it_is_given(tmp_path, capsys):
    train(tmp_path, runs_of(BY_TERM, train__steps=8))
    capsys.readouterr()
    workdir = train(tmp_path, runs_of(LINE, train__keep_best="kl_nats:min"))
    said = "seed=0: the best states were kept by loss_nats:min; from step 8 on they are kept by kl_nats:min"
    assert said in capsys.readouterr().err
    for name, step, number in zip(*found(workdir)[1:4], strict=True):
        later = {at: kl for at, kl in losses(workdir, name, "kl_nats").items() if at > 8}
        assert number == min(later.values()) == later[step]
    before = found(workdir)
    assert found(train(tmp_path, runs_of(LINE, train__steps=14))) == before  # none is kept any more; these stay


def test_scores_computed_in_another_way_are_not_compared(tmp_path, capsys):
    train(tmp_path, runs_of(BY_SCORE, train__steps=6))
    early = found(Workdir(tmp_path)).way
    capsys.readouterr()
    workdir = train(tmp_path, runs_of(BY_SCORE, evaluate__seed=7))
    kept = found(workdir)
    said = f"were kept by mig/mig:max ({early}); from step 6 on they are kept by mig/mig:max ({kept.way})"
    assert said in capsys.readouterr().err and "seed=7" in kept.way
    assert all(step > 6 for step in kept.steps)
    for name, number in zip(kept.runs, kept.numbers, strict=True):
        assert number == scored(workdir, name)[kept.step(name)]


def test_a_run_that_begins_again_forgets_its_best(tmp_path, by_term):
    workdir = train(tmp_path, runs_of(BY_TERM, train__steps=4))
    shutil.rmtree(workdir.checkpoints(0) / "4")
    (workdir.checkpoints(0) / "2" / "manifest.json").write_text("")
    train(tmp_path, runs_of(BY_TERM), restart=True)
    assert_best_equal(workdir, by_term)


def test_a_run_that_begins_again_is_scored_anew(tmp_path, by_score):
    workdir = train(tmp_path, runs_of(BY_SCORE))
    for name in NAMES:  # those of a network that is no more
        for path in (workdir.run(name) / "scores").iterdir():
            write_sealed(path, {**read_json(path), "all": {"mig/mig": 1.0}})
    for step in Checkpoints(workdir.checkpoints(0)).steps:
        (workdir.checkpoints(0) / str(step) / "manifest.json").write_text("")
    train(tmp_path, runs_of(BY_SCORE), restart=True, until=2)
    assert not any((workdir.run(name) / each).exists() for name in NAMES for each in ("scores.json", "codes.npz"))
    train(tmp_path, runs_of(BY_SCORE), restart=True)
    assert_best_equal(workdir, by_score)
    assert all(scored(workdir, name) == scored(by_score, name) for name in NAMES)


def test_damaged_best_states_are_said_and_sought_anew(tmp_path, capsys):
    workdir = train(tmp_path, runs_of(BY_TERM, train__steps=6))
    [newest] = best.checkpoints(workdir, 0).steps
    for path in (workdir.checkpoints(0) / "best" / str(newest) / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"step: the checkpoint of step {newest} of seed=0 is damaged"):
        load_run(tmp_path, "seed=0", step="best")
    train(tmp_path, runs_of(BY_TERM))
    assert "is damaged" in capsys.readouterr().err
    for name, step, number in zip(*found(workdir)[1:4], strict=True):
        later = {at: loss for at, loss in losses(workdir, name).items() if at > 6}
        assert number == later[step] and number <= min(losses(workdir, name)[at] for at in (8, step))
        assert_same(load_run(tmp_path, name, step="best").state, load_run(tmp_path, name, step=step).state)
    (workdir.checkpoints(0) / "best" / str(best.checkpoints(workdir, 0).newest) / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="step: the best states of seed=0, seed=1 are damaged"):
        load_run(tmp_path, "seed=0", step="best")
    train(tmp_path, runs_of(BY_TERM, train__steps=14))
    assert "seed=0: the best states are damaged, " in capsys.readouterr().err
    assert found(workdir).steps == [14, 14]


CUT = {"train__starts": 2, "train__rungs": ((0.5, 1, "kl_nats", "max"),), "train__keep": 1}


def through_a_rung(folder):
    """Two runs of two starts: populations of two before the rung, and of two behind it, on two devices."""
    workdir = Workdir(folder)
    stages.train_all(Job(workdir, BASE, runs_of({**BY_TERM, **CUT}), DATASET, beside=()))
    return workdir


@pytest.fixture(scope="module")
def by_rung(tmp_path_factory, linear_method):
    return through_a_rung(tmp_path_factory.mktemp("by_rung"))


def test_survivors_of_a_rung_take_their_best_states_along_and_dropped_runs_keep_them(by_rung, by_term):
    dropped = by_rung.dropped()
    for index, group in enumerate(by_rung.groups()):
        kept = found(by_rung, index)
        for name in group:
            own = losses(by_rung, name)
            step = min(own, key=own.__getitem__)
            assert load_run(by_rung.root, name, step="best").step == kept.step(name) == step <= dropped.get(name, 12)
            assert kept.numbers[kept.runs.index(name)] == own[step]
    going = {f"{name},start=0": name for name in NAMES if f"{name},start=0" not in dropped}
    assert going, "a start that is a run of `by_term`"
    early = [name for name in going if load_run(by_rung.root, name, step="best").step <= 6]
    assert early, "a best state from before the rung"
    for name, alone in going.items():
        one, wanted = load_run(by_rung.root, name, step="best"), load_run(by_term.root, alone, step="best")
        assert_same(one.state, wanted.state)


def test_what_was_killed_at_a_rung_ends_with_the_best_of_the_unstopped(by_rung, tmp_path):
    killed_in_turn(lambda: through_a_rung(tmp_path), (1, 9, 14, 3, 18), [(Workdir, "write_plan")])
    workdir = Workdir(tmp_path)
    assert workdir.planned() == by_rung.planned()
    for index in range(len(workdir.groups())):
        assert_best_equal(workdir, by_rung, index)


def test_an_extracted_run_brings_its_best_state_and_can_begin_from_it(by_term, tmp_path):
    name, step = NAMES[1], found(by_term).steps[1]
    extract(by_term.root, name, tmp_path / "newest")
    extract(by_term.root, name, tmp_path / "early", step=step - 2)
    extract(by_term.root, name, tmp_path / "best", step="best")
    wanted = load_run(by_term.root, name, step="best")
    for folder, newest in (("newest", 12), ("best", step)):
        assert load_run(tmp_path / folder).step == newest
        own = load_run(tmp_path / folder, step="best")
        assert own.step == step and found(Workdir(tmp_path / folder)).numbers == [found(by_term).numbers[1]]
        assert_same(own.state, wanted.state)
    with pytest.raises(UserError, match="step: no best states of seed=1 are kept; train.keep_best=elbo_nats keeps"):
        load_run(tmp_path / "early", step="best")
    train(tmp_path / "best", Workdir(tmp_path / "best").runs())
    assert load_run(tmp_path / "best").step == 12 and load_run(tmp_path / "best", step="best").step == step


def test_the_scores_at_the_best_steps_say_so_in_the_table_and_on_the_page(by_term, tmp_path):
    copy = Workdir(shutil.copytree(by_term.root, tmp_path / "copy"))
    line, steps = [f"--workdir={copy.root}", "--config.evaluate.metrics=mig"], found(copy).steps
    assert tiny.command("evaluate", *line).returncode == 0
    table = load_results(copy.root)
    assert table["scored_step"].tolist() == [12, 12] and table["best_by"].isna().all()
    for again in (False, True):
        done = tiny.command("evaluate", *line, "--step=best")
        assert done.returncode == 0 and (": scoring" in done.stderr) != again, done.stderr
        table = load_results(copy.root)
        assert table["scored_step"].tolist() == steps and table["best_by"].tolist() == ["loss_nats:min"] * 2
        assert table["step"].tolist() == [12, 12]
    assert tiny.command("report", f"--workdir={copy.root}").returncode == 0
    assert "each at its best step by loss_nats:min" in (copy.report / "index.html").read_text()
    assert tiny.command("evaluate", *line, f"--step={steps[0]}").returncode == 0  # the same step, not as the best one
    table = load_results(copy.root)
    assert table["best_by"].isna().all() and table["scored_step"].tolist() == [steps[0]] * 2


def test_a_directory_without_best_states_is_one_sentence(tmp_path):
    train(tmp_path, runs_of(LINE, train__steps=2))
    with pytest.raises(UserError, match="step: no best states of seed=0, seed=1 are kept; train.keep_best=elbo_nats"):
        load_run(tmp_path, "seed=0", step="best")
    with pytest.raises(UserError, match="step: 'newest' must be a whole number or 'best'"):
        load_run(tmp_path, "seed=0", step="newest")
    for step, message in [("best", "--step: no best states are kept; train.keep_best"), ("first", "'first' must be a")]:
        done = tiny.command("evaluate", f"--workdir={tmp_path}", f"--step={step}")
        assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train__keep_best": ":min"}, "train.keep_best: ':min' must be a number of the log or a score, with :min"),
        ({"train__keep_best": "loss_nats:least"}, "train.keep_best: 'loss_nats:least' must be a number"),
        ({"train__keep_best": "loss_nats:"}, "train.keep_best: 'loss_nats:' must be a number"),
        ({"train__keep_best": "mig/mig"}, "train.keep_best: the score mig/mig needs train.evaluate_every"),
        ({"train__keep_best": "mig/big", "train__evaluate_every": 2}, "'mig/big' is unknown. Did you mean 'mig/mig'?"),
        ({"train__keep_best": "sap/sap", "train__evaluate_every": 2}, "train.keep_best: 'sap/sap' is unknown"),
    ],
)
def test_what_cannot_be_kept_by_is_one_sentence(given, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        tiny.config(**{**LINE, "evaluate__metrics": ("mig",), **given})


def test_an_unknown_number_and_a_score_without_factors_are_refused_before_anything_is_written(tmp_path):
    bare = dataclasses.replace(
        DATASET, name="bare", factor_names=(), factor_values=(), table=np.zeros((DATASET.size, 0), np.int32)
    )
    for config, images, message in [
        (tiny.config(**LINE, train__keep_best="los_nats"), DATASET, "'los_nats' is unknown. Did you mean 'loss_nats'"),
        (
            tiny.config(**BY_SCORE),
            bare,
            "mig/mig is a score, and bare has no factors; take a number of the log: kl_nats",
        ),
    ]:
        with pytest.raises(UserError, match=f"train.keep_best: {message}"):
            scaledis.train(config, images, workdir=tmp_path)
        assert not [*tmp_path.glob("*.json")]


def test_an_equal_number_does_not_replace_one_and_none_never_does():
    least, most = parse("train.keep_best", "x:min"), parse("train.keep_best", "x")
    assert least.better(1.0, 2.0) and not least.better(2.0, 1.0) and most.better(2.0, 1.0) and not most.better(1.0, 2.0)
    for each in (least, most):
        assert not each.better(1.0, 1.0) and each.better(1.0, None) and not each.better(None, None)
        assert not each.better(None, 1.0)
