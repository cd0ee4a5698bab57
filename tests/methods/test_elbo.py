"""L = L_rec + w R, its step and its terms, whatever the penalty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.base.elbo import kl_weight, per_level
from tests import tiny
from tests.methods import arrays, make_method, one_update

DATASET = tiny.dataset()


def test_the_weight_of_the_kl_rises_from_nothing_and_a_warm_up_of_length_zero_is_none():
    at = [float(kl_weight({"kl_warmup": jnp.float32(100)}, jnp.int32(step))) for step in (0, 100, 10_000)]
    np.testing.assert_allclose(at, [0, 1 - np.exp(-1), 1], rtol=1e-6)
    assert [float(kl_weight({"kl_warmup": jnp.float32(0)}, jnp.int32(step))) for step in (0, 1, 1000)] == [1, 1, 1]


@pytest.mark.parametrize("step", [0, 7])
def test_the_kl_and_its_penalties_are_warmed_up_together(step):
    found = one_update(tiny.config(objective__kl_warmup=10.0), DATASET, step)[1]
    weight = 1 - np.exp(-step / 10)
    assert float(found["kl_weight"]) == pytest.approx(weight, abs=1e-6)
    whole = found["reconstruction_nats"] + weight * found["regularization_nats"]
    assert float(found["loss_nats"]) == pytest.approx(float(whole), rel=1e-6)
    assert float(found["regularization_nats"]) != pytest.approx(float(found["kl_nats"]), rel=1e-3)
    assert float(found["elbo_nats"]) == pytest.approx(-float(found["reconstruction_nats"] + found["kl_nats"]), rel=1e-6)


def test_levels_are_named_from_the_bottom_and_listed_from_the_top():
    assert per_level("kl", np.arange(3.0)) == {"kl_level3_nats": 0.0, "kl_level2_nats": 1.0, "kl_level1_nats": 2.0}
    config = tiny.config(model__allocation=(2, 1))
    method = make_method(config, DATASET)
    state = jax.jit(method.init)(jax.random.key(0), arrays(config))
    codes = method.encode(state, DATASET.images(np.arange(8)))
    np.testing.assert_array_equal(codes.levels, [0, 0, 1])
    found = jax.jit(method.update)(state, tiny.batch(DATASET.images(np.arange(8))), jax.random.key(0))[1]
    kl = 0.5 * (codes.mean**2 + np.exp(codes.log_variance) - 1 - codes.log_variance).mean(0)
    np.testing.assert_allclose(found["kl_level2_nats"], kl[:2].sum(), rtol=1e-4)
    np.testing.assert_allclose(found["kl_level1_nats"], kl[2], rtol=1e-4)


def test_a_schedule_drives_beta_and_gamma():
    still = one_update(tiny.config(method__beta=3.0, method__gamma=2.0, objective__kl_warmup=0.0), DATASET, step=5)[1]
    driven = tiny.config(
        method__beta=5.0,  # beta - 1 is what a schedule multiplies
        method__gamma=8.0,
        objective__kl_warmup=0.0,
        schedule__beta="warmup:10",
        schedule__gamma="warmup:20",
    )
    driven = one_update(driven, DATASET, step=5)[1]
    np.testing.assert_allclose(driven["loss_nats"], still["loss_nats"], rtol=1e-6)
