"""Shards: which populations are whose, and four processes of which two are killed."""

import os
import random
import signal
import time

import jax
import numpy as np
import pytest

from scaledis.core import version
from scaledis.core.errors import UserError
from scaledis.sweeps import shards
from scaledis.sweeps.expand import expand
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training.load import load_results
from scaledis.workdir import claims
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from tests import processes, tiny

BASE = {"config": {}, "sweep": ["seeds"], "command": "test"}
RUNS = 40


@pytest.mark.parametrize(("populations", "count"), [(0, 1), (7, 1), (7, 3), (2, 5), (12, 4)])
def test_every_population_is_in_one_shard(populations, count):
    shards = [Shard(index, count).take(range(populations)) for index in range(count)]
    assert sorted(number for shard in shards for number, _ in shard) == list(range(populations))
    assert all(number == each for shard in shards for number, each in shard)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_shard_is_read_as_it_is_written():
    assert [shards.parse(text) for text in ("0/1", "3/4")] == [WHOLE, Shard(3, 4)]
    assert str(Shard(3, 4)) == "3/4" and WHOLE.whole and not Shard(3, 4).whole


@pytest.mark.parametrize("text", ["4/4", "0/0", "1", "-1/4", "a/b", "1/4/2", "", "1/", "9999999999/99999999999"])
def test_a_shard_that_cannot_be_is_one_sentence(text):
    with pytest.raises(UserError, match=r"--shard: '.*' must be i/n with i from 0 to n - 1, such as 0/4"):
        shards.parse(text)


def test_shards_hold_the_directory_beside_each_other_and_no_two_processes_the_same_one(tmp_path):
    def second(shard):
        with Workdir(tmp_path).locked(shard):  # a lock is of the open file: a process excludes itself too
            pass

    with Workdir(tmp_path).locked(Shard(0, 2)):
        second(Shard(1, 2))
        with pytest.raises(UserError, match=rf"is in use by process {os.getpid()} on .*, shard 0/2\."):
            second(Shard(0, 2))
        with pytest.raises(UserError, match=r"is in use by process .*, shard"):
            second(WHOLE)
    second(Shard(0, 2))
    with Workdir(tmp_path).locked(), pytest.raises(UserError, match=rf"is in use by process {os.getpid()} on \S+\.$"):
        second(Shard(0, 2))


def test_the_first_shard_plans_for_all_and_each_compares_its_own_runs(tmp_path):
    workdir, runs = Workdir(tmp_path), expand(tiny.plain(train__parallel=1), ["seeds:4"])
    groups = claims.claim(workdir, BASE, runs, shard=Shard(1, 2))
    assert [len(group) for group in groups] == [1] * 4 and len(workdir.runs()) == 4
    assert claims.claim(workdir, BASE, runs, shard=Shard(0, 2)) == groups
    other = [runs[0]._replace(config=tiny.config(train__batch=9)), *runs[1:]]
    assert claims.claim(workdir, BASE, other, shard=Shard(1, 2))
    with pytest.raises(UserError, match="holds another run named 'seed=0': train.batch is 8 there and 9 here"):
        claims.claim(workdir, BASE, other, shard=Shard(0, 2))


def test_another_number_of_shards_and_another_version_are_refused(tmp_path, monkeypatch):
    workdir, runs = Workdir(tmp_path), expand(tiny.plain(), ["seeds:2"])
    claims.claim(workdir, BASE, runs, shard=Shard(0, 2))
    with pytest.raises(UserError, match=r"was begun with 2 shards, and --shard=1/3 is one of 3; give i/2, or go on"):
        claims.claim(workdir, BASE, runs, shard=Shard(1, 3))
    monkeypatch.setattr(version, "here", lambda: {"version": "9.9", "commit": "abc"})
    with pytest.raises(UserError, match=r"the shards of .* were begun by version .*, and this is 9\.9 abc; go on with"):
        claims.claim(workdir, BASE, runs, shard=Shard(1, 2))
    claims.claim(workdir, BASE, runs)  # one process for all, to which no other can be different
    claims.claim(workdir, BASE, runs, shard=Shard(1, 3))


def test_four_shards_of_which_two_are_killed_end_as_if_each_run_were_alone(tmp_path, linear_method):
    config = {"method__name": "linear", "train__steps": 20, "train__parallel": 5, "train__learning_rate": 1e-3}
    command = [f"--config.{key.replace('__', '.')}={value}" for key, value in config.items()]
    command += ["--config.evaluate.metrics=mig", f"--sweep=seeds:{RUNS}", f"--workdir={tmp_path}"]

    def start(index):
        return processes.start(*command, f"--shard={index}/4", output=tmp_path / f"{index}.txt")

    shards = [start(index) for index in range(4)]
    rng = random.Random()
    for index in (1, 2):
        while not Checkpoints(Workdir(tmp_path).checkpoints(index)).steps:
            assert shards[index].is_alive(), (tmp_path / f"{index}.txt").read_text()
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        shards[index].kill()
    for index in (1, 2):
        shards[index].join()
        assert shards[index].exitcode == -signal.SIGKILL, "the process ended before it could be killed"
        shards[index] = start(index)
    for index, shard in enumerate(shards):
        shard.join(120)
        assert shard.exitcode == 0, (tmp_path / f"{index}.txt").read_text()

    table = load_results(tmp_path)
    assert sorted(table["seed"]) == list(range(RUNS)) and (table["step"] == 20).all() and table["mig/mig"].notna().all()
    one = tiny.population([tiny.config(**config)], tiny.dataset())
    advance = one.make_advance(tiny.dataset())
    for row in table.itertuples():
        alone = tiny.population([tiny.config(**config, seed=row.seed)], tiny.dataset())
        states, _ = advance(alone.init(), 18)
        terms = jax.device_get(advance(states, 2)[1])
        np.testing.assert_allclose(table.loc[row.Index, "final/loss_nats"], terms["loss_nats"][0], rtol=1e-5)
