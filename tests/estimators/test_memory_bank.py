"""The bank of the last images' posteriors, on codes whose dependences are known and against its rule in numpy."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.estimators import memory_bank
from scaledis.objectives import aggregate_posterior, partition
from scaledis.types import ImageSpec, Posterior
from scaledis.workdir.checkpoint import Checkpoints
from tests import assert_same, tiny
from tests.estimators import ACROSS, COUNT, PARTS, WITHIN, error, estimate, make, seen

SIZE, BATCH = 20, 8


def make_bank(length, batch=8, size=COUNT):
    return make("memory_bank", batch, size, length)


def make_stratified(batch):
    return make("minibatch_stratified", batch)


def batches(count: int, seed: int) -> Iterator[Posterior]:
    """Batches of 20 images, drawn with replacement, whose posteriors change from step to step."""
    rng = np.random.default_rng(seed)
    first = np.asarray([3, 3, 5, 6, 3, 7, 0, 5], np.int32)  # two images twice and more
    for number in [first, *rng.integers(0, SIZE, (count - 1, BATCH), dtype=np.int32)]:
        mean, log_variance = rng.normal(size=(2, SIZE, 3)).astype(np.float32)[:, number] * [[[1.0]], [[0.3]]]
        codes = mean + np.exp(0.5 * log_variance) * rng.normal(size=mean.shape)
        yield seen(*(each.astype(np.float32) for each in (codes, mean, log_variance)), number)


def mixture(codes, own, others) -> np.ndarray:
    """log q of all groups at one code [G]: the own posterior at 1 / N, the others share the rest."""
    mean, log_variance = np.asarray([own, *others], np.float64).transpose(1, 0, 2)
    log_q = -0.5 * ((codes - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi))
    weights = np.asarray([1 / SIZE] + [(1 - 1 / SIZE) / max(len(others), 1)] * len(others))
    groups = log_q @ np.asarray(partition.membership(PARTS)).T
    return np.log((weights[:, None] * np.exp(groups)).sum(0))


def test_it_agrees_with_the_closed_form():
    np.testing.assert_allclose(estimate("memory_bank", 16, 1024), [WITHIN, ACROSS], atol=0.03)


def test_the_bias_shrinks_as_the_bank_grows():
    errors = [error("memory_bank", 16, bank) for bank in (16, 240, 1024)]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize("length", [5, 12, 40])
def test_every_image_counts_once_with_its_newest_posterior(length):
    """Two runs at once, against a list of the images that were seen last: what it is, and what it is compared with."""
    estimator = make_bank(length, BATCH, SIZE)
    step = jax.jit(jax.vmap(lambda *seen: (estimator.log_density(*seen, PARTS), *estimator.update(*seen, PARTS, None))))
    extra = jax.vmap(lambda key: estimator.init(key, PARTS))(jnp.arange(2))
    banks: list[dict[int, np.ndarray]] = [{}, {}]  # image -> its posterior, the newest first
    for pair in zip(batches(16, seed=0), batches(16, seed=1), strict=True):
        table, extra, terms = step(extra, jax.tree.map(lambda *each: jnp.stack(each), *pair))
        for run, batch in enumerate(pair):
            numbers = batch.number.tolist()
            known = dict(zip(numbers, zip(batch.mean, batch.log_variance, strict=True), strict=True))
            banks[run] = known | {image: old for image, old in banks[run].items() if image not in known}
            for place, image in enumerate(numbers):
                others = [posterior for other, posterior in banks[run].items() if other != image]
                expected = mixture(batch.codes[place], known[image], others)
                np.testing.assert_allclose(table[run, place], expected, rtol=1e-4, atol=1e-4)
            banks[run] = dict(list(banks[run].items())[: min(length, SIZE)])
            there = np.asarray(extra.number[run]) >= 0
            assert extra.number[run][there].tolist() == list(banks[run]) and int(terms["bank"][run]) == there.sum()
            np.testing.assert_array_equal(extra.mean[run][there], [mean for mean, _ in banks[run].values()])
    assert len(banks[0]) == min(length, SIZE)  # at last every image is remembered, or as many as there is room for


def test_the_gradient_is_that_of_the_batch_alone():
    """Of the mixture over distinct images with what is remembered held fixed, by finite differences."""
    estimator = make_bank(12, BATCH, SIZE)
    old, new = batches(2, seed=3)
    extra, _ = estimator.update(estimator.init(None, PARTS), old, PARTS, None)
    weights = np.random.default_rng(0).normal(size=(BATCH, 6)).astype(np.float32)
    new = new._replace(number=np.asarray([1, 1, 3, 9, 8, 5, 9, 2], np.int32))  # twice in the batch, and in the bank
    for group in ([0, 1], [3, 6]):  # equal images have equal posteriors
        for array in (new.mean, new.log_variance):
            array[group[1]] = array[group[0]]

    def total(codes, mean, log_variance):
        batch = seen(codes, mean, log_variance, new.number)
        return (weights * estimator.log_density(extra, batch, PARTS)).sum()

    def by_rule(codes, mean, log_variance):
        known = dict(zip(new.number.tolist(), zip(mean, log_variance, strict=True), strict=True))
        kept = [number for number in extra.number.tolist() if number >= 0 and number not in known]
        places = {number: np.asarray(extra.number).tolist().index(number) for number in kept}
        whole = known | {n: (np.asarray(extra.mean[i]), np.asarray(extra.log_variance[i])) for n, i in places.items()}
        return sum(
            weights[place] @ mixture(codes[place], whole[image], [p for n, p in whole.items() if n != image])
            for place, image in enumerate(new.number.tolist())
        )

    gradients = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*new[:3])
    for kind, gradient in enumerate(gradients):
        for image in (1, 3, 9, 2):
            same = new.number == image if kind else np.arange(BATCH) == np.flatnonzero(new.number == image)[0]
            moved = [np.float64(each) for each in new[:3]]
            direction = np.zeros((BATCH, 3))
            direction[same] = [1.0, -0.5, 0.3]
            values = []
            for sign in (1, -1):
                at = list(moved)
                at[kind] = moved[kind] + sign * 1e-5 * direction
                values.append(by_rule(*at))
            assert (gradient * direction).sum() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3, abs=1e-3)


def test_a_bank_is_stratified_sampling_over_all_that_it_has_seen():
    """With 8 images at hand and 8 remembered: the density of a stratified batch of 16, of its first 8 codes."""
    estimator = make_bank(24)
    rng = np.random.default_rng(0)
    codes, mean, log_variance = (rng.normal(size=(16, 3)).astype(np.float32) for _ in range(3))
    numbers = np.arange(16, dtype=np.int32)
    new, old = (seen(codes[part], mean[part], log_variance[part], numbers[part]) for part in (slice(8), slice(8, 16)))
    extra = estimator.init(jax.random.key(0), PARTS)
    log_density = jax.jit(lambda extra, posterior: estimator.log_density(extra, posterior, PARTS))
    empty = log_density(extra, old)
    np.testing.assert_allclose(empty, make_stratified(8).log_density((), old, PARTS), rtol=1e-5, atol=1e-5)
    extra, terms = jax.jit(lambda extra: estimator.update(extra, old, PARTS, None))(extra)
    assert terms["bank"] == 8
    found = log_density(extra, new)
    whole = make_stratified(16).log_density((), seen(codes, mean, log_variance), PARTS)
    np.testing.assert_allclose(found, whole[:8], rtol=1e-5, atol=1e-5)


def test_a_weighted_bank_has_the_ceiling_of_all_that_it_has_seen():
    config = tiny.config(train__batch=8, objective__bank=12)
    bank = memory_bank.make_memory_bank(config, ImageSpec((16, 16, 3), COUNT), weigh=aggregate_posterior.weighted_among)
    rng = np.random.default_rng(0)
    mean, codes = rng.normal(size=(2, 16, 3)).astype(np.float32)
    log_variance = np.full_like(mean, -1)
    first, second = (
        seen(codes[each], mean[each], log_variance[each], np.arange(16, dtype=np.int32)[each])
        for each in (slice(8), slice(8, 16))
    )
    extra, _ = bank.update(bank.init(jax.random.key(0), PARTS), first, PARTS, jax.random.key(0))
    groups = partition.membership(PARTS)
    both = [np.concatenate([one, other]) for one, other in zip(second[1:3], first[1:3], strict=True)]
    alike = np.full((8, 16), -np.log(16), np.float32)
    wanted = aggregate_posterior.log_density(second.codes, *both, alike, groups)
    np.testing.assert_allclose(bank.log_density(extra, second, PARTS), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        np.exp(aggregate_posterior.weighted_among(COUNT, np.zeros((2, 3), bool))), np.eye(2, 3), atol=1e-6
    )  # the own posterior alone


def test_a_bank_that_is_empty_over_whole_blocks_has_the_gradient_of_the_batch():
    batch = tuple(np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32) for _ in range(3))
    bank = make_bank(3 * aggregate_posterior.BLOCK)
    alone = make_stratified(8)

    def gradient(estimator, extra):
        return jax.jit(jax.grad(lambda batch: estimator.log_density(extra, seen(*batch), PARTS).sum()))(batch)

    found, expected = gradient(bank, bank.init(jax.random.key(0), PARTS)), gradient(alone, ())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_no_array_of_every_code_posterior_and_unit_is_held():
    batch, length = 64, 8192
    estimator = make_bank(length, batch)
    shape = jax.ShapeDtypeStruct((batch, 3), jnp.float32)
    extra = jax.eval_shape(lambda: estimator.init(None, PARTS))

    def loss(batch, extra, number):
        return estimator.log_density(extra, seen(*batch, number), PARTS).sum()

    number = jax.ShapeDtypeStruct((batch,), jnp.int32)
    compiled = jax.jit(jax.grad(loss)).lower((shape, shape, shape), extra, number).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * batch * (batch + length) * 3


def test_the_bank_is_in_the_checkpoint(tmp_path):
    members = tiny.population([tiny.config(objective__estimator="memory_bank")], tiny.dataset())
    advance = members.make_advance(tiny.dataset())
    runs, _ = advance(members.init(), 5)
    Checkpoints(tmp_path, 1).save(5, runs, {})
    whole, terms = advance(runs, 3)
    step, restored = Checkpoints(tmp_path, 1).restore_newest(members.shapes)
    assert step == 5 and len(np.unique(restored.state.extra.number)) == 24
    assert_same(whole, advance(restored, 3)[0])
    assert all(np.isfinite(value).all() for value in terms.values())
