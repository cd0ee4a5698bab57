import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis import population
from scaledis.checkpoint import Checkpoints
from scaledis.methods.dava import next_capacity, resample
from scaledis.methods.factor_vae import adversarial_total_correlation
from scaledis.population import NEVER
from tests import tiny
from tests.methods import one_update

DATASET = tiny.dataset()


def test_factor_vae_has_the_weights_of_the_beta_tcvae():
    gamma, beta = {"gamma": 5.0}, {"beta": 6.0}
    assert adversarial_total_correlation(gamma, None) == tc.flat_total_correlation(beta, None)


def test_factor_vaes_terms_add_up_and_both_sides_move():
    run = tiny.config(method__name="factor_vae", method__gamma=3.0, objective__kl_warmup=10.0)
    state, terms = one_update(run, DATASET, step=5)
    penalty = terms["kl_nats"] + 3 * terms["total_correlation_level1_nats"]
    whole = terms["reconstruction_nats"] + terms["kl_weight"] * penalty
    assert float(terms["loss_nats"]) == pytest.approx(float(whole), rel=1e-5)
    assert terms["discriminator_nats"] > 0
    again, _ = one_update(run, DATASET, step=5)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("accuracy", "moves"), [(0.3, 1), (0.5, 1), (0.501, 1), (0.505, 0), (0.51, 0), (0.52, -1), (1.0, -1)]
)
def test_the_capacity_moves_by_the_stated_step(accuracy, moves):
    found = next_capacity(jnp.float32(0.7), jnp.float32(accuracy), jnp.float32(4e-5), jnp.float32(8))
    assert float(found) - 0.7 == pytest.approx(moves * 4e-5, abs=1e-7)


def test_the_capacity_has_a_ceiling_and_no_floor():
    up, down = (
        next_capacity(jnp.float32(start), jnp.float32(accuracy), 0.5, 8.0) for start, accuracy in [(7.9, 0.0), (0.1, 1)]
    )
    assert float(up) == 8 and float(down) == pytest.approx(-0.4)


def test_the_published_step_is_half_a_batch_of_the_published_ramp():
    assert 8 * (128 / 2) / 12.8e6 == pytest.approx(4e-5)


def test_codes_are_resampled_per_unit_with_replacement():
    codes = jnp.arange(400.0).reshape(100, 4)
    drawn = np.asarray(resample(codes, jax.random.key(0)))
    for unit in range(4):
        assert set(drawn[:, unit]) < set(np.asarray(codes[:, unit]))  # some twice, so some not at all
        assert 50 < len(set(drawn[:, unit])) < 80  # 1 - 1/e of them
    assert len(np.unique(drawn - np.arange(4), axis=0)) == 100


def test_the_capacity_is_in_the_checkpoint_and_the_terms_add_up(tmp_path):
    configs = [tiny.config(method__name="dava", method__capacity_step=0.01, train__steps=4)]
    program = population.program(configs, DATASET, population.build(configs, DATASET))
    runs, terms = program.advance(program.init(), 1)
    hyperparameters = configs[0].method.hyperparameters
    whole = (
        terms["reconstruction_nats"]
        + hyperparameters["gamma"] * terms["capacity_penalty"]
        + hyperparameters["encoder"] * terms["adversarial_encoder_nats"]
        + hyperparameters["decoder"] * terms["adversarial_decoder_nats"]
    )
    np.testing.assert_allclose(terms["loss_nats"], whole, rtol=1e-6)
    assert abs(float(runs.method.memory.capacity[0])) in (0, pytest.approx(0.01))
    runs = runs._replace(method=runs.method._replace(memory=runs.method.memory._replace(capacity=jnp.full(1, 0.37))))
    Checkpoints(tmp_path, 1).save(1, runs)
    _, restored = Checkpoints(tmp_path, 1).restore(program.shapes)
    assert float(restored.method.memory.capacity[0]) == pytest.approx(0.37)


def test_a_discriminator_that_goes_astray_freezes_its_run_alone():
    configs = [tiny.config(method__name="factor_vae", seed=seed) for seed in (0, 1)]
    program = population.program(configs, DATASET, population.build(configs, DATASET))
    untouched = jax.device_get(program.advance(program.init(), 4)[0])

    def broken(**memory):
        """The runs at their start, the second one's discriminator replaced."""
        runs = jax.tree.map(np.array, jax.device_get(program.init()))
        for name, value in memory.items():
            for leaf in jax.tree.leaves(getattr(runs.method.memory, name)):
                leaf[1] = value
        return jax.tree.map(lambda leaf, like: jax.device_put(leaf, like.sharding), runs, program.shapes)

    for runs in (broken(params=np.nan), broken(accuracy=2.0)):  # past the limit whatever comes next
        runs, terms = program.advance(runs, 4)
        assert int(runs.diverged[0]) == NEVER and int(runs.diverged[1]) == 0
        assert np.isnan(terms["loss_nats"][1]) and np.isfinite(terms["loss_nats"][0])
        for a, b in zip(jax.tree.leaves(runs.method), jax.tree.leaves(untouched.method), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
