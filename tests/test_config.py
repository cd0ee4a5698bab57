import json

import pytest

from scaledis import experiment, methods, sweep
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
        ({"model__channels": (4, 4)}, "model.channels"),
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
        ({"schedule__gamma": "warmup:-3"}, "schedule.gamma: 'warmup:-3' must be"),
        ({"train__steps": -1}, "train.steps: -1"),
        ({"train__batch": 0}, "train.batch: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"method__beta": "x"}, "method.beta: x must be a finite number of at least 0"),
        ({"train__learning_rate": -1.0}, "train.learning_rate: -1.0"),
        ({"train__learning_rate": float("nan")}, "train.learning_rate: nan"),
        ({"train__learning_rate": "high"}, "train.learning_rate: 'high' must be a finite number above 0"),
        ({"train__steps": 10.5}, "train.steps: 10.5 must be a whole number of at least 1"),
        ({"evaluate__split": "test"}, "evaluate.split: 'test' is unknown"),
    ],
)
def test_what_cannot_run_is_one_clear_error(overrides, message):
    with pytest.raises(ValueError, match=message):
        tiny.config(**overrides)


def test_an_unknown_key_names_the_nearest():
    plain = tiny.plain()
    plain["train"]["stepz"] = 3
    with pytest.raises(ValueError, match="config.train: 'stepz' is unknown. Did you mean 'steps'"):
        experiment.freeze(plain)


def test_a_config_survives_json():
    config = tiny.config(method__beta=(2.0, 3.0))
    assert experiment.freeze(json.loads(json.dumps(config_schema.thaw(config)))) == config


def test_a_method_takes_its_own_defaults():
    assert tiny.config().state.hyperparameters == {"beta": 8.0, "gamma": 3.0, "alpha": 0.0}
    assert tiny.config(method__name="vlae").state.hyperparameters == {}


@pytest.mark.parametrize("name", methods.specs())
def test_every_method_runs_from_its_name_alone(name):
    plain = experiment.default().to_dict()
    plain["method"]["name"] = name
    config = experiment.freeze(plain)
    assert sum(config.model.allocation) == 10
    assert len(config.model.allocation) == (1 if methods.specs()[name].flat else 4)
    assert experiment.freeze(json.loads(json.dumps(config_schema.thaw(config)))) == config


def test_a_sweep_is_a_product_of_named_generators():
    members = sweep.expand(tiny.plain(), ["regularizers", "seeds"])
    assert len(members) == 20
    assert members[0].name == "vlae,seed=0" and members[0].config.method.name == "vlae"
    assert members[-1].name == "scale_vlae,seed=4"
    assert len({member.name for member in members}) == 20
    with pytest.raises(ValueError, match="--sweep: 'seed' is unknown. Did you mean 'seeds'"):
        sweep.expand(tiny.plain(), ["seed"])


def test_no_sweep_is_a_sweep_of_one_run():
    assert [member.name for member in sweep.expand(tiny.plain(), [])] == ["run"]


def test_sweep_overrides_are_checked():
    with pytest.raises(ValueError, match="sweep key: 'train.stepz' is unknown. Did you mean 'train.steps'"):
        sweep.applied(tiny.plain(), {"train.stepz": 3})
    with pytest.raises(ValueError, match="sweep key: 'trian' is unknown"):
        sweep.applied(tiny.plain(), {"trian.steps": 3})


def test_runs_that_share_a_program_are_planned_together():
    plain = tiny.plain()
    plain["model"]["allocation"] = (4, 2, 2, 2)
    members = sweep.expand(plain, ["allocations"])
    plan = sweep.plan(members, parallel=2)
    assert [len(group) for group in plan] == [2, 1, 2, 1, 2, 1]
    assert [name for group in plan for name in group] == [member.name for member in members]
