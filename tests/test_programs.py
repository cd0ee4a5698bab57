"""Programs for other devices, and the arithmetic that a step needs."""

import importlib.util

import jax
import numpy as np
import pytest

from experiments.benchmarks import accelerator
from scaledis.core.errors import UserError
from scaledis.planning import programs
from scaledis.sweeps.configs import make_config
from scaledis.training.population import Population
from scaledis.types import ImageSpec
from tests import tiny

DATASET = tiny.dataset()


def test_the_arithmetic_of_a_step_is_that_of_its_layers_three_times_but_for_the_gradient_of_the_images():
    population = tiny.population([tiny.config(method__name="vae", model__network="")], DATASET)
    params = population.shapes.state.params["network"]
    side, multiplications = DATASET.image_shape[0], {}
    for name, layer in {**params["encoder"], **params["decoder"]}.items():
        kernel = layer["kernel"].shape[1:]
        depth = int(name[-1]) if name[0] in "gu" else 0
        places = {"g": side >> depth, "u": side >> depth + 1, "f": side >> 1}.get(name[0], 1) if len(kernel) == 4 else 1
        multiplications[name] = np.prod(kernel) * places**2
    batch = population.config.train.batch
    assert programs.needed_flops(population) == 2 * batch * (3 * sum(multiplications.values()) - multiplications["g1"])


def test_the_discriminators_and_a_loop_belong_to_the_arithmetic_of_a_step():
    def needed(name):
        return programs.needed_flops(tiny.population([tiny.config(method__name=name)], DATASET))

    assert needed("factor_vae") > needed("beta_vae")
    looped = jax.make_jaxpr(lambda x: jax.lax.scan(lambda x, _: (x @ x, None), x, length=5))(np.eye(3))
    assert programs._multiplications(looped.jaxpr) == 5 * 27


def test_a_step_is_lowered_for_its_devices_without_its_data_and_needs_no_other_device():
    population = tiny.population([tiny.config(seed=seed, data__memory="device") for seed in range(2)], DATASET)
    found = programs.compiled(population, DATASET)
    assert found.collectives == found.wide == 0 and found.donated and found.temporary > 0


def test_a_step_of_the_papers_network_does_no_more_arithmetic_than_it_needs_and_holds_no_collective():
    """As products, the form of a CPU and of a GPU: phases with a border cost a little more than the convolution."""
    images = accelerator.images(64, 96)
    config = make_config("scale_vlae", {"data.memory": "device", "train.batch": 8})
    population = Population([config], ImageSpec(images.image_shape, images.size))
    found = programs.compiled(population, images)
    assert 1 <= found.flops / programs.needed_flops(population) <= 1.15
    assert {each.kind for each in found.instructions} == {"dot"}  # no convolution, so no window and no groups
    assert found.collectives == found.wide == 0 and found.donated


def test_an_unknown_device_and_a_compiler_that_is_missing_are_sentences():
    with pytest.raises(UserError, match="kind: 'h1000' is unknown. Did you mean 'h100'"):
        programs.devices("h1000")
    if importlib.util.find_spec("jax_plugins") is None:
        with pytest.raises(
            UserError, match=r"no compiler for h100 is installed; pip install 'scaledis\[gpu-compiler\]'"
        ):
            programs.devices("h100")


def test_a_compiler_that_another_process_uses_is_a_sentence(monkeypatch):
    def busy(*_, **__):
        raise RuntimeError("ABORTED: Internal error when accessing libtpu multi-process lockfile.")

    monkeypatch.setattr(programs.topologies, "get_topology_desc", busy)
    with pytest.raises(UserError, match="another process uses the compiler for v5e"):
        programs.devices("v5e")
