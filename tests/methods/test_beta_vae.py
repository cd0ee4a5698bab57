import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.base import optimizer
from scaledis.methods.beta_vae import weighted_kl
from tests.methods import KEY, arrays, flat, kl_of, make_config, make_posterior

POSTERIOR = flat(make_posterior())
KL = kl_of(POSTERIOR)


def total(name, **overrides):
    return float(weighted_kl(arrays(make_config(name, **overrides)), POSTERIOR, KEY)[0])


def test_beta_one_is_the_vae():
    assert total("beta_vae", method__beta=1.0) == total("vae") == pytest.approx(KL, rel=1e-6)
    assert total("beta_vae", method__beta=4.0) == pytest.approx(4 * KL, rel=1e-6)


@pytest.mark.parametrize("capacity", [0.5 * KL, 2 * KL])
def test_the_annealed_vae_is_the_distance_to_the_capacity(capacity):
    found = total("beta_vae", method__beta=0.0, method__gamma=100.0, method__capacity=capacity)
    assert found == pytest.approx(100 * abs(KL - capacity), rel=1e-5)


def test_an_annealed_capacity_reaches_its_maximum_and_stays():
    schedules = {"capacity": optimizer.make_schedule("schedule.capacity", "warmup:10", 50)}
    found = [
        float(optimizer.at_step({"capacity": jnp.float32(25)}, schedules, step)["capacity"]) for step in (0, 5, 10, 49)
    ]
    np.testing.assert_allclose(found, [0, 12.5, 25, 25])
