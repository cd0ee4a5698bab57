"""What a sweep is, said without compiling it."""

import os

import jax
import pytest

from scaledis import datasets
from scaledis.datasets.base import sampling
from scaledis.planning import dry_run
from scaledis.sweeps.expand import expand as expanded
from scaledis.training.population import Population
from scaledis.workdir import claims
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from tests import tiny

DATASET = tiny.dataset()
ROOT = os.path.dirname(os.path.dirname(__file__))


@pytest.fixture(autouse=True)
def nothing_compiles(monkeypatch):
    """The tiny data set, and no way to begin or to train a population."""
    monkeypatch.setattr(datasets, "load", lambda *_, **__: DATASET)
    sampling.load_dataset.cache_clear()
    for name in ("init", "make_advance"):
        monkeypatch.delattr(Population, name)


def expand(*sweeps, **overrides):
    return expanded(tiny.plain(train__parallel=4, **overrides), sweeps)


def test_it_counts_runs_programs_and_populations_and_names_the_first_ten(tmp_path):
    runs = expand("method.name=vlae,scale_vlae,nvae", "seeds:6", model__network="")
    lines = dry_run.report(runs, Workdir(tmp_path)).splitlines()
    assert lines[0] == "18 runs, 2 programs, 5 populations"
    assert lines[2] == "vlae, scale_vlae, 2 levels: 12 runs in 3 populations"
    assert lines[5] == "nvae, 2 levels: 6 runs in 2 populations"
    assert lines[lines.index("Runs:") + 1 :] == [*(f"  {run.name}" for run in runs[:10]), "  and 8 more"]
    assert list(tmp_path.iterdir()) == []


def test_the_memory_is_that_of_the_state_at_the_padded_sizes(tmp_path):
    runs = expand("model.allocation=(2,1),(1,3)", "model.parameters=6000,9000")
    members = tiny.population([run.config for run in runs], DATASET)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(members.shapes))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(members.shapes.state.params)) // 4
    [line] = [line for line in dry_run.report(runs, Workdir(tmp_path)).splitlines() if "memory" in line]
    a_run, at_once = size / 4000, size / 1000
    assert line == f"  memory  {parameters:,} parameters, {a_run:.3g} kB of state a run, {at_once:.3g} kB for 4 at once"


def test_the_time_follows_from_what_the_workdir_has_logged(tmp_path):
    runs, workdir = expand("seeds:8", train__steps=6000), Workdir(tmp_path)
    assert "time    unknown" in dry_run.report(runs, workdir)
    claims.claim(workdir, {}, runs)
    about = {"seconds": 50.0, "device": "a laptop"}
    Checkpoints(workdir.checkpoints(1)).save(500, {"some": jax.numpy.zeros(3)}, about)
    # Two populations of 6000 steps, at 10 steps a second.
    assert "time    20 min 0 s at 10.0 steps/s of 4 runs on a laptop" in dry_run.report(runs, workdir)


def test_populations_are_as_large_as_those_that_have_trained(tmp_path):
    runs, workdir = expand("seeds:7", train__steps=6000), Workdir(tmp_path)
    claims.claim(workdir, {}, runs, at_once=lambda members: 2)  # as many as a device holds
    Checkpoints(workdir.checkpoints(0)).save(500, {"some": jax.numpy.zeros(3)}, {"seconds": 50.0, "device": "a laptop"})
    text = dry_run.report(runs, workdir)
    assert text.startswith("7 runs, 1 program, 4 populations") and "for 2 at once" in text
    assert "time    40 min 0 s at 10.0 steps/s of 2 runs on a laptop" in text  # 4 populations, 10 minutes each


def test_halving_takes_less_time(tmp_path, monkeypatch):
    """27 runs of 270 steps take 810 in place of 7,290: 27 take 10, 9 take 20 more, 3 take 60 and one takes 180."""
    said = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(dry_run, "report", lambda runs, workdir, share: said.append(share(runs[0].config.train)) or "")
    line = ["sweep", "--config=tests/tiny_config.py", "seeds:27", "--steps=270", "--dry_run", f"--workdir={tmp_path}"]
    for halving in ([], ["--halving=eta:3,rungs:3,by:elbo_nats"]):
        assert tiny.command(*line, *halving).returncode == 0
    assert said == [1, pytest.approx(810 / 7290)]
    assert "--halving: 'eta:3' must be" in tiny.command(*line, "--halving=eta:3").stderr


def test_the_command_and_its_subcommand_print_it_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = ("--config=tests/tiny_config.py", "--sweep=pair", f"--workdir={tmp_path}/new", "--dry_run")
    done = tiny.command(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 runs, 1 program, 1 population\n")
    assert not (tmp_path / "new").exists()
    assert tiny.command("train", *arguments) == done
