import pytest

from scaledis.methods.scale_vlae import scale_aware
from scaledis.sweeps import plan
from scaledis.training import population
from tests import assert_same, tiny
from tests.methods import kl_of, make_config, make_posterior, penalty

POSTERIOR = make_posterior()


def test_its_penalty_is_the_kl_alone():
    assert penalty(make_config("vlae"), scale_aware, POSTERIOR)[0] == pytest.approx(kl_of(POSTERIOR), rel=1e-6)


def test_it_shares_the_program_of_the_scale_aware_ladder_and_is_its_run_of_beta_one_and_gamma_zero():
    settings = {"objective__kl_warmup": 0.0, "seed": 3}
    configs = [tiny.config(method__name="vlae", **settings)]
    configs += [
        tiny.config(method__name="scale_vlae", method__beta=1.0, method__gamma=gamma, **settings)
        for gamma in (0.0, 9.0)
    ]
    assert plan.shared(configs[0]) == plan.shared(configs[1]) == plan.shared(configs[2])
    together = tiny.population(configs, tiny.dataset())
    runs, terms = together.make_advance(tiny.dataset())(together.init(), 3)
    assert_same(population.select(runs, 0).state, population.select(runs, 1).state)
    assert terms["loss_nats"][0] == terms["loss_nats"][1] != terms["loss_nats"][2]
