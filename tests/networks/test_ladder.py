from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.config import INJECTIONS
from scaledis.networks import ladder


def small(allocation, injection="map", image_shape=(16, 16, 3)):
    return ladder.Ladder(allocation, image_shape, (4, 4, 4, 4), (8, 16, 16), 2, injection)


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("allocation", [(3,), (1, 2), (2, 1, 1), (1, 2, 1, 1)])
def test_any_depth_encodes_to_units_and_decodes_to_images(allocation, injection):
    network = small(allocation, injection, (32, 48, 1))
    images = jnp.zeros((1, 32, 48, 5))
    params = jax.eval_shape(network.init, jax.random.key(0), images)
    there = jnp.ones(len(allocation))
    mean, log_variance = jax.eval_shape(partial(network.apply, method="encode"), params, images, there)
    assert mean.shape == log_variance.shape == (sum(allocation), 5)
    assert jax.eval_shape(partial(network.apply, method="decode"), params, mean, there).shape == images.shape


def test_a_level_reads_its_own_depth_and_enters_one_stage_below():
    assert [ladder.depths(levels) for levels in (1, 2, 3, 4)] == [(4,), (4, 2), (4, 3, 2), (4, 3, 2, 1)]


def test_the_deepest_convolution_moves_the_top_level_only():
    network = small((1, 1, 1, 1))
    images = jax.random.uniform(jax.random.key(1), (3, 16, 16, 2))
    params = jax.jit(network.init)(jax.random.key(0), images)
    encode = jax.jit(partial(network.apply, method="encode"))
    before = encode(params, images, jnp.ones(4))[0]
    params["params"]["encoder"]["g4"]["bias"] += 1.0
    after = encode(params, images, jnp.ones(4))[0]
    np.testing.assert_array_equal(before[1:], after[1:])
    assert not np.allclose(before[0], after[0])


def test_padding_a_level_changes_no_other_units_parameters():
    images = jnp.zeros((3, 16, 16, 1))
    own, padded = (
        jax.jit(small(allocation).init)(jax.random.key(0), images)["params"] for allocation in [(2, 1), (3, 4)]
    )
    for name, units in {"mean4": 2, "mean2": 1, "log_variance4": 2}.items():
        np.testing.assert_array_equal(own["encoder"][name]["kernel"], padded["encoder"][name]["kernel"][:, :units])
    np.testing.assert_array_equal(own["decoder"]["f_hidden"]["kernel"], padded["decoder"]["f_hidden"]["kernel"][:2])
    np.testing.assert_array_equal(own["decoder"]["u1"]["kernel"], padded["decoder"]["u1"]["kernel"])


def test_the_log_variance_is_bounded():
    network = small((2,))
    images = 1e6 * jax.random.normal(jax.random.key(1), (3, 16, 16, 2))
    params = jax.jit(network.init)(jax.random.key(0), images)
    _, log_variance = jax.jit(partial(network.apply, method="encode"))(params, images, jnp.ones(1))
    low, high = ladder.LOG_VARIANCE_RANGE
    assert low <= log_variance.min() and log_variance.max() <= high


def test_a_level_that_is_absent_adds_nothing_and_one_that_fades_in_reads_a_part():
    network = small((1, 1))
    images, codes = jax.random.uniform(jax.random.key(1), (3, 16, 16, 2)), jnp.ones((2, 2))
    params = jax.jit(network.init)(jax.random.key(0), images)
    encode, decode = (jax.jit(partial(network.apply, method=method)) for method in ("encode", "decode"))
    moved = codes.at[1].add(3.0)
    for presence, moves in [((1.0, 0.0), False), ((1.0, 0.5), True)]:
        change = np.abs(decode(params, moved, jnp.asarray(presence)) - decode(params, codes, jnp.asarray(presence)))
        assert (change.max() > 1e-6) == moves
    part, whole = (encode(params, images, jnp.asarray([1.0, share]))[0] for share in (0.5, 1.0))
    np.testing.assert_array_equal(part[0], whole[0])
    assert np.abs(part[1] - whole[1]).min() > 1e-4
