"""Programs for other devices: what is read from their text, and the arithmetic that a step needs."""

import importlib.util

import jax
import jax.numpy as jnp
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
CUDNN = """
HloModule step, input_output_alias={ {0}: (0, {}, may-alias) }
  %x = f32[64,64,64,48]{3,2,1,0} parameter(0)
  %k = f32[512,4,4,3]{3,2,1,0} parameter(1)
  %y = (f32[64,32,32,512]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), window={size=4x4 stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, feature_group_count=16, custom_call_target="__cudnn$convForward"
  %g = f32[64,32,32,8]{3,2,1,0} parameter(2)
  %z = f32[64,64,64,3]{3,2,1,0} parameter(3)
  %dk = (f32[8,4,4,3]{3,2,1,0}, u8[0]{0}) custom-call(%z, %g), window={size=4x4 stride=2x2}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %s = f64[8]{0} all-reduce-start(%w)
"""  # noqa: E501


def test_calls_of_cudnn_are_counted_with_their_windows_and_groups():
    found = programs.read(CUDNN, temporary=7)
    forward, backward = found.instructions
    assert forward == programs.Arithmetic("convForward", 2 * 64 * 32 * 32 * 512 * 3 * 16, 16, 16)
    assert backward == programs.Arithmetic("convBackwardFilter", 2 * 64 * 32 * 32 * 8 * 3 * 16, 16, 1)
    assert found[1:] == (1, 1, True, 7) and found.flops == forward.flops + backward.flops


def test_a_product_and_a_convolution_that_xla_compiled_here_are_counted():
    product = jax.jit(lambda a, b: a @ b).lower(jnp.zeros((3, 50)), jnp.zeros((50, 7))).compile().as_text()
    assert programs.read(product).instructions == (programs.Arithmetic("dot", 2 * 3 * 50 * 7),)
    images, kernel = jnp.zeros((2, 8, 8, 3)), jnp.zeros((4, 4, 3, 5))
    layout = ("NHWC", "HWIO", "NHWC")
    convolve = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=layout))
    [found] = programs.read(convolve.lower(images, kernel).compile().as_text()).instructions
    assert found.flops == 2 * 2 * 4 * 4 * 5 * 4 * 4 * 3 and (found.window, found.groups) == (16, 1)


def test_the_arithmetic_of_a_step_is_that_of_its_layers_three_times():
    population = tiny.population([tiny.config(method__name="vae")], DATASET)
    params = population.shapes.state.params["network"]
    side, multiplications = DATASET.image_shape[0], 0
    for name, layer in {**params["encoder"], **params["decoder"]}.items():
        kernel = layer["kernel"].shape[1:]
        depth = int(name[-1]) if name[0] in "gu" else 0
        places = {"g": side >> depth, "u": side >> depth + 1, "f": side >> 1}.get(name[0], 1) if len(kernel) == 4 else 1
        multiplications += np.prod(kernel) * places**2
    assert programs.needed_flops(population) == 6 * 8 * multiplications


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
        with pytest.raises(UserError, match=r"no compiler for h100 is installed; pip install jax\[cuda12\]"):
            programs.devices("h100")
