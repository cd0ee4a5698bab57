"""Resume, by hand and after kill -9; divergence; more steps and runs. Runs are compared bit for bit."""

import dataclasses
import errno
import functools
import os
import re
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import scaledis
from scaledis.core import runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.datasets.base import sampling
from scaledis.sweeps.expand import expand
from scaledis.training import hooks, loop, progress
from scaledis.training.load import load_run
from scaledis.workdir import claims, decisions
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import processes, tiny

DATASET = tiny.dataset()
DIVERGING = {"train__learning_rate": 1e30}


def runs_of(*sweeps, **overrides):
    return expand(tiny.plain(**overrides), sweeps)


def train(workdir, runs=None, dataset=DATASET, **options):
    """(population, states on the host) of the one population of a work directory."""
    runs = runs or runs_of()
    [group] = claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs, options.pop("extend", False))
    population, states = loop.train_population(group, 0, dataset, workdir, **options)
    return population, jax.device_get(states)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    _, states = train(Workdir(tmp_path_factory.mktemp("whole")))
    assert states.step == 6
    return states


def steps_of(workdir, name="run"):
    return [record["step"] for record in read_records(workdir.run(name) / "metrics.jsonl")]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP"])
def test_every_signal_that_warns_asks_to_stop(name, capsys):
    before = signal.getsignal(getattr(signal, name))
    with runtime.stopping() as stop:
        assert not stop()
        os.kill(os.getpid(), getattr(signal, name))
        assert stop()
        assert signal.getsignal(getattr(signal, name)) is before  # a second one ends the process as usual
    assert signal.getsignal(getattr(signal, name)) is before
    assert "Stopping once the work at hand is saved" in capsys.readouterr().err


def test_a_signal_that_is_ignored_stays_ignored():
    """nohup ignores SIGHUP: logging out may not stop what was started with it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with runtime.stopping() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_the_program_handles_stays_its_own():
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        with runtime.stopping() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert heard == [1] and not stop()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_of_a_call_leaves_a_checkpoint_and_the_same_call_goes_on(tmp_path, uninterrupted):
    """In a notebook; the second call is made in a thread, where no signal is heard."""
    call = functools.partial(scaledis.train, runs_of()[0].config, DATASET)

    def interrupt(step, terms):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="Stopped at step 2 of 6; the same call resumes from there"):
        call(workdir=tmp_path, callback=interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with ThreadPoolExecutor(1) as thread:
        [model] = thread.submit(call, workdir=tmp_path).result()
    assert steps_of(Workdir(tmp_path)) == [2, 4, 6] and model.step == 6
    assert_same(model.state, jax.tree.map(lambda leaf: leaf[0], uninterrupted.state))
    with pytest.raises(KeyboardInterrupt, match="Stopped at step 2 of 6; nothing is kept without a workdir"):
        call(callback=interrupt)


def test_a_signal_leaves_a_checkpoint_and_the_same_command_goes_on(tmp_path, uninterrupted):
    workdir = Workdir(tmp_path)
    with runtime.stopping() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(Stopped, match="Stopped at step 2 of 6"):
            train(workdir, stop=stop)
    assert steps_of(workdir) == [2]
    _, states = train(workdir)
    assert steps_of(workdir) == [2, 4, 6]
    assert_same(states, uninterrupted)


def test_no_setting_of_jax_changes_the_types_or_the_numbers_of_a_run(tmp_path, uninterrupted, capsys):
    with tiny.foreign_settings():
        with pytest.raises(Stopped):
            train(Workdir(tmp_path), stop=lambda: True)
        population, states = train(Workdir(tmp_path))
        images = DATASET.images(np.arange(4))
        found = population.model(states, 0).encode(images)
    assert_same(states, uninterrupted)
    assert_same(found, population.model(states, 0).encode(images))
    assert found.mean.dtype == np.float32 and "last digits" not in capsys.readouterr().err


def test_what_changes_the_last_digits_is_said_and_training_goes_on(tmp_path, monkeypatch, capsys):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped):
        train(workdir, stop=lambda: True)
    capsys.readouterr()
    monkeypatch.setattr(jax, "__version__", "9.9")
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ['XLA_FLAGS']} --xla_another=1")
    train(workdir)
    resumed, line = capsys.readouterr().err.splitlines()
    assert resumed == "run: resumes from step 2 of 6."
    assert line.startswith("run: from step 2 on the last digits may be others: jax was '") and "and is '9.9'" in line
    assert "XLA_FLAGS was" in line and "--xla_another=1" in line and "device" not in line and "jaxlib" not in line


def test_a_checkpoint_of_64_bits_is_rounded_and_goes_on(tmp_path, uninterrupted, capsys):
    """As version 0.2 wrote them under jax_enable_x64."""
    workdir, runs = Workdir(tmp_path), runs_of()
    with pytest.raises(Stopped):
        train(workdir, runs, stop=lambda: True)
    checkpoints = Checkpoints(workdir.checkpoints(0))
    states = jax.device_get(checkpoints.restore(tiny.population([runs[0].config], DATASET).shapes, 2))
    shutil.rmtree(workdir.checkpoints(0))
    wide = {"f": np.float64, "i": np.int64, "u": np.uint32}
    checkpoints.save(2, jax.tree.map(lambda leaf: leaf.astype(wide[leaf.dtype.kind]), states), {"runs": ["run"]})
    assert_same(train(workdir, runs)[1], uninterrupted)
    assert "from step 2 on the last digits may be others: its state had 64 bits and has 32." in capsys.readouterr().err


def test_a_damaged_newest_checkpoint_is_set_aside_by_training_alone(tmp_path, uninterrupted, capsys):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped):
        train(workdir, stop=lambda: (workdir.checkpoints(0) / "2").exists())
    for path in (workdir.checkpoints(0) / "4").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert load_run(tmp_path).step == 2
    assert sorted(os.listdir(workdir.checkpoints(0))) == ["2", "4"]
    _, states = train(workdir)
    assert "checkpoint of step 4" in capsys.readouterr().err
    assert sorted(os.listdir(workdir.checkpoints(0))) == ["2", "4", "6", "damaged-4"]
    assert_same(states, uninterrupted)


def test_a_restart_at_0_of_what_had_progress_asks_for_it(tmp_path, uninterrupted):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped):
        train(workdir, stop=lambda: True)
    manifest = workdir.checkpoints(0) / "2" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 2', '"step": 3'))
    with pytest.raises(UserError, match="had come to step 2, .* --restart begins again at step 0"):
        train(workdir)
    assert steps_of(workdir) == [2] and os.listdir(workdir.checkpoints(0)) == ["2"]
    _, states = train(workdir, restart=True)
    assert_same(states, uninterrupted)
    assert steps_of(workdir) == [2, 4, 6] and (workdir.checkpoints(0) / "damaged-2").exists()


def test_a_checkpoint_of_another_structure_is_an_error_that_says_what_differs(tmp_path):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped):
        train(workdir, runs_of(method__name="vlae"), stop=lambda: True)
    wider = runs_of(method__name="vlae", model__parameters=9000)
    facts = sampling.facts(DATASET, wider[0].config.data)
    workdir.write_config(wider[0], facts)  # as another version of the package might build another network
    expected = r"written by version .* has another structure .* is \w+\[1, .* there and \w+\[1, .* here"
    with pytest.raises(UserError, match=expected):
        train(workdir, wider)
    with pytest.raises(UserError, match=expected):
        load_run(tmp_path)
    assert os.listdir(workdir.checkpoints(0)) == ["2"]
    taken = decisions.Decision(2, "loss_nats", "min", {wider[0].name: 1.0}, [wider[0].name])
    decisions.write(workdir.rungs, {wider[0].name: [taken]})
    with pytest.raises(UserError, match="--restart: rungs.json has decisions by the states of run, which cannot be"):
        train(workdir, wider, restart=True)
    workdir.rungs.unlink()
    train(workdir, wider, restart=True)
    assert sorted(os.listdir(workdir.checkpoints(0))) == ["2", "4", "6", "damaged-2"]


def test_a_passing_error_stops_and_sets_nothing_aside(tmp_path, monkeypatch):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped):
        train(workdir, stop=lambda: True)

    def failing(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(ocp.StandardCheckpointer, "restore", failing)
    with pytest.raises(UserError, match="cannot be read now: .*Input/output error"):
        train(workdir)
    assert os.listdir(workdir.checkpoints(0)) == ["2"] and steps_of(workdir) == [2]


def test_a_full_disk_is_a_clear_error_and_the_last_good_checkpoint_stays_good(tmp_path, uninterrupted, monkeypatch):
    workdir = Workdir(tmp_path)
    save = ocp.StandardCheckpointer.save

    def full(writer, path, *args, **kwargs):
        if "4.partial" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(writer, path, *args, **kwargs)

    monkeypatch.setattr(ocp.StandardCheckpointer, "save", full)
    with pytest.raises(
        UserError, match="step 4 could not be written .* No space left .* last good one is that of step 2"
    ):
        train(workdir)
    monkeypatch.undo()
    assert Checkpoints(workdir.checkpoints(0)).steps == [2] and os.listdir(workdir.checkpoints(0)) == ["2"]
    assert_same(train(workdir)[1], uninterrupted)


def test_the_last_few_checkpoints_are_kept(tmp_path):
    workdir = Workdir(tmp_path)
    train(workdir, runs_of(train__keep=2))
    assert sorted(os.listdir(workdir.checkpoints(0))) == ["4", "6"]


def test_a_finished_population_is_not_trained_again(tmp_path, uninterrupted, monkeypatch):
    workdir = Workdir(tmp_path)
    train(workdir)
    monkeypatch.setattr(loop.Population, "make_advance", None)
    assert_same(train(workdir)[1], uninterrupted)


def test_other_data_than_before_is_an_error_that_says_what_differs(tmp_path):
    workdir = Workdir(tmp_path)
    with pytest.raises(Stopped):
        train(workdir, stop=lambda: True)
    other = tiny.changed(DATASET)
    message = f"data: run was trained on other images.*fingerprint was {DATASET.fingerprint} and is {other.fingerprint}"
    with pytest.raises(UserError, match=message):
        train(workdir, dataset=other)
    (workdir.run("run") / "config.json").unlink()  # the checkpoint knows it too
    with pytest.raises(UserError, match=message):
        train(workdir, dataset=other)
    assert steps_of(workdir) == [2] and os.listdir(workdir.checkpoints(0)) == ["2"]
    assert train(workdir)[1].step == 6


def test_more_steps_go_on_from_the_last_checkpoint_and_end_as_if_asked_for_at_once(tmp_path, uninterrupted):
    workdir = Workdir(tmp_path)
    train(workdir, runs_of(train__steps=4))
    _, states = train(workdir)
    assert steps_of(workdir) == [2, 4, 6]
    assert_same(states, uninterrupted)
    with pytest.raises(UserError, match="train.steps is 6 there and 4 here"):
        train(workdir, runs_of(train__steps=4))


def test_more_steps_under_a_schedule_ask_for_extend(tmp_path):
    workdir = Workdir(tmp_path)
    settings = {"method__name": "vlae", "schedule__learning_rate": "cosine"}
    train(workdir, runs_of(train__steps=4, **settings))
    longer = runs_of(**settings)
    with pytest.raises(UserError, match="train.steps: from 4 to 6, schedule.learning_rate of run run .* give --extend"):
        train(workdir, longer)
    assert steps_of(workdir) == [2, 4]
    assert train(workdir, longer, extend=True)[1].step == 6
    assert steps_of(workdir) == [2, 4, 6]


def test_more_runs_train_alone_and_those_that_are_there_are_left(tmp_path):
    workdir = Workdir(tmp_path)
    base = {"config": {}, "sweep": [], "command": "test"}
    train(workdir, runs_of("seeds:1", train__steps=2))
    before = tiny.tree(workdir.root)
    groups = claims.claim(workdir, base, runs_of("seeds:2", train__steps=2))
    assert [[run.name for run in group] for group in groups] == [["seed=0"], ["seed=1"]]
    for index, group in enumerate(groups):
        loop.train_population(group, index, DATASET, workdir)
    assert steps_of(workdir, "seed=1") == [2]
    after = tiny.tree(workdir.root)
    assert all(after[name] == before[name] for name in before if name not in ("config.json", "plan.json"))
    with pytest.raises(UserError, match="holds runs that this command lacks: seed=1; keep their values in the sweep"):
        claims.claim(workdir, base, runs_of("seeds:1", train__steps=2))


@pytest.mark.usefixtures("linear_method")
def test_the_populations_of_a_program_are_padded_alike_and_each_is_its_own_runs(tmp_path):
    settings = ((2, 1), (1, 3))
    line = {"method__name": "linear", "train__parallel": 1}
    configs = [tiny.config(model__allocation=each, **line) for each in settings]
    for steps in (4, 6):
        longer = [dataclasses.replace(each, train=dataclasses.replace(each.train, steps=steps)) for each in configs]
        models = scaledis.train(longer, DATASET, workdir=tmp_path)
    assert [each.padded for each in Workdir(tmp_path).planned()] == [(2, 3), (2, 3)]
    for model, run, own in zip(models, Workdir(tmp_path).runs(), settings, strict=True):
        codes, loaded = model.encode(DATASET.images(range(8))), load_run(tmp_path, run.name)
        assert loaded.step == 6 and run.padded == (2, 3) and codes.mean.shape == (8, sum(own))
        assert_same(codes, loaded.encode(DATASET.images(range(8))))


def test_a_population_whose_every_run_has_diverged_is_reported_and_at_its_end(tmp_path, capsys):
    workdir, runs = Workdir(tmp_path), runs_of(**DIVERGING)
    _, states = train(workdir, runs)
    assert "run diverged at step 1 and is frozen there.\nNo run is left" in capsys.readouterr().err
    last = read_records(workdir.run("run") / "metrics.jsonl")[-1]
    assert last["step"] == 2 and last["diverged"] == 1 and last["loss_nats"] is None
    assert states.diverged == 1
    assert_same(train(workdir, runs)[1], states)
    assert capsys.readouterr().err == ""


def test_a_diverged_run_keeps_its_last_good_state_and_its_neighbor_goes_on(tmp_path, uninterrupted):
    runs = [runs_of()[0]._replace(name="good"), runs_of(**DIVERGING, seed=1)[0]._replace(name="bad")]
    population, states = train(Workdir(tmp_path), runs)
    good, bad = (population.model(states, slot) for slot in (0, 1))
    assert list(states.diverged) == [-1, 1] and good.step == 6 and bad.step == 0
    images = DATASET.images(np.arange(8))
    codes = bad.encode(images)
    assert np.isfinite(codes.mean).all() and np.isfinite(codes.log_variance).all()
    start = loop.Population([runs[1].config], population.images).init()
    assert_same(jax.tree.leaves(bad.state.params), [leaf[0] for leaf in jax.tree.leaves(start.state.params)])
    alone = population.model(jax.tree.map(lambda leaf: np.repeat(leaf, 2, axis=0), uninterrupted), 0)
    np.testing.assert_allclose(good.encode(images).mean, alone.encode(images).mean, rtol=2e-3, atol=1e-4)


def test_without_a_terminal_a_line_of_progress_comes_at_an_interval(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    shown = {"beside": [hooks.make_progress]}
    train(Workdir(tmp_path), **shown)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("run: step")]
    pattern = r"run: step \d of 6, [\d.]+ steps/s, (\d+ min )?\d+ s left, loss \d+\.\d, rec \d+\.\d, kl \d+\.\d"
    assert len(lines) == 3 and all(re.fullmatch(pattern, line) for line in lines), lines
    monkeypatch.setattr(progress, "EVERY", 1e9)
    train(Workdir(tmp_path / "quiet"), **shown)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("run: step")]
    assert len(lines) == 1 and lines[0].startswith("run: step 6 of 6")  # the last step is always said


def test_kill_9_and_resume_ends_bit_for_bit_where_the_uninterrupted_run_ends(tmp_path, linear_method):
    """Through the command line, in processes of their own."""
    # Long enough to be killed in the middle.
    steps = 400
    command = [f"--config.train.steps={steps}", "--config.train.log_every=20", "--config.train.checkpoint_every=20"]
    command += ["--stages=train", "--config.train.learning_rate=1e-3"]

    def start(workdir):
        return processes.start(*command, f"--workdir={workdir}", output=tmp_path / "said.txt")

    killed = start(tmp_path / "killed")
    checkpoints = Workdir(tmp_path / "killed").checkpoints(0)
    while not (checkpoints / "40").exists():
        assert killed.is_alive(), "the process ended before it could be killed"
        time.sleep(0.01)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL, "the process ended before it could be killed"
    for name in ("killed", "whole"):
        process = start(tmp_path / name)
        process.join()
        assert process.exitcode == 0, (tmp_path / "said.txt").read_text()
    whole, resumed = (load_run(tmp_path / name) for name in ("whole", "killed"))
    assert whole.step == resumed.step == steps
    assert_same(whole.state, resumed.state)
    logged = [read_records(Workdir(tmp_path / name).run("run") / "metrics.jsonl") for name in ("whole", "killed")]
    assert logged[0] == logged[1]
