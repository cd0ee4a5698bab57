"""Runs that start from the parameters of a trained model, on other images and with other weights."""

import jax
import numpy as np
import pytest

import scaledis
from scaledis.core.errors import UserError
from tests import assert_same, tiny

DATA = tiny.dataset()
STILL = {"train__learning_rate": 1e-30, "train__steps": 1}  # a step that moves no parameter


@pytest.fixture(scope="module")
def model():
    [trained] = scaledis.train(tiny.config(train__steps=4), DATA)
    return trained


@pytest.fixture
def saved(model, tmp_path):
    model.save(tmp_path / "mine")
    return tmp_path / "mine"


def test_all_runs_start_from_the_parameters_and_nothing_else(model, saved):
    configs = [tiny.config(**STILL, seed=seed, method__beta=beta) for seed, beta in ((3, 1.0), (4, 8.0))]
    for source in (saved, str(saved)):
        for tuned in scaledis.train(configs, DATA, init_from=source):
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), tuned.state.params, model.state.params
            )
            assert tuned.step == 1 and tuned.config.train.init_from == str(saved)
    fresh = scaledis.train(configs[0], DATA)[0]
    assert not np.array_equal(*(jax.tree.leaves(each.state.params)[-1] for each in (fresh, model)))


def test_a_model_is_saved_under_its_checksum_and_training_goes_on_from_its_own_checkpoint(model, tmp_path):
    config = tiny.config(train__steps=2, data__directory=str(tmp_path / "cache"))
    [tuned] = scaledis.train(config, DATA, workdir=tmp_path / "runs", init_from=model)
    [folder] = (tmp_path / "cache" / "models").iterdir()
    assert tuned.config.train.init_from == str(folder)
    assert_same(scaledis.load_model(folder).state.params, model.state.params)
    longer = tiny.config(train__steps=4, data__directory=str(tmp_path / "cache"))
    [whole] = scaledis.train(longer, DATA, init_from=model)
    [resumed] = scaledis.train(longer, DATA, workdir=tmp_path / "runs", init_from=model)
    assert_same(resumed.state.params, whole.state.params)
    with pytest.raises(UserError, match="train.init_from is .* there and '' here"):
        scaledis.train(longer, DATA, workdir=tmp_path / "runs")


def test_other_networks_and_folders_without_a_model_are_sentences(saved, tmp_path):
    for settings, source, message in (
        (
            {"model__allocation": (2, 2)},
            saved,
            "train.init_from: the parameters of .*mine are of another network: .* is",
        ),
        ({"model__parameters": 9000}, saved, "of another network: .* there and .* in these 1 runs; `scaledis extract`"),
        ({}, tmp_path / "none", "none/model.json"),
        ({"train__init_from": 3}, None, "train.init_from: 3 must be text"),
    ):
        with pytest.raises(UserError, match=message):
            scaledis.train(tiny.config(**settings), DATA, init_from=source)
