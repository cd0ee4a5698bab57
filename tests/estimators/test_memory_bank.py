"""The bank of the last images' posteriors, on codes whose dependences are known."""

import jax
import jax.numpy as jnp
import numpy as np

from scaledis import estimators
from scaledis.checkpoint import Checkpoints
from scaledis.estimators.setting import Setting
from scaledis.objectives import aggregate_posterior
from tests import assert_same, tiny
from tests.estimators import ACROSS, ALLOCATION, COUNT, PARTS, WITHIN, error, estimate


def make_bank(length):
    return estimators.make("memory_bank", Setting(8, COUNT, ALLOCATION, bank=length))


def make_stratified(batch):
    return estimators.make("minibatch_stratified", Setting(batch, COUNT, ALLOCATION))


def test_it_agrees_with_the_closed_form():
    np.testing.assert_allclose(estimate("memory_bank", 16, 1024), [WITHIN, ACROSS], atol=0.03)


def test_the_bias_shrinks_as_the_bank_grows():
    errors = [error("memory_bank", 16, bank) for bank in (16, 240, 1024)]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]


def test_a_bank_is_stratified_sampling_over_all_that_it_has_seen():
    """With 8 images at hand and 8 remembered: the density of a stratified batch of 16, of its first 8 codes."""
    estimator = make_bank(24)
    rng = np.random.default_rng(0)
    codes, mean, log_variance = (rng.normal(size=(16, 3)).astype(np.float32) for _ in range(3))
    new, old = slice(0, 8), slice(8, 16)
    extra = estimator.init(jax.random.key(0), PARTS)
    empty = estimator.log_density(extra, codes[old], mean[old], log_variance[old], PARTS)
    batch = make_stratified(8)
    np.testing.assert_allclose(
        empty, batch.log_density((), codes[old], mean[old], log_variance[old], PARTS), rtol=1e-5, atol=1e-5
    )
    extra, terms = estimator.update(extra, codes[old], mean[old], log_variance[old], PARTS, None)
    assert terms["bank"] == 8
    found = estimator.log_density(extra, codes[new], mean[new], log_variance[new], PARTS)
    whole = make_stratified(16).log_density((), codes, mean, log_variance, PARTS)
    np.testing.assert_allclose(found, whole[:8], rtol=1e-5, atol=1e-5)


def test_a_bank_that_is_empty_over_whole_blocks_has_the_gradient_of_the_batch():
    codes, mean, log_variance = (np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32) for _ in range(3))
    bank = make_bank(3 * aggregate_posterior.BLOCK)
    alone = make_stratified(8)

    def gradient(estimator, extra):
        return jax.grad(lambda seen: estimator.log_density(extra, *seen, PARTS).sum())((codes, mean, log_variance))

    found, expected = gradient(bank, bank.init(jax.random.key(0), PARTS)), gradient(alone, ())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_bank_forgets_the_oldest():
    estimator = make_bank(20)
    extra = estimator.init(jax.random.key(0), PARTS)
    for value in range(4):
        batch = jnp.full((8, 3), float(value))
        extra, terms = estimator.update(extra, batch, batch, -batch, PARTS, None)
    np.testing.assert_array_equal(extra.mean[:, 0], np.repeat([3, 2, 1], [8, 8, 4]))
    np.testing.assert_array_equal(extra.log_variance, -extra.mean)
    assert terms["bank"] == 20


def test_the_bank_is_in_the_checkpoint(tmp_path):
    members = tiny.population([tiny.config(objective__estimator="memory_bank")], tiny.dataset())
    advance = members.make_advance(tiny.dataset())
    runs, _ = advance(members.init(), 5)
    Checkpoints(tmp_path, 1).save(5, runs, {})
    whole, terms = advance(runs, 3)
    step, restored = Checkpoints(tmp_path, 1).restore_newest(members.shapes)
    assert step == 5 and int(restored.state.extra.filled[0]) == 24
    assert_same(whole, advance(restored, 3)[0])
    assert all(np.isfinite(value).all() for value in terms.values())
