"""Discriminators against closed forms: codes are Gaussian, so every dependence is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.methods.estimators import density_ratio
from scaledis.networks import discriminator
from scaledis.objectives import partition
from scaledis.sweeps import plan
from tests import tiny
from tests.estimators import ALLOCATION, PARTS, make, seen

BATCH, STEPS = 256, 2500
COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])


def truths():
    """Dependence within the upper level, and between the levels: -1/2 log of ratios of determinants."""
    within = -0.5 * np.log(np.linalg.det(COVARIANCE[:2, :2]))
    return within, -0.5 * np.log(np.linalg.det(COVARIANCE)) - within


@pytest.fixture(scope="module")
def estimator():
    return make("density_ratio", BATCH, 1000, features=64, layers=2, learning_rate=1e-3)


@pytest.fixture(scope="module")
def learned(estimator):
    """What it carries after training on fresh codes, and the mean contrasts of the table on codes that it never saw."""
    root = np.linalg.cholesky(COVARIANCE).astype(np.float32)

    def codes(key, count=BATCH):
        return jax.random.normal(key, (count, 3)) @ root.T

    @jax.jit
    def train(key):
        extra = estimator.init(key, PARTS)

        def step(n, carry):
            extra, _ = carry
            key_codes, key_shuffle = jax.random.split(jax.random.fold_in(key, n))
            return estimator.update(extra, seen(codes(key_codes), None, None), PARTS, key_shuffle)

        first = estimator.update(extra, seen(codes(key), None, None), PARTS, key)
        return jax.lax.fori_loop(0, STEPS, step, first)

    extra, terms = train(jax.random.key(0))
    rows = partition.contrasts(PARTS)
    unseen = codes(jax.random.key(1), 64 * BATCH).reshape(64, BATCH, 3)
    posterior = jnp.full((BATCH, 3), -2.0)
    tables = jax.jit(jax.vmap(lambda codes: estimator.log_density(extra, seen(codes, codes, posterior), PARTS)))(unseen)
    intra, inter = partition.combine(tables, rows.intra), partition.combine(tables, rows.inter)
    return extra, terms, intra.mean((0, 1)), inter.mean()


def test_the_logits_are_the_closed_forms(learned):
    _, terms, intra, inter = learned
    within, across = truths()
    assert float(intra[0]) == pytest.approx(within, rel=0.15)
    assert float(inter) == pytest.approx(across, rel=0.15)
    assert float(intra[1]) == pytest.approx(0, abs=1e-5)  # a level of one unit
    assert 0.5 < terms["discriminator_accuracy"] < 0.9


def test_the_logit_within_a_part_pulls_its_own_codes_and_no_others(estimator, learned):
    codes = jax.random.normal(jax.random.key(2), (BATCH, 3))
    posterior = jnp.full((BATCH, 3), -2.0)
    rows = partition.contrasts(PARTS)

    def penalty(codes):
        table = estimator.log_density(learned[0], seen(codes, codes, posterior), PARTS)
        return partition.combine(table, rows.intra)[:, 0].mean()

    gradient = np.abs(jax.jit(jax.grad(penalty))(codes)).max(0)
    assert (gradient[:2] > 1e-6).all() and gradient[2] < 1e-8


def test_a_discriminator_takes_one_step_of_adam_down_its_cross_entropy(estimator, learned):
    """Codes of the first half of the batch against the shuffled ones of the second half: with half as many, as good."""
    codes = jax.random.normal(jax.random.key(2), (BATCH, 3))
    extra, key = learned[0], jax.random.key(3)
    after, terms = jax.jit(lambda codes: estimator.update(extra, seen(codes, None, None), PARTS, key))(codes)
    by_unit, by_part = jax.jit(lambda codes: density_ratio.shuffled(codes, PARTS, key))(codes[BATCH // 2 :])
    network = discriminator.OfCodes(64, 2, tuple(partition.unit_keys(ALLOCATION).tolist()))
    apply = jax.jit(network.apply)
    # The tasks: within the upper level, within the lower one (a single unit, nothing to tell), across the levels.
    expected, right = 0.0, []
    for task, mask, shuffled in [(0, [1, 1, 0], by_unit), (2, [1, 1, 1], by_part)]:
        params = jax.tree.map(lambda leaf, task=task: leaf[task], extra.params)
        real, fake = (apply(params, (each * jnp.asarray(mask)).T) for each in (codes[: BATCH // 2], shuffled))
        real, fake = jax.nn.sigmoid(real), jax.nn.sigmoid(fake)
        expected -= 0.5 * (np.log(real).mean() + np.log(1 - fake).mean())
        right += [(real > 0.5).mean(), (fake < 0.5).mean()]
    assert float(terms["discriminator_nats"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(terms["discriminator_accuracy"]) == pytest.approx(np.mean(right), abs=1e-6)
    moved = [
        np.abs(a - b).max((1, *range(2, a.ndim))) if a.ndim > 1 else 0 for a, b in leaves(extra.params, after.params)
    ]
    assert all(size[0] > 0 and size[2] > 0 and size[1] == 0 for size in moved)


def leaves(one, other):
    return zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)


def test_shuffling_keeps_every_unit_or_part_and_breaks_what_holds_them_together():
    codes = jnp.arange(12.0).reshape(4, 3)
    by_unit, by_part = density_ratio.shuffled(codes, PARTS, jax.random.key(0))
    for shuffled in (by_unit, by_part):
        np.testing.assert_array_equal(np.sort(shuffled, axis=0), codes)
    np.testing.assert_array_equal(by_part[:, 1] - by_part[:, 0], 1)  # the upper level stays together
    assert not np.array_equal(by_unit[:, 1] - by_unit[:, 0], np.ones(4))


def test_allocations_share_a_program_with_a_discriminator_too():
    configs = [
        tiny.config(objective__estimator="density_ratio", model__allocation=allocation)
        for allocation in [(2, 1), (1, 3)]
    ]
    assert plan.shared(configs[0]) == plan.shared(configs[1])
    terms = [
        members.make_advance(tiny.dataset())(members.init(), 3)[1]
        for members in (tiny.population(configs, tiny.dataset()), tiny.population(configs[1:], tiny.dataset()))
    ]
    for name in ("loss_nats", "inter_nats", "total_correlation_level1_nats"):
        np.testing.assert_allclose(terms[0][name][1], terms[1][name][0], rtol=1e-3, atol=1e-3)


def test_the_discriminators_of_blocks_begin_the_same_whatever_run_trains_beside_them():
    def begun(units):
        estimator = make("density_ratio", 8, allocation=(units,), features=8, layers=2)
        return estimator.init(jax.random.key(0), partition.blocks(units, 2) * (jnp.arange(units) < 4)).params

    for own, padded in leaves(begun(4), begun(6)):
        units = slice(own.shape[1]) if own.ndim > 1 else ...
        for task in (0, 1, -1):  # the two blocks, and all units
            np.testing.assert_array_equal(own[task], padded[task][units])


def test_a_batch_too_small_for_two_halves_is_an_error():
    with pytest.raises(UserError, match="train.batch: 3 is too small for a discriminator"):
        tiny.config(objective__estimator="density_ratio", train__batch=3)
