import jax.numpy as jnp
import numpy as np
import pytest

from scaledis import optimizer
from scaledis.methods.beta_vae import weighted_kl
from tests.methods import KEY, arrays, config, flat, inference

SEEN = flat(inference())
KL = float(SEEN.kl.sum(1).mean())


def nats(name, **overrides):
    return float(weighted_kl(arrays(config(name, **overrides)), SEEN, KEY)[0])


def test_beta_one_is_the_vae():
    assert nats("beta_vae", method__beta=1.0) == nats("vae") == pytest.approx(KL, rel=1e-6)
    assert nats("beta_vae", method__beta=4.0) == pytest.approx(4 * KL, rel=1e-6)


@pytest.mark.parametrize("capacity", [0.5 * KL, 2 * KL])
def test_the_annealed_vae_is_the_distance_to_the_capacity(capacity):
    found = nats("beta_vae", method__beta=0.0, method__gamma=100.0, method__capacity=capacity)
    assert found == pytest.approx(100 * abs(KL - capacity), rel=1e-5)


def test_an_annealed_capacity_reaches_its_maximum_and_stays():
    schedules = {"capacity": optimizer.make_schedule("schedule.capacity", "warmup:10", 50)}
    seen = [
        float(optimizer.at_step({"capacity": jnp.float32(25)}, schedules, step)["capacity"]) for step in (0, 5, 10, 49)
    ]
    np.testing.assert_allclose(seen, [0, 12.5, 25, 25])


def test_the_warm_up_of_the_kl_rises_from_nothing_and_a_length_of_zero_is_none():
    at = [float(warmup({"kl_warmup": jnp.float32(100)}, jnp.int32(step))) for step in (0, 100, 10_000)]
    np.testing.assert_allclose(at, [0, 1 - np.exp(-1), 1], rtol=1e-6)
    assert [float(warmup({"kl_warmup": jnp.float32(0)}, jnp.int32(step))) for step in (0, 1, 1000)] == [1, 1, 1]
