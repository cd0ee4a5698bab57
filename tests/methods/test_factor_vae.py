import jax
import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.methods.beta_tcvae import flat_total_correlation
from scaledis.methods.factor_vae import adversarial_total_correlation
from scaledis.types import NEVER
from tests import assert_same, tiny
from tests.methods import one_update

DATASET = tiny.dataset()


def test_it_has_the_weights_of_the_beta_tcvae():
    gamma, beta = {"gamma": 5.0}, {"beta": 6.0}
    assert adversarial_total_correlation(gamma, None) == flat_total_correlation(beta, None)


def test_the_terms_add_up_and_a_step_is_a_function_of_its_key():
    run = tiny.config(method__name="factor_vae", method__gamma=3.0, objective__kl_warmup=10.0)
    state, terms = one_update(run, DATASET, step=5)
    penalty = terms["kl_nats"] + 3 * terms["total_correlation_level1_nats"]
    whole = terms["reconstruction_nats"] + terms["kl_weight"] * penalty
    assert float(terms["loss_nats"]) == pytest.approx(float(whole), rel=1e-5)
    assert terms["discriminator_nats"] > 0
    assert_same(state, one_update(run, DATASET, step=5)[0])


def different(one, other):
    return max(np.abs(a - b).max() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_the_penalty_moves_the_autoencoder_and_no_discriminator():
    """Whatever its weight, the discriminator takes the step of its own loss on codes without gradient."""
    plain, weighted = (
        one_update(tiny.config(method__name="factor_vae", method__gamma=gamma, objective__kl_warmup=0.0), DATASET)[0]
        for gamma in (0.0, 50.0)
    )
    assert_same(plain.extra, weighted.extra)
    assert different(plain.params, weighted.params) > 1e-5


def test_the_discriminators_loss_moves_no_autoencoder():
    slow, fast = (
        one_update(tiny.config(method__name="factor_vae", discriminator__learning_rate=rate), DATASET)[0]
        for rate in (1e-4, 1e-1)
    )
    assert_same(slow.params, fast.params)
    assert different(slow.extra.params, fast.extra.params) > 0.05


def test_a_discriminator_that_goes_astray_freezes_its_run_alone():
    members = tiny.population([tiny.config(method__name="factor_vae", seed=seed) for seed in (0, 1)], DATASET)
    advance = members.make_advance(DATASET)
    untouched = jax.device_get(advance(members.init(), 4)[0])

    def broken(**extra):
        """The runs at their start, the second one's discriminator replaced."""
        runs = jax.tree.map(np.array, jax.device_get(members.init()))
        for name, value in extra.items():
            for leaf in jax.tree.leaves(getattr(runs.state.extra, name)):
                leaf[1] = value
        return jax.tree.map(lambda leaf, like: jax.device_put(leaf, like.sharding), runs, members.shapes)

    for runs in (broken(params=np.nan), broken(accuracy=2.0)):  # past the limit whatever comes next
        runs, terms = advance(runs, 4)
        assert int(runs.diverged[0]) == NEVER and int(runs.diverged[1]) == 0
        assert np.isnan(terms["loss_nats"][1]) and np.isfinite(terms["loss_nats"][0])
        for a, b in zip(jax.tree.leaves(runs.state), jax.tree.leaves(untouched.state), strict=True):
            np.testing.assert_array_equal(a[0], b[0])


@pytest.mark.parametrize("name", ["factor_vae", "dava"])
def test_a_batch_too_small_for_two_halves_is_an_error(name):
    with pytest.raises(UserError, match="train.batch: 3 is too small for a discriminator"):
        tiny.config(method__name=name, train__batch=3)
