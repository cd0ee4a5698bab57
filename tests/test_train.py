"""Resume, by hand and after kill -9; damaged checkpoints; a full disk. Runs are compared bit for bit."""

import errno
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from scaledis import sweep, train
from scaledis.checkpoint import Checkpoints
from scaledis.errors import UserError
from scaledis.workdir import Workdir, read_records
from tests import tiny

DATASET = tiny.dataset()
ROOT = os.path.dirname(os.path.dirname(__file__))


def never():
    return False


def members(**overrides):
    return sweep.expand(tiny.plain(**overrides), [])


def final(workdir, **overrides):
    step, runs = train.trained(members(**overrides), 0, DATASET, workdir)
    assert step == overrides.get("train__steps", 6)
    return jax.device_get(runs)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("whole"))
    train.train(members(), 0, DATASET, workdir, never)
    return final(workdir)


def steps_of(workdir):
    return [record["step"] for record in read_records(workdir.run("run") / "metrics.jsonl")]


def test_a_signal_leaves_a_checkpoint_and_the_same_command_goes_on(tmp_path, uninterrupted):
    workdir = Workdir(tmp_path)
    with train.stopping() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(train.Stopped, match="Stopped at step 2 of 6"):
            train.train(members(), 0, DATASET, workdir, stop)
    assert steps_of(workdir) == [2]
    train.train(members(), 0, DATASET, workdir, never)
    assert steps_of(workdir) == [2, 4, 6]
    assert_same(final(workdir), uninterrupted)


def test_a_damaged_newest_checkpoint_is_left_out(tmp_path, uninterrupted, capsys):
    workdir = Workdir(tmp_path)
    with pytest.raises(train.Stopped):
        train.train(members(), 0, DATASET, workdir, lambda: os.path.exists(workdir.checkpoints(0) / "4"))
    newest = workdir.checkpoints(0) / "4"
    for path in newest.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    train.train(members(), 0, DATASET, workdir, never)
    assert "checkpoint of step 4" in capsys.readouterr().err
    assert (workdir.checkpoints(0) / "unreadable-4").exists() and (workdir.checkpoints(0) / "4").exists()
    assert_same(final(workdir), uninterrupted)


def test_a_full_disk_is_a_clear_error_and_the_last_good_checkpoint_stays_good(tmp_path, uninterrupted, monkeypatch):
    workdir = Workdir(tmp_path)
    save = ocp.CheckpointManager.save

    def full(manager, step, *args, **kwargs):
        if step == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(manager, step, *args, **kwargs)

    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(
        UserError, match="step 4 could not be written .* No space left .* last good one is that of step 2"
    ):
        train.train(members(), 0, DATASET, workdir, never)
    monkeypatch.undo()
    assert Checkpoints(workdir.checkpoints(0), 3).newest == 2
    train.train(members(), 0, DATASET, workdir, never)
    assert_same(final(workdir), uninterrupted)


def test_the_last_few_checkpoints_are_kept(tmp_path):
    workdir = Workdir(tmp_path)
    train.train(members(train__keep=2), 0, DATASET, workdir, never)
    assert sorted(int(path.name) for path in workdir.checkpoints(0).iterdir() if path.name.isdigit()) == [4, 6]


def test_a_finished_population_is_not_trained_again(tmp_path, monkeypatch):
    workdir = Workdir(tmp_path)
    train.train(members(), 0, DATASET, workdir, never)
    monkeypatch.setattr(train.population, "program", None)
    train.train(members(), 0, DATASET, workdir, never)


def test_a_population_whose_every_run_has_diverged_is_reported_and_at_its_end(tmp_path, capsys):
    workdir, overrides = Workdir(tmp_path), {"train__learning_rate": 1e30}
    train.train(members(**overrides), 0, DATASET, workdir, never)
    assert "run diverged at step 1 and is frozen there.\nNo run goes on" in capsys.readouterr().err
    last = read_records(workdir.run("run") / "metrics.jsonl")[-1]
    assert last["step"] == 2 and last["diverged"] == 1 and last["loss_nats"] is None
    assert final(workdir, **overrides).diverged == 1
    train.train(members(**overrides), 0, DATASET, workdir, never)
    assert capsys.readouterr().err == ""


def test_kill_9_and_resume_ends_bit_for_bit_where_the_uninterrupted_run_ends(tmp_path):
    """Through the command line, in processes of their own."""
    # Long enough to be killed in the middle.
    steps = 160
    command = [sys.executable, "-m", "tests.tiny", "--config=tests/tiny_config.py", "--stages=train"]
    command += [f"--config.train.steps={steps}", "--config.train.log_every=20", "--config.train.checkpoint_every=20"]

    def start(workdir):
        return subprocess.Popen([*command, f"--workdir={workdir}"], cwd=ROOT, stderr=subprocess.DEVNULL)

    killed = start(tmp_path / "killed")
    checkpoints = Workdir(tmp_path / "killed").checkpoints(0)
    while not (checkpoints / "40").exists():
        assert killed.poll() is None, "the process ended before it could be killed"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for name in ("killed", "whole"):
        assert start(tmp_path / name).wait() == 0
    whole, resumed = (final(Workdir(tmp_path / name), train__steps=steps) for name in ("whole", "killed"))
    assert_same(whole, resumed)
    logged = [read_records(Workdir(tmp_path / name).run("run") / "metrics.jsonl") for name in ("whole", "killed")]
    assert logged[0] == logged[1]
