import jax
import numpy as np
import pytest

from scaledis import methods, population
from tests import tiny

DATASET = tiny.dataset()


def terms(**overrides):
    """All terms of one step from the same start, on the same images and noise."""
    config = tiny.config(objective__kl_warmup=0.0, model__allocation=(2, 2, 1), model__parameters=7000, **overrides)
    method = population.build([config], DATASET)
    state = jax.jit(method.init)(jax.random.key(0), population.hyperparameters(config, config.model.allocation))
    images = DATASET.images(np.arange(8))
    state = state._replace(step=state.step + 1)  # the warm-up is over at step 1
    return {name: float(value) for name, value in jax.jit(method.update)(state, images, jax.random.key(1))[1].items()}


def total_correlation(terms):
    return terms["inter_nats"] + sum(terms[f"total_correlation_level{level}_nats"] for level in (1, 2, 3))


def test_beta_one_and_gamma_zero_is_the_vlae():
    ours = terms(method__name="scale_vlae", method__beta=1.0, method__gamma=0.0)
    assert ours == terms(method__name="vlae")
    assert ours["loss_nats"] == pytest.approx(ours["reconstruction_nats"] + ours["kl_nats"], rel=1e-6)


def test_equal_betas_and_gamma_beta_minus_one_is_the_vlae_plus_flat_beta_tcvae():
    ours = terms(method__name="scale_vlae", method__beta=5.0, method__gamma=4.0)
    plain = terms(method__name="vlae")
    assert ours["loss_nats"] == pytest.approx(plain["loss_nats"] + 4.0 * total_correlation(plain), rel=1e-5)


def test_each_level_has_its_own_beta():
    plain = terms(method__name="vlae")
    ours = terms(method__name="scale_vlae", method__beta=(2.0, 4.0, 7.0), method__gamma=0.5)
    intra = [plain[f"total_correlation_level{level}_nats"] for level in (3, 2, 1)]
    expected = 1 * intra[0] + 3 * intra[1] + 6 * intra[2] + 0.5 * plain["inter_nats"]
    assert ours["penalty_nats"] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_kl_and_its_penalties_are_warmed_up_together():
    config = tiny.config(objective__kl_warmup=10.0)
    method = population.build([config], DATASET)
    state = jax.jit(method.init)(jax.random.key(0), population.hyperparameters(config, config.model.allocation))
    images = DATASET.images(np.arange(8))
    for step in (0, 7):
        found = jax.jit(method.update)(state._replace(step=np.int32(step)), images, jax.random.key(1))[1]
        weight = 1 - np.exp(-step / 10)
        assert float(found["kl_weight"]) == pytest.approx(weight, abs=1e-6)
        whole = found["reconstruction_nats"] + weight * (found["kl_nats"] + found["penalty_nats"])
        assert float(found["loss_nats"]) == pytest.approx(float(whole), rel=1e-6)


def test_levels_are_named_from_the_bottom_and_listed_from_the_top():
    config = tiny.config(model__allocation=(2, 1))
    method = population.build([config], DATASET)
    state = jax.jit(method.init)(jax.random.key(0), population.hyperparameters(config, (2, 1)))
    codes = method.encode(state, DATASET.images(np.arange(8)))
    np.testing.assert_array_equal(codes.levels, [0, 0, 1])
    found = jax.jit(method.update)(state, DATASET.images(np.arange(8)), jax.random.key(0))[1]
    kl = 0.5 * (codes.mean**2 + np.exp(codes.log_variance) - 1 - codes.log_variance).mean(0)
    np.testing.assert_allclose(found["kl_level2_nats"], kl[:2].sum(), rtol=1e-4)
    np.testing.assert_allclose(found["kl_level1_nats"], kl[2], rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("estimator", ["minibatch_weighted", "minibatch_stratified"])
def test_the_loss_falls(likelihood, estimator):
    config = tiny.config(
        objective__likelihood=likelihood, objective__estimator=estimator, objective__kl_warmup=100.0, train__steps=60
    )
    program = population.program([config], DATASET, population.build([config], DATASET))
    runs, first = program.advance(program.init(), 5)
    _, last = program.advance(runs, 55)
    assert all(np.isfinite(value).all() for value in last.values())
    assert last["reconstruction_nats"][0] < first["reconstruction_nats"][0] - 10


def test_hyperparameters_are_checked():
    for overrides, message in [
        ({"method__beta": (1.0, 2.0, 3.0)}, r"method.beta: .* has 3 values, but model.allocation has 2 levels"),
        ({"method__beta": -1.0}, "method.beta: -1.0"),
        ({"method__gamma": float("nan")}, "method.gamma: nan"),
    ]:
        with pytest.raises(ValueError, match=message):
            tiny.config(**overrides)
    assert {"vlae", "scale_vlae"} <= methods.recipes().keys()
