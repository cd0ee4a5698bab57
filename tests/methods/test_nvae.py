import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.nvae import balance
from scaledis.networks.top_down import make_top_down, soft_clamp
from scaledis.objectives import gaussian
from scaledis.types import ImageSpec
from tests import tiny
from tests.methods import arrays, make_method, one_update

DATASET = tiny.dataset()
IMAGES = DATASET.images(np.arange(8))
CONFIG = tiny.config(method__name="nvae", model__allocation=(2, 1), objective__kl_warmup=10.0)


@pytest.fixture(scope="module")
def method():
    return make_method(CONFIG, DATASET)


@pytest.fixture(scope="module")
def state(method):
    return method.init(jax.random.key(0), arrays(CONFIG))


NETWORK = make_top_down(CONFIG, ImageSpec(DATASET.image_shape, DATASET.size))


def scaled(state, factor, *names):
    """The state whose layers that begin with these names are multiplied by `factor`."""
    path = state.params["network"]["top_down"]
    heads = {
        name: jax.tree.map(lambda leaf: factor * leaf, layer) for name, layer in path.items() if name.startswith(names)
    }
    network = {**state.params["network"], "top_down": {**path, **heads}}
    return state._replace(params={**state.params, "network": network})


def test_the_kl_of_a_posterior_equal_to_its_prior_is_zero(method, state):
    _, terms = method.update(scaled(state, 0, "mean", "log_deviation"), tiny.batch(IMAGES), jax.random.key(1))
    assert terms["kl_nats"] == terms["kl_level1_nats"] == terms["kl_level2_nats"] == 0
    assert method.update(state, tiny.batch(IMAGES), jax.random.key(1))[1]["kl_nats"] > 0


def test_the_kl_of_the_residual_is_that_of_the_code():
    """N(mu + sigma m, (sigma s)^2) against N(mu, sigma^2), by quadrature."""
    mu, sigma, m, s = 0.7, 1.3, -0.4, 0.6
    z = np.linspace(-14, 14, 40001)
    log_q = gaussian.log_density(z, mu + sigma * m, 2 * np.log(sigma * s))
    log_p = gaussian.log_density(z, mu, 2 * np.log(sigma))
    truth = np.trapezoid(np.exp(log_q) * (log_q - log_p), z)
    assert float(gaussian.kl_to_standard(m, 2 * np.log(s))) == pytest.approx(truth, abs=1e-4)


def test_codes_of_all_levels_are_reported_in_order(method, state):
    codes = method.encode(state, IMAGES)
    np.testing.assert_array_equal(codes.levels, [0, 0, 1])
    assert codes.mean.shape == codes.log_variance.shape == (8, 3)
    kl = gaussian.kl_to_standard(codes.mean, codes.log_variance).mean(0)
    _, terms = method.update(state, tiny.batch(IMAGES), jax.random.key(1))
    np.testing.assert_allclose(terms["kl_level2_nats"], kl[:2].sum(), rtol=1e-4)  # the top has no level above it


@jax.jit
def prior_below(state, codes):
    """Mean and deviation of the lower level's prior while `codes` are decoded, [B, 1] each."""
    params = {"params": state.params["network"]}
    found = NETWORK.apply(params, jnp.asarray(codes).T, jnp.ones(3), method="decode", capture_intermediates=True)[1]
    layers = found["intermediates"]["top_down"]
    mean, log_deviation = (layers[f"prior_{name}2"]["__call__"][0].T for name in ("mean", "log_deviation"))
    return soft_clamp(mean), jnp.exp(soft_clamp(log_deviation))


def test_the_prior_of_a_level_depends_on_the_levels_above_and_on_nothing_else(state):
    codes = np.asarray([[0, 0, 0], [2, -1, 0], [2, -1, 1.5]], np.float32)
    for values in prior_below(state, codes):
        assert abs(values[0] - values[1]) > 1e-3 and values[1] == values[2]


def test_a_code_is_the_residual_to_the_prior_of_its_level(method, state):
    """z = prior mean + prior deviation e: with a prior of N(0, 1), the same images come from the codes z."""
    codes = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    state = scaled(state, 1000, "prior_mean", "prior_log_deviation")
    mean, deviation = prior_below(state, codes)
    z = np.concatenate([codes[:, :2], mean + deviation * codes[:, 2:]], axis=1)
    assert np.abs(z - codes).max() > 0.5
    plain = scaled(state, 0, "prior_mean", "prior_log_deviation")
    np.testing.assert_allclose(method.decode(state, codes), method.decode(plain, z), rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(method.decode(plain, codes) - method.decode(plain, z))).max() > 1e-4


def test_decoding_the_mean_residuals_is_the_reconstruction_without_noise(method, state):
    codes = method.encode(state, IMAGES)
    pixels = jnp.asarray(IMAGES).transpose(3, 1, 2, 0) / 255
    params = {"params": state.params["network"]}
    infer = jax.jit(functools.partial(NETWORK.apply, method="infer"))
    _, _, output = infer(params, pixels, jnp.zeros((3, len(IMAGES))), jnp.ones(3))
    decoded = method.decode(state, codes.mean)
    np.testing.assert_allclose(decoded, np.clip(output, 0, 1).transpose(3, 1, 2, 0), atol=1e-5)
    moved = method.decode(state, codes.mean + jnp.asarray([0, 0, 2.0]))
    assert np.abs(np.asarray(moved - decoded)).max() > 1e-5


def test_balancing_is_proportional_at_the_start_and_gone_at_the_end():
    kl = jnp.asarray([4.0, 1.0, 1.0])
    np.testing.assert_allclose(balance(kl, 0.0, 1.0), [2, 0.5, 0.5])
    np.testing.assert_allclose(balance(kl, 1.0, 1.0), [1, 1, 1])
    np.testing.assert_allclose(balance(kl, 0.0, 0.0), [1, 1, 1])
    assert float(jax.grad(lambda kl: jnp.sum(balance(kl, 0.0, 1.0)))(kl).sum()) == 0


def test_the_terms_add_up():
    _, terms = one_update(tiny.config(method__name="nvae", method__balance=0.0, objective__kl_warmup=10.0), DATASET, 5)
    whole = terms["reconstruction_nats"] + terms["kl_weight"] * terms["kl_nats"]
    assert float(terms["loss_nats"]) == pytest.approx(float(whole), rel=1e-6)
