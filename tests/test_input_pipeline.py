"""Images from the device and from the host are the same, and so are the runs that they train."""

import dataclasses

import jax
import numpy as np

from scaledis import population
from scaledis.methods import Method
from tests import tiny

ON_DISK = dataclasses.replace(tiny.dataset(), source=np.asarray(tiny.dataset().source))


def trained(memory, steps):
    configs = [
        tiny.config(seed=seed, data__memory=memory, data__correlation=(("ground", "place", 0.3),)) for seed in (0, 1)
    ]
    program = population.program(configs, ON_DISK, population.build(configs, ON_DISK))
    runs = program.init()
    for count in steps:
        runs, terms = program.advance(runs, count)
    return jax.device_get((runs, terms))


def test_a_run_fed_from_the_host_is_the_run_fed_from_the_device():
    (device, device_terms), (host, host_terms) = trained("device", [2, 5]), trained("host", [2, 5])
    np.testing.assert_array_equal(device.step, host.step)
    for name in device_terms:
        np.testing.assert_allclose(host_terms[name], device_terms[name], rtol=1e-4, atol=1e-4)
    for a, b in zip(jax.tree.leaves(host), jax.tree.leaves(device), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_where_a_run_fed_from_the_host_is_interrupted_changes_nothing():
    whole, parts = trained("host", [7])[0], trained("host", [1, 4, 2])[0]
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_batches_for_the_same_key_in_both_ways():
    """The images that a step gets, not what it makes of them: seen by a method that only keeps them."""
    keep = Method(
        init=lambda key, hyperparameters: np.zeros((8, 16, 16, 3), np.uint8),
        update=lambda state, images, key: (images, {"loss_nats": images.mean(dtype=np.float32)}),
        encode=None,
        decode=None,
    )
    seen = {}
    for memory in ("device", "host"):
        configs = [tiny.config(seed=seed, data__memory=memory, data__held_out=0.2) for seed in (3, 4)]
        program = population.program(configs, ON_DISK, keep)
        runs, terms = program.advance(program.init(), 9)
        seen[memory] = jax.device_get((runs.method, terms["loss_nats"]))
    np.testing.assert_array_equal(seen["device"][0], seen["host"][0])
    np.testing.assert_allclose(seen["device"][1], seen["host"][1], rtol=1e-6)
    assert not np.array_equal(seen["host"][0][0], seen["host"][0][1])
