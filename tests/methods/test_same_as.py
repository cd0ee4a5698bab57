"""Methods that are others at fixed values: their specs hold for a step, and to the last bit in one program."""

import functools

import jax
import numpy as np
import pytest

from scaledis import methods
from scaledis.sweeps import plan
from scaledis.training import population
from tests import assert_same, tiny
from tests.methods import one_update

DATASET = tiny.dataset()
SPECS = methods.specs()
PAIRS = [(name, other) for name, spec in SPECS.items() for other in spec.same_as]
SHARING = [name for name, spec in SPECS.items() if spec.program]


def config_of(name, values, flat):
    sized = {"model__latents": 3} if SPECS[name].flat else {"model__allocation": (3,) if flat else (2, 1)}
    given = {f"method__{key}": value for key, value in values.items()}
    return tiny.config(method__name=name, objective__kl_warmup=0.0, seed=3, **sized, **given)


def configs_of(name, other):
    """The two methods with the same values of what both have, and `other` at the values that make it `name`."""
    own = {key: 5.0 for key in SPECS[name].hyperparameters}
    flat = SPECS[name].flat
    return config_of(name, own, flat), config_of(other, own | SPECS[name].same_as[other], flat)


@functools.cache
def updated(name, other, place):
    return one_update(configs_of(name, other)[place], DATASET, step=5)


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_a_step_of_the_one_is_a_step_of_the_other(name, other):
    (own, own_terms), (others, other_terms) = (updated(name, other, place) for place in (0, 1))
    for key in ("loss_nats", "regularization_nats", "gradient_norm"):
        assert float(own_terms[key]) == pytest.approx(float(other_terms[key]), rel=1e-5), key
    for one, two in zip(*(jax.tree.leaves(state.optimizer) for state in (own, others)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("name", SHARING)
def test_in_a_shared_program_they_are_one_run_bit_for_bit(name):
    program = SPECS[name].program
    assert not SPECS[program].program
    configs = [*configs_of(name, program), config_of(program, {}, SPECS[name].flat)]
    assert plan.shared(configs[0]) == plan.shared(configs[1]) == plan.shared(configs[2])
    together = tiny.population(configs, DATASET)
    runs, terms = together.make_advance(DATASET)(together.init(), 3)
    assert_same(population.select(runs, 0).state, population.select(runs, 1).state)
    assert terms["loss_nats"][0] == terms["loss_nats"][1]
    assert terms["loss_nats"][0] != terms["loss_nats"][2]


def test_which_methods_are_others_at_fixed_values():
    assert {name: [*spec.same_as] for name, spec in SPECS.items() if spec.same_as} == {
        "vae": ["beta_vae", "beta_tcvae", "alpha_tcvae"],
        "beta_tcvae": ["scale_vlae", "beta_stcvae", "beta_tcvae_hfs"],
        "vlae": ["scale_vlae"],
    }
    assert SHARING == ["vae", "vlae"]
    for name, other in PAIRS:
        assert SPECS[name].same_as[other].keys() <= SPECS[other].hyperparameters.keys()
        assert f"t is {other} at " in SPECS[name].identity
