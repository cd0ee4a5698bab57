"""Whatever is found by name keeps its contract; a new method, data set, metric or sweep is covered without an edit."""

import functools
import importlib
import inspect
import re
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from scaledis import datasets, methods, metrics, networks
from scaledis.core.errors import UserError
from scaledis.methods import estimators
from scaledis.metrics import of_models
from scaledis.objectives import partition
from scaledis.report import describe
from scaledis.sweeps.configs import default, freeze, make_config
from scaledis.sweeps.expand import available, expand
from scaledis.training import population
from scaledis.types import Batch, ImageSpec, Posterior
from tests import tiny

DATASET = tiny.dataset()
SPEC = ImageSpec(DATASET.image_shape, DATASET.size)
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize("name", methods.specs())
def test_method(name):
    config = tiny.config(method__name=name)
    spec = methods.specs()[name]
    assert spec.about and spec.build.__doc__ and re.search(r"^    +[RL] = ", spec.equation, re.MULTILINE)
    assert re.search(r"\b(19|20)\d\d\b|Beyond Flat Latent", spec.equation)
    assert all(hyperparameter.about for hyperparameter in spec.hyperparameters.values())
    method = tiny.population([config], DATASET).program.method
    hyperparameters = population.hyperparameters(config, config.model.allocation)
    key, images = jax.random.key(0), jax.ShapeDtypeStruct((8, *DATASET.image_shape), np.uint8)
    batch = Batch(images, jax.ShapeDtypeStruct((8,), np.int32))
    state = jax.eval_shape(method.init, key, hyperparameters)  # shapes alone: tests/methods runs every method
    after, terms = jax.eval_shape(method.update, state, batch, key)
    # Weak types too: a state of another type than the one before it would be compiled for again.
    before, after = (
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), each) for each in (state, after)
    )
    assert before == after
    assert all(term.shape == () for term in terms.values())
    assert {"loss_nats", "reconstruction_nats", "kl_nats"} <= terms.keys()
    codes = jax.eval_shape(lambda state, images: method.encode(state, images)[:2], state, images)
    assert [code.shape for code in codes] == [(8, 3), (8, 3)]
    assert jax.eval_shape(method.decode, state, codes[0]).shape == images.shape


@pytest.mark.parametrize("name", metrics.names())
def test_metric(name):
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 3, (90, 2))
    codes = np.concatenate([factors + 0.1 * rng.normal(size=(90, 2)), rng.normal(size=(90, 1))], axis=1)
    scores = metrics.compute([name], codes, factors, seed=1, chance=1)
    assert scores and scores == metrics.compute([name], codes, factors, seed=1, chance=1)
    assert all(key.startswith(f"{name}/") for key in scores)
    assert all(not isinstance(value, np.generic) for value in scores.values())


@pytest.mark.parametrize("name", of_models.names())
def test_metric_of_models(name):
    metric = importlib.import_module(f"scaledis.metrics.of_models.{name}")
    given = list(inspect.signature(metric.compute).parameters.values())
    assert [each.name for each in given[:5]] == ["model", "dataset", "index", "codes", "seed"]
    assert all(each.kind == inspect.Parameter.KEYWORD_ONLY for each in given[5:])
    assert {"Args:", "Returns:"} <= set(metric.compute.__doc__.split()) and metric.__doc__
    assert make_config("vlae", {"evaluate.metrics": (name,)}).evaluate.metrics == (name,)
    assert name in describe.everything({}) and "model, dataset, index, codes: " in describe.anything(name, {})


@pytest.mark.parametrize("name", datasets.names())
def test_dataset(name):
    load = importlib.import_module(f"scaledis.datasets.{name}").load
    assert load.__doc__ and next(iter(inspect.signature(load).parameters)) == "directory"


def test_dataset_index_and_factors_are_inverse():
    index = np.arange(DATASET.size)
    np.testing.assert_array_equal(DATASET.index(DATASET.factors(index)), index)
    np.testing.assert_array_equal(DATASET.factors([1, 3]), [[0, 0, 1], [0, 1, 0]])  # the last factor varies fastest
    with pytest.raises(UserError, match=r"factors: .* outside .* tiny, which has \(4, 8, 3\) values"):
        DATASET.index([[4, 0, 0]])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_and_its_sweeps_can_run(path):
    module = runpy.run_path(str(path))
    assert module["__doc__"] and f"configs/{path.name}" in module["__doc__"]
    base = module["get_config"]().to_dict()
    freeze(base)
    ladder = base | {section: default().to_dict()[section] for section in ("method", "model")}
    for name in available(module):
        own = f"sweep_{name}" in module
        assert expand(base if own else ladder, [name], module)  # shared ones need a ladder


@pytest.mark.parametrize("name", networks.specs())
def test_network(name):
    """Contract by shapes, the batch innermost."""
    network = networks.make(tiny.config(model__network=name), SPEC)
    pixels, there = jax.ShapeDtypeStruct((3, 16, 16, 5), np.float32), np.ones(2, np.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), pixels)
    codes = jax.eval_shape(functools.partial(network.apply, method="encode"), params, pixels, there)
    assert [code.shape for code in codes] == [(3, 5), (3, 5)]
    output = jax.eval_shape(functools.partial(network.apply, method="decode"), params, codes[0], there)
    assert output.shape == pixels.shape
    assert inspect.getdoc(networks.choose(name).make)


@pytest.mark.parametrize("name", estimators.specs())
def test_estimator(name):
    """Contract by shapes: what is carried keeps its structure, and every group has a density for every code."""
    config = tiny.config(objective__estimator=name)
    batch, parts = config.train.batch, partition.levels(config.model.allocation)
    estimator = estimators.make(name, config, SPEC)
    key = jax.random.key(0)
    codes = jax.ShapeDtypeStruct((batch, 3), np.float32)
    posterior = Posterior(codes, codes, codes, parts, jax.ShapeDtypeStruct((batch,), np.int32))
    extra = jax.eval_shape(estimator.init, key, parts)
    densities = jax.eval_shape(estimator.log_density, extra, posterior, parts)
    assert densities.shape == (batch, len(partition.membership(parts)))
    after, terms = jax.eval_shape(estimator.update, extra, posterior, parts, key)
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), each) for each in (extra, after)]
    assert shapes[0] == shapes[1] and all(term.shape == () for term in terms.values())
    assert inspect.getdoc(estimators.choose(name).make)


def test_every_method_has_published_settings_for_3dshapes():
    get_config = runpy.run_path(str(CONFIGS[0].parent / "3dshapes.py"))["get_config"]
    for name in methods.specs():
        assert freeze(get_config(name)).method.name == name
