"""The doors: each one's example runs as it stands, on tiny sizes; importing them is cheap; a method of one's own."""

import dataclasses
import doctest
import importlib.metadata
import json
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import scaledis
from scaledis import datasets, methods, networks
from scaledis.config import Config
from scaledis.core import runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.datasets.base import sampling
from scaledis.methods import estimators
from scaledis.model import Model
from scaledis.search import criteria
from scaledis.sweeps import configs
from scaledis.training import engine, evaluate
from scaledis.types import Codes, Run
from tests import doors, tiny

REGISTRIES = methods.REGISTRY, networks.REGISTRY, estimators.REGISTRY, criteria.REGISTRY
NAMELESS = dataclasses.replace(tiny.dataset(), factor_names=(), factor_values=(), table=np.zeros((96, 0), np.int32))
LAST = ("load_model", "load_run", "load_results")  # they load what others train
MAKERS = sorted((name for name in doors() if name.islower()), key=lambda name: name in LAST)
DOORS = {name: getattr(scaledis, name) for name in MAKERS}
TINY = {
    "model.allocation": (2, 1),
    "model.parameters": 6000,
    "model.channels": (4, 4, 4, 4),
    "train.steps": 2,
    "train.batch": 8,
    "evaluate.train_codes": 60,
    "evaluate.test_codes": 30,
}


@pytest.fixture
def small(monkeypatch):
    """Every config small, and every data set the tiny one."""
    make_config = configs.make_config

    def make_small(method, overrides=None):
        return make_config(method, {**(overrides or {}), **TINY})

    def load_tiny(*_, **__):
        return tiny.dataset()

    for module, name, small in [
        *[(configs, "make_config", make_small), (scaledis, "make_config", make_small)],
        *[(datasets, "load", load_tiny), (scaledis, "load_dataset", load_tiny)],
        *[(runtime, "_keep_freed_memory", lambda: None), (runtime, "cache_directory", lambda: None)],
    ]:
        monkeypatch.setattr(module, name, small)
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "registered", {})
    sampling.load_dataset.cache_clear()
    yield
    sampling.load_dataset.cache_clear()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder that the examples share, as a reader's would: what one trains another loads."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("name", MAKERS)
def test_the_example_of_a_door_runs(name, small, home, monkeypatch):
    monkeypatch.chdir(home)
    names = {each: getattr(scaledis, each) for each in MAKERS} | {"np": np, "dataset": tiny.dataset()}
    names |= {DOORS[name].__name__: DOORS[name]}
    if name == "train":
        names |= {"make_config": configs.make_config}
    test = doctest.DocTestParser().get_doctest(DOORS[name].__doc__, names, name, None, 0)
    assert test.examples
    assert not any(example.options for example in test.examples), "an example that is left out cannot be trusted"
    said = []
    assert not doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed, "".join(said)


def test_the_example_of_the_package_runs(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"\n\n((?:    .*\n|\n)+)\n", scaledis.__doc__)[1]
    code = textwrap.dedent(code).replace("sample(3000)", "sample(96)")
    found = {}
    exec(code, found)
    assert found["model"].step == 2 and found["codes"].mean.shape == (96, 3) and found["scores"]["mig/mig"] >= 0
    assert all(f"scaledis.{name}(" in code for name in ("load_dataset", "make_config", "train", "score"))


def test_every_door_opens_and_says_what_it_is():
    assert {*doors()} <= {*dir(scaledis)}
    assert all(getattr(scaledis, name).__doc__ for name in doors())
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        scaledis.trian  # noqa: B018


def test_the_metrics_need_no_jax_and_the_package_opens_no_door_by_itself():
    code = "import sys, scaledis.metrics; sys.exit('jax' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def small_configs(**overrides):
    return [tiny.config(method__name="vlae", train__steps=2, seed=seed, **overrides) for seed in (0, 1)]


def test_training_several_runs_in_a_notebook(tmp_path, capsys):
    logged = []
    configs = small_configs()
    models = scaledis.train(
        configs, tiny.dataset(), workdir=tmp_path / "both", callback=lambda step, terms: logged.append((step, terms))
    )
    assert [model.config for model in models] == configs and [model.step for model in models] == [2, 2]
    assert [step for step, _ in logged] == [2] and logged[0][1]["loss_nats"].shape == (2,)
    assert capsys.readouterr().err == ""  # the callback is in place of a line of progress
    images = tiny.dataset().images(np.arange(8))
    for model, seed in zip(models, (0, 1), strict=True):
        loaded = scaledis.load_run(tmp_path / "both", f"seed={seed}")
        np.testing.assert_array_equal(loaded.encode(images).mean, model.encode(images).mean)
    again = scaledis.train(configs, tiny.dataset(), workdir=tmp_path / "both")
    np.testing.assert_array_equal(again[1].encode(images).mean, models[1].encode(images).mean)
    one = scaledis.train(configs[0], tiny.dataset())  # without a directory nothing stays
    np.testing.assert_allclose(one[0].encode(images).mean, models[0].encode(images).mean, rtol=1e-3, atol=1e-5)


def test_what_training_refuses(tmp_path):
    config = small_configs()[0]
    with pytest.raises(UserError, match="configs: there are none"):
        scaledis.train([])
    with pytest.raises(UserError, match="configs: two are the same"):
        scaledis.train([config, config], tiny.dataset(), workdir=tmp_path)
    with pytest.raises(UserError, match="data.correlation: 'hue' is unknown"):
        correlated = tiny.config(data__correlation=(("hue", "place", 0.2),))
        scaledis.train(correlated, tiny.dataset(), workdir=tmp_path)
    assert not list(tmp_path.iterdir())  # refused before anything is written


def test_a_file_that_is_written_anew_is_read_anew(tmp_path, monkeypatch):
    """A notebook saves its images again under the same name, and trains on them."""
    path, seen = tmp_path / "mine.npz", []

    def train_population(runs, index, dataset, *args, **kwargs):
        seen.append(dataset.fingerprint)
        raise Stopped

    monkeypatch.setattr(engine, "train_population", train_population)
    for shift in (0, 1, 1):
        np.savez(path, images=np.roll(np.asarray(tiny.dataset().source), shift, axis=2))
        with pytest.raises(KeyboardInterrupt):
            scaledis.train(tiny.config(method__name="vlae", data__name="arrays", data__path=str(path)))
    assert seen[0] != seen[1] == seen[2]


def test_a_model_says_what_it_takes(tmp_path):
    [model] = scaledis.train(small_configs()[:1], tiny.dataset())
    with pytest.raises(UserError, match=r"images: float64 \[2, 16, 16, 3\]; this model encodes uint8 \[B, 16, 16, 3\]"):
        model.encode(np.zeros((2, 16, 16, 3)))
    with pytest.raises(UserError, match=r"codes: \[2, 4\]; this model decodes \[B, 3\]"):
        model.decode(np.zeros((2, 4)))
    decoded = model.decode(np.zeros((2, 3)))
    assert decoded.shape == (2, 16, 16, 3) and decoded.min() >= 0 and decoded.max() <= 1


def test_padding_of_a_population_is_not_seen(tmp_path):
    sizes = {"method__name": "vlae", "train__steps": 2}
    configs = [tiny.config(**sizes, model__allocation=allocation) for allocation in ((2, 1), (1, 3))]
    for model, config in zip(scaledis.train(configs, tiny.dataset()), configs, strict=True):
        codes = model.encode(tiny.dataset().images(np.arange(4)))
        units = sum(config.model.allocation)
        assert codes.mean.shape == codes.log_variance.shape == (4, units)
        assert np.bincount(codes.levels).tolist() == list(config.model.allocation)
        assert model.decode(codes.mean).shape == (4, 16, 16, 3)


@pytest.mark.parametrize("registry", REGISTRIES[:3], ids=lambda registry: registry.noun)
def test_methods_networks_and_estimators_come_in_by_entry_points(registry, monkeypatch):
    own = next(iter(registry.entries().items()))

    class Entry:
        value = "package.module:NAMES"

        def __init__(self, *named):
            self.named = named

        def load(self):
            return dict([self.named])

    def installed(*named):
        wanted = f"scaledis.{registry.noun}s"
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry(*named)] * (group == wanted))
        return dataclasses.replace(registry, registered={})

    assert installed("theirs", own[1]).choose("theirs") is own[1]
    with pytest.raises(UserError, match=f"{registry.key}: '{own[0]}' of the entry point package.module:NAMES is taken"):
        installed(*own).entries()
    with pytest.raises(UserError, match="entry point package.module:NAMES.*: 3 must be"):
        installed("theirs", 3).entries()


def test_scores_and_models_are_told_what_is_wrong_in_one_error():
    with pytest.raises(UserError):
        evaluate.score(np.zeros((3, 2)), np.zeros((4, 2), int))
    assert issubclass(UserError, ValueError) and engine.UserError is scaledis.UserError


def test_a_notebook_shows_one_short_line():
    config, codes = tiny.config(seed=3), np.zeros((4, 3), np.float32)
    model = Model(config, 6, None, None, None)
    found = evaluate.score(
        np.repeat(np.arange(3.0), 50)[:, None], np.repeat(np.arange(3), 50)[:, None], "mig", chance=0
    )
    words = "scale_vlae, 2-1 units, rendered, seed 3"
    shown = {
        "Dataset(tiny: 96 images of 16x16x3; factors ground 4, place 8, colour 3)": tiny.dataset(),
        "Dataset(tiny: 96 images of 16x16x3; no factors)": NAMELESS,
        f"Model({words}, step 6)": model,
        f"Run(seed=3: {words})": Run("seed=3", config),
        "Population(2 runs of scale_vlae, 2-1 units, rendered)": tiny.population([config, config], tiny.dataset()),
        "Codes(mean [4, 3], log_variance [4, 3], levels [3])": Codes(codes, codes, np.zeros(3, int)),
        f"Results(mig/mig 1.000; {len(found)} keys)": found,
        "Config(vlae, train.steps=4000, train.learning_rate=0.001)": dataclasses.replace(
            scaledis.make_config("vlae", {"train.steps": 4000}), model=Config().model, objective=Config().objective
        ),
    }
    for line, thing in shown.items():
        assert repr(thing) == line
    assert found == dict(found) and json.loads(json.dumps(found)) == found  # a dictionary like any other
