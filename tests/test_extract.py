"""A run out of its population resumes to the numbers that it has there (every method: methods/test_every_method.py)."""

import numpy as np
import pytest

from scaledis import methods
from scaledis.core.errors import UserError
from scaledis.sweeps.expand import expand
from scaledis.training import loop
from scaledis.training.extract import extract, without_padding
from scaledis.training.load import load_results, load_run
from scaledis.types import RunState
from scaledis.workdir import claims
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import linear, tiny

DATASET = tiny.dataset()
BASE = {"config": {}, "sweep": [], "command": "test"}
LADDER = ["model.allocation=(1,3),(2,1)"]


def train(workdir, runs):
    workdir = Workdir(workdir)
    [group] = claims.claim(workdir, BASE, runs)
    return loop.train_population(group, 0, DATASET, workdir)


def test_a_run_goes_on_alone_as_it_does_in_its_population(tmp_path):
    runs = expand(tiny.plain(method__name="vlae", train__parallel=2), LADDER)
    name, images = runs[1].name, DATASET.images(np.arange(8))
    members, states = train(tmp_path / "all", runs)
    extract(tmp_path / "all", name, tmp_path / "one", step=4)
    early, own = load_run(tmp_path / "all", name, step=4), load_run(tmp_path / "one")
    assert own.step == early.step == 4 and own.config == early.config
    assert [record["step"] for record in read_records(Workdir(tmp_path / "one").run(name) / "metrics.jsonl")] == [2, 4]
    assert_codes_agree(own.encode(images), early.encode(images))

    alone, state = train(tmp_path / "one", runs[1:])
    assert (members.allocation, alone.allocation, int(state.step[0])) == ((2, 3), (2, 1), 6)
    logs = [read_records(Workdir(tmp_path / folder).run(name) / "metrics.jsonl") for folder in ("one", "all")]
    assert [record["step"] for record in logs[0]] == [2, 4, 6]
    for record, expected in zip(*logs, strict=True):
        assert record == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert_codes_agree(alone.model(state, 0).encode(images), members.model(states, 1).encode(images))
    assert load_results(tmp_path / "one")["run"].tolist() == [name]


def assert_codes_agree(codes, expected):
    for found, wanted in zip(codes, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A directory of two runs of the linear method."""
    monkeypatch.setattr(methods.REGISTRY, "registered", {})
    linear.register()
    train(tmp_path / "two", expand(tiny.plain(method__name="linear", train__parallel=2), ["seeds:2"]))
    return tmp_path / "two"


def test_any_step_can_be_taken_out_and_the_population_stays_as_it_was(two, tmp_path):
    before = tiny.tree(two)
    extract(two, "seed=1", tmp_path / "early", step=2)
    assert load_run(tmp_path / "early").step == 2 and tiny.tree(two) == before
    assert Workdir(tmp_path / "early").dataset_of("seed=1") == Workdir(two).dataset_of("seed=1")
    done = tiny.command("extract", "seed=0", f"--workdir={two}", f"--to={tmp_path / 'zero'}")
    assert done.returncode == 0 and f"seed=0 is in {tmp_path / 'zero'}" in done.stdout
    done = tiny.command(f"--workdir={tmp_path / 'early'}", "--stages=train", "--steps=8")
    assert done.returncode == 0 and load_run(tmp_path / "early").step == 8


def test_what_cannot_be_taken_out_is_one_sentence(two, tmp_path):
    for name, to, step, message in [
        ("seed=2", "new", None, "name: 'seed=2' is unknown"),
        ("seed=1", "new", 3, "step: there is no checkpoint of step 3"),
        ("seed=1", "two", None, "--to: .* holds an experiment already"),
    ]:
        with pytest.raises(UserError, match=message):
            extract(two, name, tmp_path / to, step=step)
    assert not (tmp_path / "new").exists()
    done = tiny.command("extract", "seed=0", f"--workdir={two}")
    assert done.returncode == 2 and "--to: missing" in done.stderr


@pytest.fixture
def of_size(monkeypatch):
    """(name, size of its state from the units) -> a population of two such runs, and the first one's own."""
    monkeypatch.setattr(methods.REGISTRY, "registered", {})

    def make(name, size):
        def build(config, images):
            units = sum(config.model.allocation)
            return linear.build(config, images)._replace(init=lambda key, _: np.zeros(size(units), np.float32))

        methods.register_method(name, build, equation="R = 0", flat=False)
        configs = [tiny.config(method__name=name, model__allocation=(units, 4 - units)) for units in (1, 2)]
        return tiny.population(configs, DATASET), tiny.population(configs[:1], DATASET)

    return make


def test_units_that_stand_twice_are_cut_from_both_halves(of_size):
    members, alone = of_size("halves", lambda units: 2 * units)
    assert members.allocation == (2, 3) and alone.allocation == (1, 3)
    run = RunState(np.arange(10.0), np.zeros(2), np.zeros(()), np.zeros(()))
    np.testing.assert_array_equal(without_padding(run, members, alone).state, [0, 2, 3, 4, 5, 7, 8, 9])


def test_units_in_an_order_that_is_not_known_are_said(of_size):
    run = RunState(np.arange(11.0), np.zeros(2), np.zeros(()), np.zeros(()))
    with pytest.raises(UserError, match="^extract: strange has its units in an order that is not known here"):
        without_padding(run, *of_size("strange", lambda units: 2 * units + 1))
