"""`down` and `up` against lax.conv in float64: values, every gradient, under vmap, jit, scan and shard_map."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.networks.conv import down, up

SHAPES = [(3, 32, 8, 8, 4), (32, 32, 4, 6, 2), (16, 16, 2, 8, 1), (1, 3, 6, 4, 1), (3, 1, 2, 2, 3), (4, 9, 10, 2, 2)]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def value_and_gradients(primitive, platform, x, kernel, cotangent):
    value, pull_back = jax.vjp(partial(primitive, platform=platform), x, kernel)
    return value, *pull_back(cotangent)


def size_after(primitive, height, width):
    return (height // 2, width // 2) if primitive is down else (2 * height, 2 * width)


@pytest.mark.parametrize("primitive", [down, up])
@pytest.mark.parametrize("i, o, height, width, n", SHAPES)
@pytest.mark.parametrize("batched", [False, True])
def test_values_and_gradients_are_those_of_lax_conv(primitive, i, o, height, width, n, batched):
    runs = (2,) if batched else ()
    args = (
        normal(0, *runs, i, height, width, n),
        normal(1, *runs, 4, 4, i, o),
        normal(2, *runs, o, *size_after(primitive, height, width), n),
    )
    results = []
    for platform in ("cpu", "gpu"):
        function = partial(value_and_gradients, primitive, platform)
        results.append(jax.jit(jax.vmap(function) if batched else function)(*args))
    for ours, oracle in zip(*results, strict=True):
        assert ours.shape == oracle.shape
        np.testing.assert_allclose(ours, oracle, rtol=0, atol=1e-10)
