"""All estimators of the aggregate posterior on codes whose dependences are known; density ratios in their own file."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis import estimators, population
from scaledis.checkpoint import Checkpoints
from scaledis.objectives import aggregate_posterior, partition
from tests import tiny

SIZE, NOISE, STEPS = 480_000, 0.2, 60
PARTS = partition.levels((2, 1))
MEANS = 0.8 * np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])  # covariance of the posterior means


def total_correlation(covariance):
    scale = np.sqrt(np.diag(covariance))
    return -0.5 * np.linalg.slogdet(covariance / np.outer(scale, scale))[1]


CODES = MEANS + NOISE * np.eye(3)
WITHIN = total_correlation(CODES[:2, :2])
ACROSS = total_correlation(CODES) - WITHIN


@functools.cache
def estimate(name, batch, bank=1):
    """Mean dependence within the upper level and across the levels, over batches seen once the bank is full."""
    config = tiny.config(train__batch=batch, objective__bank=bank)
    estimator = estimators.ESTIMATORS[name](config, SIZE)
    rows, root = partition.contrasts(PARTS), np.linalg.cholesky(MEANS).astype(np.float32)

    def step(memory, key):
        of_mean, of_noise = jax.random.split(key)
        mean = jax.random.normal(of_mean, (batch, 3)) @ root.T
        codes = mean + np.sqrt(NOISE) * jax.random.normal(of_noise, (batch, 3))
        posteriors = codes, mean, jnp.full((batch, 3), np.log(NOISE))
        table = estimator.log_density(memory, *posteriors, PARTS)
        memory, _ = estimator.remember(memory, *posteriors, PARTS, key)
        return memory, (partition.combine(table, rows.intra).mean(0)[0], partition.combine(table, rows.inter).mean())

    filling = -(-bank // batch)
    keys = jax.random.split(jax.random.key(1), STEPS + filling)
    values = jax.jit(lambda: jax.lax.scan(step, estimator.init(jax.random.key(0), PARTS), keys)[1])()
    return np.asarray([value[filling:].mean() for value in values])


@pytest.mark.parametrize(
    ("name", "batch", "bank"),
    [("minibatch_weighted", 256, 1), ("minibatch_stratified", 256, 1), ("memory_bank", 16, 1024)],
)
def test_all_agree_with_the_closed_form(name, batch, bank):
    np.testing.assert_allclose(estimate(name, batch, bank), [WITHIN, ACROSS], atol=0.03)


@pytest.mark.parametrize("name", ["minibatch_weighted", "minibatch_stratified"])
def test_the_bias_shrinks_as_the_batch_grows(name):
    errors = [np.abs(estimate(name, batch) - [WITHIN, ACROSS]).sum() for batch in (16, 64, 256)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_bias_shrinks_as_the_bank_grows():
    errors = [np.abs(estimate("memory_bank", 16, bank) - [WITHIN, ACROSS]).sum() for bank in (16, 240, 1024)]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]


def test_a_bank_is_stratified_sampling_over_all_that_it_has_seen():
    """With 8 images at hand and 8 remembered: the density of a stratified batch of 16, of its first 8 codes."""
    estimator = aggregate_posterior.memory_bank(8, SIZE, 24)
    rng = np.random.default_rng(0)
    codes, mean, log_variance = (rng.normal(size=(16, 3)).astype(np.float32) for _ in range(3))
    new, old = slice(0, 8), slice(8, 16)
    memory = estimator.init(jax.random.key(0), PARTS)
    empty = estimator.log_density(memory, codes[old], mean[old], log_variance[old], PARTS)
    batch = aggregate_posterior.of_batch(aggregate_posterior.minibatch_stratified(8, SIZE))
    np.testing.assert_allclose(
        empty, batch.log_density((), codes[old], mean[old], log_variance[old], PARTS), rtol=1e-5, atol=1e-5
    )
    memory, terms = estimator.remember(memory, codes[old], mean[old], log_variance[old], PARTS, None)
    assert terms["bank"] == 8
    found = estimator.log_density(memory, codes[new], mean[new], log_variance[new], PARTS)
    whole = aggregate_posterior.of_batch(aggregate_posterior.minibatch_stratified(16, SIZE)).log_density(
        (), codes, mean, log_variance, PARTS
    )
    np.testing.assert_allclose(found, whole[:8], rtol=1e-5, atol=1e-5)


def test_a_bank_that_is_empty_over_whole_blocks_has_the_gradient_of_the_batch():
    codes, mean, log_variance = (np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32) for _ in range(3))
    bank = aggregate_posterior.memory_bank(8, SIZE, 3 * aggregate_posterior.BLOCK)
    alone = aggregate_posterior.of_batch(aggregate_posterior.minibatch_stratified(8, SIZE))

    def gradient(estimator, memory):
        return jax.grad(lambda seen: estimator.log_density(memory, *seen, PARTS).sum())((codes, mean, log_variance))

    found, expected = gradient(bank, bank.init(jax.random.key(0), PARTS)), gradient(alone, ())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_bank_forgets_the_oldest():
    estimator = aggregate_posterior.memory_bank(8, SIZE, 20)
    memory = estimator.init(jax.random.key(0), PARTS)
    for value in range(4):
        batch = jnp.full((8, 3), float(value))
        memory, terms = estimator.remember(memory, batch, batch, -batch, PARTS, None)
    np.testing.assert_array_equal(memory.mean[:, 0], np.repeat([3, 2, 1], [8, 8, 4]))
    np.testing.assert_array_equal(memory.log_variance, -memory.mean)
    assert terms["bank"] == 20


def test_the_bank_is_in_the_checkpoint(tmp_path):
    configs = [tiny.config(objective__estimator="memory_bank")]
    program = population.program(configs, tiny.dataset(), population.build(configs, tiny.dataset()))
    runs, _ = program.advance(program.init(), 5)
    Checkpoints(tmp_path, 1).save(5, runs)
    whole, terms = program.advance(runs, 3)
    _, restored = Checkpoints(tmp_path, 1).restore(program.shapes)
    assert int(restored.method.memory.filled[0]) == 24
    resumed, _ = program.advance(restored, 3)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(value).all() for value in terms.values())


def test_allocations_share_a_program_with_a_discriminator_too():
    configs = [
        tiny.config(objective__estimator="density_ratio", model__allocation=allocation)
        for allocation in [(2, 1), (1, 3)]
    ]
    assert population.shared(configs[0]) == population.shared(configs[1])
    pair = population.program(configs, tiny.dataset(), population.build(configs, tiny.dataset()))
    _, terms = pair.advance(pair.init(), 3)
    alone = population.program(configs[1:], tiny.dataset(), population.build(configs[1:], tiny.dataset()))
    _, own = alone.advance(alone.init(), 3)
    for name in ("loss_nats", "inter_nats", "total_correlation_level1_nats"):
        np.testing.assert_allclose(terms[name][1], own[name][0], rtol=1e-3, atol=1e-3)
