"""Wrong arguments: a door with a wrong value for any of its arguments works or raises UserError, and never compiles."""

import dataclasses
import inspect
import math
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import scaledis
import tests
from scaledis import methods, networks
from scaledis.core import kinds
from scaledis.core.errors import UserError
from scaledis.datasets import rendered
from scaledis.methods import Hyperparameter, estimators
from scaledis.methods.estimators.minibatch import make_weighted
from scaledis.models import DEFAULT
from scaledis.networks.ladder import make_ladder
from scaledis.search import criteria
from scaledis.training import engine
from tests import linear, tiny

ARGUMENTS = {
    "make_config": ["method", "overrides"],
    "train": ["configs", "dataset", "workdir", "init_from", "callback", "extend", "restart"],
    "tune": [
        *("config", "space", "objective", "trials", "seeds", "dataset", "workdir"),
        *("sampler", "seed", "batch", "halving"),
    ],
    "load_run": ["workdir", "name", "step"],
    "load_results": ["workdirs"],
    "register_method": [
        *("name", "build", "equation", "hyperparameters", "flat"),
        *("about", "network", "arrays", "check", "same_as", "program", "shares", "widens", "settings"),
    ],
    "register_network": ["name", "make", "check", "pads"],
    "register_estimator": ["name", "make", "check"],
    "register_criterion": ["name", "measure", "together"],
    "load_dataset": [
        *("name", "directory", "path", "download"),
        *("resolution", "scale", "folder_factor", "skip_unreadable", "accept_checksum"),
    ],
    "score": [
        *("codes", "factors", "metrics", "seed", "mig"),
        *("protocol", "rows", "n_bootstrap", "chance", "groups", "levels", "log_variances", "kinds", "missing"),
    ],
    "load_model": ["path"],
    "load_exported": ["path"],
    "from_pretrained": ["place", "revision"],
    "align": ["runs", "images", "seed"],
    "compare": ["results", "score", "by", "against", "counts", "level"],
    "prepare_jax": [],
    "encode": ["images"],
    "decode": ["codes"],
}


def values():
    """Wrong ones for most arguments, right ones for some; new at every call, since one of them is an iterator."""
    yield from (None, True, 0, 3, -1, 10**40, 1.5, math.nan, -math.inf, 1j)
    yield from ("", "abc", "a\0b", "\ud800", "~nosuchuser/x", b"x", Path("abc"))
    yield from ([], [None], [[1], [2]], (), {}, {"a": 1}, {3: 4}, {1, 2}, range(3), iter([3]))
    yield from (np.float32(2.5), np.int64(3), np.zeros(3), np.zeros((2, 2)), np.array([None, "x"]))
    yield from (object(), print, np, lambda: None, lambda one: None, lambda one, two: None)


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    """{door: (function, arguments that it takes)}."""
    old = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(Path(__file__).with_name("workdir_0.2.0.zip")) as archive:
        archive.extractall(old)
    config, images = tiny.config(method__name="vlae"), tiny.dataset()
    searched = {"config": config, "space": {"train.learning_rate": "log:1e-4..1e-3"}, "objective": "kl_nats:min"}
    model = scaledis.load_run(old, "vlae")
    codes = np.random.default_rng(0).normal(size=(60, 2))
    table = pandas.DataFrame({"method.name": ["a", "b"], "seed": [0, 0], "mig/mig": [0.1, 0.2]})
    return {
        "make_config": (scaledis.make_config, {}),
        "train": (scaledis.train, {"configs": config, "dataset": images}),
        "tune": (scaledis.tune, {**searched, "dataset": images, "trials": 1}),
        "load_run": (scaledis.load_run, {"workdir": old, "name": "vlae"}),
        "load_results": (scaledis.load_results, {}),
        "register_method": (use, {"name": "mine", "build": linear.build, "equation": "L = 0"}),
        "register_network": (use_network, {"name": "mine", "make": make_ladder}),
        "register_estimator": (use_estimator, {"name": "mine", "make": make_weighted}),
        "register_criterion": (use_criterion, {"name": "mine", "measure": lambda one: 0.0}),
        "load_dataset": (scaledis.load_dataset, {"name": "rendered"}),
        "score": (scaledis.score, {"codes": codes, "factors": codes > 0, "metrics": ["mig"]}),
        "load_model": (scaledis.load_model, {}),
        "load_exported": (scaledis.load_exported, {}),
        "from_pretrained": (scaledis.from_pretrained, {"place": DEFAULT}),
        "align": (scaledis.align, {"runs": [codes, codes]}),
        "compare": (scaledis.compare, {"results": table, "score": "mig/mig"}),
        "encode": (model.encode, {}),
        "decode": (model.decode, {}),
    }


def use(name, *args, **more):
    """Registers a method and trains with it: what the first takes the second must not trip over."""
    scaledis.register_method(name, *args, **more)
    scaledis.train(scaledis.make_config(name), tiny.dataset())


def use_network(name, *args, **more):
    scaledis.register_network(name, *args, **more)
    scaledis.train(tiny.config(method__name="vlae", model__network=name), tiny.dataset())


def use_estimator(name, *args, **more):
    scaledis.register_estimator(name, *args, **more)
    scaledis.train(tiny.config(objective__estimator=name), tiny.dataset())


def use_criterion(name, *args, **more):
    scaledis.register_criterion(name, *args, **more)
    rungs = ((0.5, 1, name, "max"),)
    scaledis.train(tiny.config(method__name="vlae", train__starts=2, train__rungs=rungs), tiny.dataset())


def test_the_walk_knows_every_door_and_every_argument():
    found = [name for name in tests.doors() if name.islower()]
    assert {*ARGUMENTS} == {*found, "encode", "decode"}
    for name in found:
        kinds = inspect.signature(getattr(scaledis, name)).parameters.values()
        named = {each.name for each in kinds if each.kind is not inspect.Parameter.VAR_KEYWORD}
        assert named <= {*ARGUMENTS[name]}, name
    assert len([*values()]) * sum(map(len, ARGUMENTS.values())) > 1000


class Reached(Exception):
    """Training would begin."""


@pytest.mark.parametrize(("door", "argument"), [(door, each) for door, some in ARGUMENTS.items() for each in some])
def test_a_wrong_argument_is_one_clear_error(door, argument, doors, monkeypatch, tmp_path):
    def train_population(*_, **__):
        raise Reached  # before anything compiles

    monkeypatch.setattr(engine, "train_population", train_population)
    monkeypatch.setattr(rendered, "load", lambda *_: tiny.dataset())
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # tests stay off the network
    for registry in (methods.REGISTRY, networks.REGISTRY, estimators.REGISTRY, criteria.REGISTRY):
        monkeypatch.setattr(registry, "registered", {**registry.registered})
    monkeypatch.chdir(tmp_path)
    (call, right), raw = doors[door], {}
    for value in values():
        try:
            call(**{**right, argument: value})
        except Reached:
            pass
        except UserError as error:
            sentence = str(error)
            assert "\n" not in sentence and len(sentence) < 2000, sentence
            assert argument.rstrip("s") in sentence or sentence.startswith("key: "), (value, sentence)
        except Exception as error:
            raw[repr(value)] = f"{type(error).__name__}: {error}"
    assert not raw


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "none", "build": lambda config, images: None}, "build of none: None must be a Method"),
        (
            {"name": "pair", "build": lambda config, images: (1, 2, 3, 4)},
            r"build of pair: \(1, 2, 3, 4\) must be a Method",
        ),
        (
            {"name": "length", "build": lambda config, images: linear.build(config, images)._replace(decode=len)},
            "build of length: decode: <built-in function len> must be a function of 2 arguments",
        ),
        ({"build": lambda config: None}, "build: <function .* must be a function of 2 arguments"),
        ({"arrays": lambda config: None}, "arrays of mine: None must be a dictionary"),
        ({"hyperparameters": {"a": 1.0}}, r"hyperparameters\['a'\]: 1.0 must be a Hyperparameter"),
        ({"hyperparameters": {"a": Hyperparameter(1.0, "it", lowest="b")}}, r"\['a'\].lowest: 'b' must be a number"),
        ({"hyperparameters": {"a": Hyperparameter("b", "it")}}, "method.a: 'b' must be a finite number"),
        ({"program": "vae"}, "program: 'vae' is unknown. Choices: none"),
        ({"same_as": {"vea": {"beta": 1.0}}}, "same_as: 'vea' is unknown. Did you mean 'vae'"),
        ({"same_as": {"beta_vae": {"bta": 1.0}}}, r"same_as\['beta_vae'\]: 'bta' is unknown. Did you mean 'beta'"),
        ({"shares": ("stage",)}, "shares: 'stage' is unknown. Choices: none"),
        ({"shaers": ()}, "register_method: 'shaers' is unknown. Did you mean 'shares'"),
    ],
)
def test_a_method_is_checked_before_it_compiles(more, message, doors, monkeypatch):
    monkeypatch.setattr(methods.REGISTRY, "registered", {})
    monkeypatch.setattr(engine, "train_population", None)
    with pytest.raises(UserError, match=message):
        use(**{**doors["register_method"][1], **more})


def replaced(section, **fields):
    config = tiny.config(method__name="vlae")
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **fields)})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: replaced("train", steps="3"), "train.steps: '3' must be a whole number"),
        (lambda: replaced("train", batch=0), "train.batch: 0 must be a whole number from 2"),
        (lambda: replaced("train", learning_rate=math.nan), "train.learning_rate: nan must be a finite number"),
        (lambda: replaced("method", hyperparameters=None), "config.method.hyperparameters: None must be a dictionary"),
        (lambda: dataclasses.replace(tiny.config(), train=None), "config.train: None must be a Train"),
        (lambda: [tiny.config(), None], r"configs\[1\]: None must be a Config"),
    ],
)
def test_a_config_is_checked_again_where_it_trains(config, message, tmp_path):
    with pytest.raises(UserError, match=message):
        scaledis.train(config(), tiny.dataset(), workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_call_with_other_arguments_is_one_clear_error():
    with pytest.raises(UserError, match="train: got an unexpected keyword argument 'callbak'; it takes configs, data"):
        scaledis.train(tiny.config(), callbak=print)
    with pytest.raises(UserError, match="load_run: missing a required argument: 'workdir'"):
        scaledis.load_run()


def test_an_iterator_is_a_list_and_an_array_of_one_number_a_number():
    @kinds.checked
    def echo(many: Iterable[int | float], count: int = 0, yes: bool = False) -> Any:
        return many, count, yes

    assert echo(iter((1, 2.5))) == ([1, 2.5], 0, False)
    for one in (np.int16(3), np.array(3), jnp.int32(3)):
        assert [type(each) for each in echo((1,), one, np.bool_(True))[1:]] == [int, bool]
        assert echo((1,), one)[1] == 3
    for wrong in (True, 3.5, np.float32(3), "3", np.bool_(True)):
        with pytest.raises(UserError, match="count: .* must be a whole number"):
            echo((), wrong)
