"""Configs: what can run, and one clear error for everything else, before anything compiles."""

import json
import math
import random
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from scaledis import config as config_schema
from scaledis import methods
from scaledis.config import Config
from scaledis.core.errors import UserError
from scaledis.core.values import literal
from scaledis.report import describe
from scaledis.sweeps import config_file
from scaledis.sweeps.configs import default, freeze, length_dependent, make_config, override
from scaledis.sweeps.expand import expand
from tests import tiny


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model__allocation": (4, 0)}, r"model.allocation: \(4, 0\)"),
        ({"model__allocation": (4, -1)}, r"model.allocation: \(4, -1\)"),
        ({"method__name": "beta_vae", "model__allocation": (4, 2)}, r"\(4, 2\) is for a ladder, and beta_vae is flat"),
        ({"method__name": "beta_vae", "model__allocation": (4,)}, r"has 4 units, but model.latents is 3"),
        ({"method__name": "factor_vae", "train__batch": 3}, "train.batch: 3 is too small for a discriminator"),
        ({"method__name": "dava", "train__batch": 2}, "train.batch: 2 is too small for a discriminator"),
        ({"objective__estimator": "density_ratio", "train__batch": 2}, "train.batch: 2 is too small"),
        ({"objective__bank": 0}, "objective.bank: 0"),
        ({"discriminator__layers": 0}, "discriminator.layers: 0"),
        ({"model__allocation": (2, 2, 2, 2, 2)}, "1 to 4 levels"),
        ({"model__latents": 10}, r"model.allocation: \(2, 1\) has 3 units, but model.latents is 10"),
        ({"model__channels": (4, 4)}, r"model.channels: \(4, 4\) must be 4 whole numbers"),
        ({"model__ladder_channels": (4, 4, 0)}, r"model.ladder_channels: \(4, 4, 0\) must be whole numbers from 1"),
        ({"method__name": "nvae", "model__channels": (4, 4)}, "model.channels: .* must be 4 whole numbers"),
        ({"method__name": "nvae", "model__network": "ladder"}, "'ladder' has no use; nvae has a network of its own"),
        ({"model__network": "lader"}, "model.network: 'lader' is unknown. Did you mean 'ladder'"),
        (
            {"model__injection": "maps"},
            "model.injection: 'maps' is unknown. Did you mean 'map'\\? Choices: map, vector",
        ),
        ({"method__name": "scale_vla"}, "method.name: 'scale_vla' is unknown. Did you mean 'scale_vlae'"),
        ({"method__name": "vlae", "method__beta": 4.0}, "method .vlae.: 'beta' is unknown"),
        ({"data__name": "render"}, "data.name: 'render' is unknown. Did you mean 'rendered'"),
        ({"objective__likelihood": "gausian"}, "objective.likelihood: 'gausian' .* Did you mean 'gaussian'"),
        ({"objective__estimator": "mws"}, "objective.estimator: 'mws' is unknown"),
        ({"objective__sigma": 0.0}, "objective.sigma: 0.0"),
        ({"objective__kl_warmup": -1.0}, "objective.kl_warmup: -1.0"),
        ({"evaluate__metrics": ("dci", "migg")}, "evaluate.metrics: 'migg' .* Did you mean 'mig'"),
        ({"evaluate__dci_backend": "lightgb"}, "evaluate.dci_backend: 'lightgb' .* Did you mean 'lightgbm'"),
        ({"schedule__beta": "cosin"}, "schedule.beta: 'cosin' is unknown. Did you mean 'cosine'"),
        ({"method__name": "vlae", "schedule__beta": "linear"}, "schedule.beta: 'linear' .*; vlae has no beta"),
        ({"method__name": "vae", "schedule__beta": "linear"}, "schedule.beta: 'linear' .*; vae has no beta"),
        (
            {"schedule__capacity": "cosine"},
            "schedule.capacity: 'cosine' has nothing to drive; scale_vlae has no capacity",
        ),
        (
            {"schedule__precision": "warmup", "objective__likelihood": "bernoulli"},
            "schedule.precision: 'warmup' has nothing to drive; .* objective.likelihood is bernoulli",
        ),
        ({"schedule__gamma": "warmup:-3"}, "schedule.gamma: 'warmup:-3' must be"),
        ({"train__steps": -1}, "train.steps: -1"),
        ({"train__batch": 0}, "train.batch: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"method__beta": "x"}, "method.beta: 'x' must be a finite number of at least 0"),
        ({"train__learning_rate": -1.0}, "train.learning_rate: -1.0"),
        ({"train__learning_rate": float("nan")}, "train.learning_rate: nan"),
        ({"train__learning_rate": "high"}, "train.learning_rate: 'high' must be a finite number above 0"),
        ({"train__steps": 10.5}, "train.steps: 10.5 must be a whole number from 1 to 2147483647"),
        ({"evaluate__split": "test"}, "evaluate.split: 'test' is unknown"),
        ({"train__steps": True}, "train.steps: True must be a whole number"),
        ({"train__steps": 2**32}, "train.steps: 4294967296 must be a whole number from 1 to 2147483647"),
        ({"seed": 10**59}, "seed: a number of about (59|60) digits must be"),
        ({"seed": 10**5000}, "seed: a number of about 5000 digits must be"),
        ({"method__beta": 10**5000}, "method.beta: a number of about 5000 digits must be"),
        ({"method__beta": (10**5000, 1.0)}, "method.beta: a tuple must be a finite number"),
        ({"objective__sigma": 1e39}, r"objective.sigma: 1e\+39 must be .* that a float32 can hold"),
        ({"objective__sigma": 1e-39}, "objective.sigma: 1e-39 must be .* that a float32 can hold"),
        ({"method__beta": 1e39}, r"method.beta: 1e\+39 must be .* that a float32 can hold"),
        ({"method__name": "beta_vae", "method__block": 3}, "'block' is unknown"),
        ({"schedule__capacity": "warmup:" + "9" * 25}, "schedule.capacity: 'warmup:9+' must be"),
        ({"train__batch": 10**7}, "train.batch: 10000000 is too large to be allocated"),
        ({"discriminator__layers": 300}, "discriminator.layers: 300 must be a whole number from 1 to 64"),
        ({"method__name": "vae", "model__latents": 10**4}, "model.latents: 10000 is too large"),
        ({"method__name": "beta_vae_hfs", "model__latents": 1}, "model.latents: 1; beta_vae_hfs needs 2 units or more"),
    ],
)
def test_what_cannot_run_is_one_clear_error(overrides, message):
    with pytest.raises(UserError, match=message):
        tiny.config(**{"model__network": "", **overrides})


def test_an_unknown_key_names_the_nearest():
    plain = tiny.plain()
    plain["train"]["stepz"] = 3
    with pytest.raises(ValueError, match="config.train: 'stepz' is unknown. Did you mean 'steps'"):
        freeze(plain)


def test_a_rung_and_a_pair_may_stand_alone_as_errors_show_them():
    with pytest.raises(UserError, match="need train.rungs, such as .* to choose one") as error:
        tiny.config(train__starts=3)
    shown = literal(re.search(r"such as (\(.*\)) to", str(error.value))[1])
    assert tiny.config(train__starts=3, train__rungs=shown).train.rungs == (shown,)
    assert tiny.config(data__correlation=["a", "b", 0.2]).data.correlation == (("a", "b", 0.2),)


def test_a_key_whose_value_is_a_dictionary_can_be_changed():
    config = override(tiny.plain(), {"data.held_out_by": {"shape": 1}})
    assert freeze(override(config, {"data.held_out_by": "shape", "data.held_out": 0.5})).data.held_out_by == "shape"
    with pytest.raises(UserError, match="key: 'data' is unknown"):
        override(config, {"data": {}})


def test_a_config_survives_json():
    config = tiny.config(method__beta=(2.0, 3.0))
    assert freeze(json.loads(json.dumps(config_schema.thaw(config)))) == config


def test_a_method_takes_its_own_defaults():
    assert tiny.config().method.hyperparameters == {"beta": 8.0, "gamma": 3.0, "alpha": 0.0}
    assert tiny.config(method__name="vlae").method.hyperparameters == {}


@pytest.mark.parametrize("name", methods.specs())
def test_every_method_runs_from_its_name_alone(name):
    plain = default().to_dict()
    plain["method"]["name"] = name
    config = freeze(plain)
    assert sum(config.model.allocation) == 10
    assert len(config.model.allocation) == (1 if methods.specs()[name].flat else 4)
    assert freeze(json.loads(json.dumps(config_schema.thaw(config)))) == config


def test_a_flag_of_names_may_be_one_string_with_commas():
    for given in ("dci,mig", ("dci,mig",), ["dci", "mig"], "dci, mig"):
        assert tiny.config(evaluate__metrics=given).evaluate.metrics == ("dci", "mig")


def test_make_config_checks_its_keys_by_their_dotted_names():
    config = make_config("vlae", {"train.steps": 7, "model.allocation": (3, 3, 4)})
    for method in ("vlae", "dava", "beta_tcvae"):  # as `scaledis train METHOD` trains it
        on_dsprites = {"data.name": "dsprites"}
        assert make_config(method) == freeze(config_file.load(f"configs/method.py:{method}")[0])
        assert make_config(method, on_dsprites) == freeze(config_file.load(f"configs/method.py:{method},dsprites")[0])
    assert (config.method.name, config.train.steps, config.model.allocation) == ("vlae", 7, (3, 3, 4))
    with pytest.raises(UserError, match="key: 'train.step' is unknown. Did you mean 'train.steps'"):
        make_config("vlae", {"train.step": 7})
    with pytest.raises(UserError, match="method: 'vlea' is unknown. Did you mean 'vlae'"):
        make_config("vlea")
    with pytest.raises(UserError, match="key: 'train' is unknown"):
        make_config("vlae", {"train": {"steps": 7}})


def test_what_changes_with_the_number_of_steps_is_known():
    assert length_dependent(tiny.config()) == []
    assert length_dependent(tiny.config(schedule__beta="warmup:100")) == []
    assert length_dependent(tiny.config(schedule__learning_rate="cosine")) == ["schedule.learning_rate"]
    assert length_dependent(tiny.config(method__name="pro_vlae")) == ["method.stage"]
    assert length_dependent(tiny.config(method__name="pro_vlae", method__stage=2, method__fade=0)) == []


STRANGE = [
    *(None, True, False, 0, 1, -1, 2, 3, 64, 4097, 10**7, 2**31 - 1, 2**31, 2**32, -(2**63), 10**59, 10**5000),
    *(0.0, -0.0, 0.5, 1.0, 1.5, -1.0, 1e-39, 1e39, 1e308, math.inf, -math.inf, math.nan),
    *("", " ", "x", "1", "None", "dci,mig", "auto", "~nosuchuser", "/", "\0", "constant", "cosine", "warmup:0"),
    *("warmup:" + "9" * 25, "warmup:\u0663", "gaussian", "vlae", "x" * 10**4, "\ud800", b"bytes", 1j),
    *((), (1,), (2, 1), (4, 2, 2, 2), (0,), (True,), (1.0, 2.0), ("a", "b", 0.2), (("a", "b", 0.2),), ((), ())),
    *([], [1, 2], [[1], [2]], {}, {"a": 1}, {1, 2}, object(), int, (10**5000,), ("mig", 3), ((("a",),),)),
]


def test_no_setting_of_any_key_gives_anything_but_a_config_or_one_clear_error():
    """Every key of the schema, and every hyperparameter, with values that a hand or a script may come up with."""
    rng, methods_of = random.Random(0), sorted(methods.specs())
    keys = list(config_schema.flatten(default().to_dict()))
    assert len(keys) > 55
    settings = [({key: rng.choice(STRANGE)}, rng.choice(methods_of)) for key in keys for _ in range(5)]
    settings += [
        ({key: rng.choice(STRANGE) for key in rng.sample(keys, 3)}, rng.choice(methods_of)) for _ in range(150)
    ]
    assert len(settings) > 400
    found = {Config: 0, UserError: 0}
    for changes, method in settings:
        try:
            config = freeze(override(default().to_dict(), {"method.name": method} | changes))
            assert freeze(json.loads(json.dumps(config_schema.thaw(config)))) == config
            found[type(config)] += 1
        except UserError as error:
            sentence = str(error)
            assert len(sentence) < 1000 and "\n" not in sentence, changes
            assert any(key.rpartition(".")[2] in sentence for key in changes), (changes, sentence)
            found[UserError] += 1
    assert min(found.values()) > 20, found


@pytest.mark.parametrize("wrong", [None, [], "x", 3, {"train": {}}, {"method": {"name": "vlae"}, "trian": {}}, {3: 4}])
def test_what_is_no_config_is_one_clear_error(wrong):
    with pytest.raises(UserError, match="config"):
        freeze(wrong)


def test_a_name_that_is_a_list_is_one_clear_error():
    with pytest.raises(UserError, match=r"method.name: \('vlae',\) is unknown"):
        freeze(tiny.plain() | {"method": {"name": ["vlae"]}})


PLAIN_AND_OTHERS = [
    (
        "train.steps",
        300000,
        [3e5, np.int32(300000), np.float32(3e5), np.array(300000), jnp.int32(300000), np.uint64(3e5)],
    ),
    ("seed", 3, [3.0, np.int8(3), np.array(3.0), jnp.uint32(3)]),
    ("train.learning_rate", 0.1, [np.float64(0.1), np.float32(0.1), jnp.float32(0.1), np.array(0.1, np.float32)]),
    ("objective.kl_warmup", 2.5, [np.float16(2.5), jnp.bfloat16(2.5), jnp.asarray(2.5)]),
    ("model.allocation", (3, 2), [[3, 2], [3.0, np.int64(2)], np.array([3, 2]), np.array([3.0, 2]), jnp.array([3, 2])]),
    (
        "method.beta",
        (0.1, 2.5),
        [[0.1, 2.5], np.array([0.1, 2.5]), np.array([0.1, 2.5], np.float32), [0.1, jnp.float32(2.5)]],
    ),
    ("data.path", "a/b", [Path("a/b"), np.str_("a/b"), np.array("a/b")]),
    ("data.scale", True, [np.bool_(True), np.array(True), jnp.bool_(True)]),
    ("evaluate.metrics", ("dci", "mig"), [["dci", "mig"], np.array(["dci", "mig"]), "dci,mig"]),
    ("data.correlation", (("a", "b", 0.2),), [[["a", "b", 0.2]], [("a", "b", np.float32(0.2))]]),
]


@pytest.mark.parametrize(("key", "plain", "others"), PLAIN_AND_OTHERS)
def test_a_value_of_numpy_jax_or_a_path_is_the_plain_one(key, plain, others):
    """The same config with the same types, as JSON, as one run of a sweep, and from a config file."""
    base = tiny.plain(data__name="arrays")

    def told(config):
        return repr(config), json.dumps(config_schema.thaw(config)), hash((config.data, config.model, config.train))

    expected = freeze(override(base, {key: plain}))
    [run] = expand(base, ["mine"], {"sweep_mine": lambda: [{key: plain}]})
    for other in others:
        found = freeze(override(base, {key: other}))
        assert found == expected and told(found) == told(expected), other
        [same] = expand(base, ["mine"], {"sweep_mine": lambda other=other: [{key: other}]})
        assert same.config == run.config
        assert same.name == run.name or isinstance(other, str)
        edited = tiny.config_dict(data__name="arrays")
        section, _, name = key.rpartition(".")
        setattr(edited[section] if section else edited, name, other)
        assert told(freeze(edited)) == told(expected)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.steps", True, "train.steps: True must be a whole number"),
        ("train.steps", np.bool_(True), "train.steps: True must be a whole number"),
        ("train.learning_rate", True, "train.learning_rate: True must be a finite number"),
        ("data.scale", 1, "data.scale: 1 must be True or False"),
        ("data.scale", np.int64(0), "data.scale: 0 must be True or False"),
        ("data.scale", "true", "data.scale: 'true' must be True or False"),
        ("train.steps", "3e5", "train.steps: '3e5' must be a whole number"),
        ("train.steps", np.float32(2.5), "train.steps: 2.5 must be a whole number"),
        ("train.steps", np.array([3, 4]), r"train.steps: \(3, 4\) must be a whole number"),
        ("train.learning_rate", np.complex64(1), r"train.learning_rate: \(1\+0j\) must be a finite number"),
        ("train.learning_rate", np.ma.masked, "train.learning_rate: None must be a finite number"),
        ("data.path", b"x", "data.path: b'x' must be text"),
    ],
)
def test_a_flag_is_no_number_and_text_is_neither(key, value, message):
    with pytest.raises(UserError, match=message):
        make_config("vlae", {key: value})


def test_arrays_that_look_alike_are_not_mistaken_for_each_other():
    """numpy writes both as 0.12345679."""
    rates = [np.array(0.123456789), np.array(0.123456791)]
    configs = [make_config("vlae", {"train.learning_rate": rate}) for rate in rates]
    assert [config.train.learning_rate for config in configs] == [0.123456789, 0.123456791]


def test_a_section_that_is_missing_has_its_defaults():
    plain = tiny.plain()
    del plain["evaluate"]
    assert freeze(plain).evaluate == config_schema.Evaluate()


def test_every_key_has_a_default_bounds_and_a_meaning_in_words():
    listed = {key.name: key for key in describe.keys()}
    schema = config_schema.flatten(config_schema.thaw(config_schema.Config()))
    assert listed.keys() == {key for key in schema if not key.startswith("method.") or key == "method.name"}
    assert all(key.bounds and key.about for key in listed.values())
    assert listed["train.batch"] == ("train.batch", "64", "a whole number from 2 to 2147483647", "images of a step")
    printed = describe.anything(describe.CONFIG, {})
    assert all(re.search(rf"--config.{name} .*{re.escape(key.about)}", printed) for name, key in listed.items())
    assert "train.learning_rate=0.001" in describe.method("vlae")  # a method's own default


def test_a_key_that_is_unknown_names_those_that_are_meant_and_those_of_its_section():
    def message(key):
        with pytest.raises(UserError) as error:
            make_config("vae", {key: 1})
        return str(error.value)

    rates = "'train.learning_rate' or 'schedule.learning_rate' or 'discriminator.learning_rate'"
    assert f"'lr' is unknown. Did you mean {rates}? Sections: data, discriminator" in message("lr")
    assert f"Did you mean {rates}? Keys of train: activations, batch," in message("train.lr")
    assert "Did you mean 'discriminator.learning_rate' or" in message("discriminator.lr")
    assert "Did you mean 'train.batch'?" in message("batch_size")
    assert "train.steps" not in message("data.rezolution") and "`scaledis describe config`" in message("x")
