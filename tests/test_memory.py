"""How many runs train at once: as many as a device holds, by XLA's own analysis."""

import jax
import numpy as np
import pytest

import scaledis
from scaledis.core import runtime
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from scaledis.sweeps import plan
from scaledis.sweeps.expand import expand
from scaledis.training import memory
from scaledis.training.population import Population, make_mesh
from scaledis.workdir.layout import Workdir
from tests import tiny

DATASET = tiny.dataset()


def asked(bytes_of, wanted, limit):
    """What fits, and for how many runs it was asked."""
    calls = []

    def needed(runs):
        calls.append(runs)
        return bytes_of(runs)

    return memory.fitting(needed, wanted, limit), calls


def test_what_fits_is_found_by_few_questions():
    assert asked(lambda runs: 500 + 100 * runs, 64, 10_000) == (64, [64])
    assert asked(lambda runs: 500 + 100 * runs, 64, 3000) == (25, [64, 1, 25])
    assert asked(lambda runs: 500 + 100 * runs, 64, 600) == (1, [64, 1, 1])
    found, calls = asked(lambda runs: 500 + 100 * runs + 400 * (1 < runs < 64), 64, 3000)  # off the line
    assert found == 21 and calls == [64, 1, 25, 24, 23, 22, 21]


def test_a_run_that_no_device_holds_is_one_clear_error():
    for wanted in (1, 8):
        with pytest.raises(UserError, match="train.batch: one run needs 3 GB and a device has 2 GB for it"):
            memory.fitting(lambda runs: 3_000_000_000 * runs, wanted, 2_000_000_000)


def test_a_cpu_has_no_limit_and_nothing_compiles(monkeypatch):
    monkeypatch.delattr(Population, "memory")
    runs = expand(tiny.plain(train__parallel=3), ["seeds:8"])
    assert runtime.device_memory() is None and memory.together(runs, DATASET) == 3


def test_no_device_has_more_runs_than_it_holds(monkeypatch):
    """On two devices, of which each holds two runs, three runs would all be on one."""
    monkeypatch.setattr(Population, "memory", lambda self, dataset: 100 * len(self.configs))
    monkeypatch.setattr(runtime, "device_memory", lambda: 299 / memory.ROOM)
    monkeypatch.setattr(sampling, "load_dataset", lambda data: DATASET)
    for count, sizes in ((2, [2]), (3, [2, 1]), (4, [4]), (7, [4, 2, 1]), (11, [4, 4, 2, 1])):
        runs = expand(tiny.plain(train__parallel=8), [f"seeds:{count}"])
        assert [len(group) for group in plan.populations(runs, memory.together)] == sizes


def test_a_population_larger_than_the_device_is_cut_and_no_result_changes(monkeypatch, tmp_path, linear_method):
    """Four runs on two devices, of which each holds one run."""
    settings = {"method__name": "linear", "train__parallel": 4, "train__steps": 3}
    runs = expand(tiny.plain(**settings), ["seeds:4"])
    configs = [run.config for run in runs]
    whole = scaledis.train(configs, DATASET, workdir=tmp_path / "whole")
    assert len(Workdir(tmp_path / "whole").groups()) == 1
    monkeypatch.setattr(Population, "memory", lambda self, dataset: 100 * len(self.configs))
    monkeypatch.setattr(runtime, "device_memory", lambda: 199 / memory.ROOM)
    cut = scaledis.train(configs, DATASET, workdir=tmp_path / "cut")
    assert [len(names) for names in Workdir(tmp_path / "cut").groups()] == [2, 2]
    images = np.asarray(DATASET.images(np.arange(4)))
    for model, same in zip(whole, cut, strict=True):
        np.testing.assert_allclose(model.encode(images).mean, same.encode(images).mean, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("place", ["device", "host"])
def test_the_memory_of_a_step_holds_its_state_and_its_batch(place):
    config = tiny.config(method__name="vae", data__memory=place)
    members = tiny.population([config], DATASET)
    state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(members.shapes))
    pixels = 4 * config.train.batch * 16 * 16 * 3
    one = members.memory(DATASET)
    assert state + pixels < one < 20 * (state + pixels) + DATASET.source.nbytes
    assert one < tiny.population([config, config], DATASET, make_mesh(1)).memory(DATASET) < 2 * one
