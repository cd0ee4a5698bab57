"""What a method says of itself: names that are free, settings that exist."""

import dataclasses

import numpy as np
import pytest

from scaledis import datasets, methods
from scaledis.core.errors import UserError
from scaledis.methods import estimators
from scaledis.methods.base.spec import RESERVED, Hyperparameter, MethodSpec
from scaledis.methods.beta_vae import build
from scaledis.methods.estimators.minibatch import make_weighted
from scaledis.sweeps.configs import make_config
from scaledis.training.population import hyperparameters
from tests import tiny
from tests.methods import IMAGES


def make_spec(name, **more):
    return MethodSpec(
        build, "R = KL", about="an example.", hyperparameters={name: Hyperparameter(1.0, "a weight")}, **more
    )


def test_what_every_run_carries_is_reserved():
    """Whatever a run has beside the method's own arrays, and what a step adds to them."""
    run = tiny.config(method__name="nvae")
    carried = set(hyperparameters(run, run.model.allocation)) - set(run.method.hyperparameters)
    assert carried | {"kl_weight", "presence"} == set(RESERVED)


@pytest.mark.parametrize("name", [*RESERVED, "name"])
def test_a_hyperparameter_of_a_reserved_name_is_an_error_where_the_method_is_defined(name):
    with pytest.raises(UserError, match=f"hyperparameter: '{name}' cannot be the name of a method's own"):
        make_spec(name)
    with pytest.raises(UserError, match=f"hyperparameter: '{name}' cannot be the name of a method's own"):
        methods.register_method(
            "mine", build, equation="R = KL", hyperparameters={name: Hyperparameter(1.0, "a weight")}
        )
    assert "mine" not in methods.specs()


@pytest.mark.parametrize("name", ["Beta", "2nd", "beta weight", "beta.1", ""])
def test_a_hyperparameter_is_a_lower_case_word(name):
    with pytest.raises(UserError, match="it must be a lower-case word"):
        make_spec(name)
    assert make_spec("beta_2").hyperparameters.keys() == {"beta_2"}


@pytest.mark.parametrize("name", RESERVED)
def test_an_array_of_a_reserved_name_is_an_error_too(name, registered):
    registered("mine", build, equation="R = KL", arrays=lambda config: {name: np.float32(7)})
    with pytest.raises(UserError, match=f"arrays: '{name}' of mine is the name of what every run carries"):
        make_config("mine")


@pytest.mark.parametrize("name", ["scale_vlae", "vae"])
def test_a_name_that_is_taken_is_an_error(name):
    with pytest.raises(UserError, match=f"name: '{name}' is among the methods of scaledis or of an installed package"):
        methods.register_method(name, build, equation="R = KL")


@pytest.mark.parametrize("name", ["Sparse", "sparse-vae", "2vae", ""])
def test_a_method_is_a_lower_case_word(name):
    with pytest.raises(UserError, match="must be a lower-case word, such as my_method"):
        methods.register_method(name, build, equation="R = KL")


def test_every_method_has_settings_and_every_setting_is_a_key_that_can_run():
    names = set(datasets.names())
    for name, spec in methods.specs().items():
        assert spec.settings.get(""), name
        assert set(spec.settings) - {""} <= names, name
        for dataset in names:
            settings = spec.settings_for(dataset)
            config = make_config(name, {"data.name": dataset, **settings})
            assert config.method.name == name and settings.keys() >= spec.settings[""].keys()
            for key, value in settings.items():
                section, _, last = key.rpartition(".")
                held = getattr(config, section)
                found = held.hyperparameters[last] if section == "method" else getattr(held, last)
                assert found == value, f"{name}: {key}"


def test_a_data_sets_own_settings_win_over_those_for_all():
    spec = methods.choose("beta_stcvae")
    assert spec.settings_for("shapes3d")["model.latents"] == 16 and spec.settings_for("dsprites")["model.latents"] == 8
    assert spec.settings_for("dsprites")["train.learning_rate"] == spec.settings_for("shapes3d")["train.learning_rate"]


def test_a_check_sees_every_config_before_anything_compiles(registered):
    def no_seed_seven(config):
        if config.seed == 7:
            raise UserError("seed: 7 is not for mine.")

    registered("mine", build, equation="R = KL", check=no_seed_seven)
    assert make_config("mine", {"seed": 6}).seed == 6
    with pytest.raises(UserError, match="seed: 7 is not for mine"):
        make_config("mine", {"seed": 7})


@pytest.mark.parametrize("name", methods.specs())
def test_an_estimator_is_refused_exactly_where_the_method_reads_none(name, monkeypatch):
    made = []
    monkeypatch.setattr(estimators.REGISTRY, "registered", {})
    estimators.register_estimator("mine", lambda config, images: made.append(name) or make_weighted(config, images))
    config = tiny.config(method__name=name)
    asked = dataclasses.replace(config, objective=dataclasses.replace(config.objective, estimator="mine"))
    methods.build(asked, IMAGES)
    if made:
        assert tiny.config(method__name=name, objective__estimator="mine") == asked
        return
    with pytest.raises(UserError, match=f"objective.estimator: 'mine' has no use; {name} .* at minibatch_weighted"):
        tiny.config(method__name=name, objective__estimator="mine")
