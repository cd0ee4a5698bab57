import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.base import optimizer
from scaledis.methods.beta_vae import weighted_kl
from scaledis.sweeps import plan
from scaledis.training import population
from tests import assert_same, tiny
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


def test_the_vae_shares_the_program_of_the_beta_vae_and_is_its_run_of_beta_one():
    settings = {"objective__kl_warmup": 0.0, "seed": 3}
    configs = [tiny.config(method__name="vae", **settings)]
    configs += [
        tiny.config(method__name="beta_vae", method__beta=beta, method__capacity=0.0, **settings) for beta in (1.0, 4.0)
    ]
    assert plan.shared(configs[0]) == plan.shared(configs[1]) == plan.shared(configs[2])
    together = tiny.population(configs, tiny.dataset())
    runs, terms = together.make_advance(tiny.dataset())(together.init(), 3)
    assert_same(population.select(runs, 0).state, population.select(runs, 1).state)
    assert terms["loss_nats"][0] == terms["loss_nats"][1] < terms["loss_nats"][2] - 1e-2
