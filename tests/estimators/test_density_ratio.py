"""Discriminators against closed forms: codes are Gaussian, so every dependence is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.estimators import density_ratio
from scaledis.objectives import partition
from tests import tiny

BATCH, STEPS = 256, 2500
ALLOCATION = (2, 1)
PARTS = partition.levels(ALLOCATION)
COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])


def truths():
    """Dependence within the upper level, and between the levels: -1/2 log of ratios of determinants."""
    within = -0.5 * np.log(np.linalg.det(COVARIANCE[:2, :2]))
    return within, -0.5 * np.log(np.linalg.det(COVARIANCE)) - within


@pytest.fixture(scope="module")
def estimator():
    config = tiny.config(
        train__batch=BATCH, discriminator__features=64, discriminator__layers=2, discriminator__learning_rate=1e-3
    )
    return density_ratio.estimator(config, 1000)


@pytest.fixture(scope="module")
def learned(estimator):
    """The memory after training on fresh codes, and the mean contrasts of the table on codes that it never saw."""
    root = np.linalg.cholesky(COVARIANCE).astype(np.float32)

    def codes(key, count=BATCH):
        return jax.random.normal(key, (count, 3)) @ root.T

    @jax.jit
    def train(key):
        memory = estimator.init(key, PARTS)

        def step(n, carry):
            memory, _ = carry
            key_codes, key_shuffle = jax.random.split(jax.random.fold_in(key, n))
            return estimator.remember(memory, codes(key_codes), None, None, PARTS, key_shuffle)

        first = estimator.remember(memory, codes(key), None, None, PARTS, key)
        return jax.lax.fori_loop(0, STEPS, step, first)

    memory, terms = train(jax.random.key(0))
    rows = partition.contrasts(PARTS)
    unseen = codes(jax.random.key(1), 64 * BATCH).reshape(64, BATCH, 3)
    posterior = jnp.full((BATCH, 3), -2.0)
    tables = jax.jit(jax.vmap(lambda codes: estimator.log_density(memory, codes, codes, posterior, PARTS)))(unseen)
    intra, inter = partition.combine(tables, rows.intra), partition.combine(tables, rows.inter)
    return memory, terms, intra.mean((0, 1)), inter.mean()


def test_the_logits_are_the_closed_forms(learned):
    _, terms, intra, inter = learned
    within, across = truths()
    assert float(intra[0]) == pytest.approx(within, rel=0.15)
    assert float(inter) == pytest.approx(across, rel=0.15)
    assert float(intra[1]) == pytest.approx(0, abs=1e-5)  # a level of one unit
    assert 0.5 < terms["discriminator_accuracy"] < 0.9


def test_the_penalty_moves_the_codes_and_no_discriminator(estimator, learned):
    codes = jax.random.normal(jax.random.key(2), (BATCH, 3))
    posterior = jnp.full((BATCH, 3), -2.0)
    rows = partition.contrasts(PARTS)

    def penalty(memory, codes):
        table = estimator.log_density(memory, codes, codes, posterior, PARTS)
        return partition.combine(table, rows.intra)[:, 0].mean()

    assert np.abs(jax.grad(penalty, argnums=1)(learned[0], codes)[:, :2]).max() > 1e-6

    def remembered(codes):
        return estimator.remember(learned[0], codes, None, None, PARTS, jax.random.key(3))[1]["discriminator_nats"]

    assert np.isfinite(remembered(codes))


def test_shuffling_keeps_every_unit_or_part_and_breaks_what_holds_them_together():
    codes = jnp.arange(12.0).reshape(4, 3)
    by_unit, by_part = density_ratio.shuffled(codes, PARTS, jax.random.key(0))
    for shuffled in (by_unit, by_part):
        np.testing.assert_array_equal(np.sort(shuffled, axis=0), codes)
    np.testing.assert_array_equal(by_part[:, 1] - by_part[:, 0], 1)  # the upper level stays together
    assert not np.array_equal(by_unit[:, 1] - by_unit[:, 0], np.ones(4))


def test_a_discriminator_that_has_won_outright_is_no_number():
    adversary = density_ratio.adversary({"bias": jnp.zeros(())})

    def follow(adversary, accuracy, steps):
        for _ in range(steps):
            adversary, terms = density_ratio.follow(
                adversary, lambda params: (params["bias"] ** 2, jnp.float32(accuracy)), 1e-3, "discriminator"
            )
        return adversary, terms

    winning, terms = follow(adversary, 1.0, 20)
    assert np.isfinite(terms["discriminator_nats"])
    _, terms = follow(winning._replace(accuracy=jnp.float32(0.99995)), 1.0, 1)
    assert np.isnan(terms["discriminator_nats"])
    _, terms = follow(winning._replace(accuracy=jnp.float32(0.9998)), 0.98, 1)
    assert np.isfinite(terms["discriminator_nats"])
