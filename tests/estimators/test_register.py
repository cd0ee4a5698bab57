"""An estimator that is not in the package: the example of docs/extending.md trains, and is right on Gaussian codes."""

import numpy as np
import pytest

import scaledis
from scaledis.core.errors import UserError
from scaledis.methods import estimators
from scaledis.methods.estimators.minibatch import make_weighted
from tests import assert_same, example_of, tiny
from tests.estimators import ACROSS, WITHIN, estimate

DATASET = tiny.dataset()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The estimator `moments` of the documentation, gone after the test."""
    monkeypatch.setattr(estimators.REGISTRY, "registered", {})
    exec(compile(example_of("An estimator"), "extending.md", "exec"), {"__name__": "extending"})  # noqa: S102


def test_it_agrees_with_the_closed_form():
    np.testing.assert_allclose(estimate("moments", 1024), [WITHIN, ACROSS], atol=0.03)


def test_it_trains_with_padding_and_loads(tmp_path):
    settings = {"objective__estimator": "moments", "train__steps": 4, "train__batch": 16, "objective__kl_warmup": 0.0}
    configs = [tiny.config(**settings, model__allocation=allocation) for allocation in ((2, 1), (1, 3))]
    models = scaledis.train(configs, DATASET, workdir=tmp_path, callback=lambda step, terms: None)
    assert [model.step for model in models] == [4, 4]  # frozen at a term that is not finite
    name = next(path.name for path in (tmp_path / "runs").iterdir() if "2" in path.name)
    loaded = scaledis.load_run(tmp_path, name)
    assert loaded.config in configs
    assert_same(loaded.state, models[configs.index(loaded.config)].state)


def test_what_is_no_estimator_is_one_sentence():
    def refuse(config):
        raise UserError("train.batch: it is not for picky.")

    scaledis.register_estimator("nothing", lambda config, images: None)
    scaledis.register_estimator("picky", make_weighted, check=refuse)
    with pytest.raises(UserError, match="make of nothing: None must be an Estimator"):
        scaledis.train(tiny.config(objective__estimator="nothing"), DATASET)
    with pytest.raises(UserError, match="train.batch: it is not for picky"):
        tiny.config(objective__estimator="picky")
    with pytest.raises(UserError, match="name: 'memory_bank' is among the estimators of scaledis"):
        scaledis.register_estimator("memory_bank", make_weighted)
