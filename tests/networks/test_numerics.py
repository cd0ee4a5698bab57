"""Number formats: which products of a step have which, and what training in short ones does to the loss."""

import re
from collections import Counter

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.precision import emulated
from scaledis.core.errors import UserError
from scaledis.methods import estimators
from scaledis.networks import numerics
from scaledis.objectives import partition
from scaledis.objectives.likelihood import LIKELIHOODS
from scaledis.types import ImageSpec, Posterior
from tests import tiny

DATASET = tiny.dataset()


def products(**settings):
    """The products of a step's program by (precision, format of both operands, format of the result), counted."""
    population = tiny.population([tiny.config(**settings)], DATASET)
    text = population.make_advance(DATASET).lower(population.shapes).as_text()
    lines = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    named = [re.search(r"precision = \[(\w+), (\w+)\]", line) for line in lines]
    formats = [re.findall(r"tensor<(?:\d+x)*(\w+)>", line.split(" : ")[-1]) for line in lines]
    assert all(found and found[1] == found[2] for found in named if found)
    return Counter((found[1] if found else "DEFAULT", *kinds) for found, kinds in zip(named, formats, strict=True))


@pytest.mark.parametrize("method", ("scale_vlae", "factor_vae", "nvae", "dip_vae_i"))
def test_only_the_products_of_networks_are_shortened(method):
    whole, words = products(method__name=method), {"method__name": method, "train__matmul_precision": "tf32"}
    assert set(whole) == {("HIGHEST", "f32", "f32", "f32")}
    short = products(**words)
    assert set(short) <= {("HIGHEST", "f32", "f32", "f32"), ("HIGH", "f32", "f32", "f32")}
    assert sum(short.values()) == sum(whole.values())
    held = products(**words, train__activations="bfloat16")
    assert (
        sum(held.values()) == sum(whole.values())
        and held["HIGHEST", "f32", "f32", "f32"] == short["HIGHEST", "f32", "f32", "f32"]
    )
    in_short = held["HIGH", "bf16", "bf16", "bf16"]
    heads = held["HIGH", "f32", "f32", "f32"]
    assert in_short > heads > 0 and in_short + heads == short["HIGH", "f32", "f32", "f32"]


@pytest.mark.parametrize("name", ("minibatch_weighted", "minibatch_stratified", "memory_bank"))
def test_log_densities_have_full_precision_whatever_networks_have(name):
    config = tiny.config(objective__estimator=name, train__matmul_precision="bfloat16", train__activations="bfloat16")
    estimate = estimators.make(name, config, ImageSpec(DATASET.image_shape, DATASET.size))
    codes = np.random.default_rng(0).standard_normal((3, 8, 3)).astype(np.float32)
    posterior = Posterior(*map(jnp.asarray, codes), jnp.asarray(partition.levels((2, 1))), jnp.arange(8))

    def traced():
        extra = estimate.init(jax.random.key(0), posterior.levels)
        return estimate.log_density(extra, posterior, posterior.levels)

    def precisions(jaxpr):
        for each in jaxpr.eqns:
            if each.primitive.name == "dot_general":
                yield each.params["precision"]
            for inner in jax.extend.core.jaxprs_in_params(each.params):
                yield from precisions(inner)

    with numerics.using("bfloat16", "bfloat16"):
        found = list(precisions(jax.make_jaxpr(traced)().jaxpr))
    assert found and {part for pair in found for part in pair} == {jax.lax.Precision.HIGHEST}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood_computes_in_float32_from_an_output_in_a_short_format(name):
    rng, likelihood = np.random.default_rng(0), LIKELIHOODS[name]
    short = jnp.asarray(3 * rng.standard_normal((3, 4, 4, 5)), jnp.bfloat16)
    pixels, whole = rng.random(short.shape, np.float32), short.astype(jnp.float32)

    def loss(output):
        return likelihood.negative_log_likelihood(output, pixels, jnp.float32(0.5)).sum()

    found, expected = (jax.value_and_grad(loss)(output) for output in (short, whole))
    assert found[0] == expected[0] and found[0].dtype == likelihood.mean(short).dtype == jnp.float32
    np.testing.assert_array_equal(found[1], expected[1].astype(jnp.bfloat16))
    np.testing.assert_array_equal(likelihood.mean(short), likelihood.mean(whole))


def test_short_activations_train_the_same_model_but_for_their_rounding():
    settings = {"train__learning_rate": 1e-4}
    terms, states = [], []
    for activations in ("float32", "bfloat16"):
        population = tiny.population([tiny.config(**settings, train__activations=activations)], DATASET)
        runs, found = population.make_advance(DATASET)(population.init(), 20)
        terms.append({name: float(value[0]) for name, value in found.items()})
        states.append(runs.state)
    whole, short = terms
    assert short["loss_nats"] == pytest.approx(whole["loss_nats"], rel=0.005) and short != whole
    assert short["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=0.05)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(states[1].params)} == {"float32"}
    for moments in zip(*(jax.tree.leaves(state.optimizer) for state in states), strict=True):
        exact, rounded = (np.asarray(moment, np.float64).ravel() for moment in moments)
        assert exact @ rounded >= 0.98 * np.linalg.norm(exact) * np.linalg.norm(rounded)


def test_an_unknown_format_is_a_sentence():
    with pytest.raises(UserError, match="train.matmul_precision: 'fp8' is unknown. Choices: bfloat16, float32, tf32"):
        tiny.config(train__matmul_precision="fp8")
    with pytest.raises(UserError, match="activations: 'float16' is unknown"), numerics.using("tf32", "float16"):
        pass


def test_products_are_emulated_by_rounding_their_factors_and_log_densities_are_not():
    left, right = np.random.default_rng(0).standard_normal((2, 5, 5)).astype(np.float32)

    def function(x):
        return jax.nn.relu(jnp.matmul(x["left"], right)), jnp.matmul(x["left"], right, precision="highest")

    rounded, whole = jax.jit(emulated(function, 7))({"left": left})
    short = [np.asarray(jnp.asarray(each).astype(jnp.bfloat16).astype(jnp.float32)) for each in (left, right)]
    assert np.allclose(rounded, np.maximum(short[0] @ short[1], 0), atol=1e-6)
    assert np.allclose(whole, left @ right, atol=1e-6) and not np.allclose(rounded, np.maximum(whole, 0), atol=1e-4)
