"""Programs for devices that are not here: compiles a population's step for a GPU or a TPU, and reads XLA's program.

XLA's compilers need no device, only its description. The extra `gpu-compiler` brings the compiler for NVIDIA's GPUs,
`tpu-compiler` that for TPUs. A compiled program does not tell its time, the algorithm and the workspace of cuDNN, nor
the tiles that tuning on the device would choose.
"""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.extend.core
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from scaledis.config import Config, Data
from scaledis.core import registry, runtime
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.networks import conv
from scaledis.planning import hlo
from scaledis.planning.targets import Target, targets
from scaledis.training.population import Population, select
from scaledis.types import Batch, ImageSpec

Sides = tuple[int, ...]

GPU = (
    "gpu_device_info {{ threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 "
    "shared_memory_per_core: {shared} threads_per_core_limit: 2048 core_count: {cores} fpus_per_core: {units} "
    "block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: {bandwidth} "
    "l2_cache_size: {cache} clock_rate_ghz: {clock} device_memory_size: {memory} "
    "shared_memory_per_block_optin: {optin} cuda_compute_capability {{ major: {major} }} "
    "registers_per_core_limit: 65536 registers_per_block_limit: 65536 }} platform_name: 'CUDA' "
    "dnn_version_info {{ major: 9 minor: 10 }} device_description_str: '{name}'"
)
FEW = 96  # images: where they are gathered from costs nearly nothing
NO_CLOUD = {  # where libtpu would look for its devices
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def devices(kind: str, count: int = 1) -> list[jax.Device]:
    """Returns descriptions of `count` devices of a kind of targets.json.

    Raises UserError for an unknown kind, and if the compiler is not installed.
    """
    target = registry.choose("kind", kind, targets())
    try:
        if target.chip:
            about = GPU.format(
                **target.chip, name=target.name, memory=int(target.memory), bandwidth=int(target.bandwidth)
            )
            shape = f"1x1x{count}"
            described = topologies.get_topology_desc(kind, platform="cuda", target_config=about, topology=shape)
        else:
            os.environ.update({name: os.environ.get(name, value) for name, value in NO_CLOUD.items()})
            described = topologies.get_topology_desc(_topology(kind, target, count), platform="tpu")
    except (NotImplementedError, RuntimeError) as error:
        extra = f"scaledis[{'gpu' if target.chip else 'tpu'}-compiler]"
        if "lockfile" in str(error):
            raise UserError(
                f"kind: another process uses the compiler for {kind}, which one can use at a time."
            ) from error
        raise UserError(f"kind: no compiler for {kind} is installed; pip install '{extra}' brings it.") from error
    return list(described.devices[:count])


def _topology(kind: str, target: Target, count: int) -> str:
    """Returns the name of the smallest slice with `count` chips: v5e:4x4, v5p:2x2x4."""
    chips = 1 << (max(count, target.host) - 1).bit_length()
    first = 1 << (chips.bit_length() - 1) // 2
    sides = (first, chips // first) if target.axes == 2 else (2, 2, chips // 4)
    return f"{kind}:{'x'.join(map(str, sides))}"


@runtime.pinned()
def compiled(population: Population, dataset: Dataset) -> hlo.Program:
    """Returns the step of a population for the devices of its mesh, which need not be there.

    `data.memory` of its config must not be auto, which asks the device.
    """
    lowered = population.make_advance(dataset).lower(population.shapes)
    gpu = runtime.platform(population.program.by_run.mesh.devices.flat) == "gpu"
    untimed: dict[str, str | bool] = {"xla_gpu_autotune_level": "0"} if gpu else {}  # there is nothing to time on
    program = lowered.compile(untimed)
    found, memory = hlo.read(program.as_text() or ""), program.memory_analysis()
    if memory is None:
        return found
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    held = memory.argument_size_in_bytes + results + memory.generated_code_size_in_bytes
    return found._replace(temporary=memory.temp_size_in_bytes, held=held)


def step(config: Config, images: ImageSpec, kind: str, runs: int, chips: int = 1) -> tuple[Population, hlo.Program]:
    """Returns `runs` runs of a config on some chips of a kind, and their step, with a few images on every chip.

    Raises UserError for an unknown kind, and if the compiler is not installed.
    """
    stored = np.zeros((FEW, *images.shape), np.uint8)
    numbers = (np.arange(float(FEW)),)
    few = Dataset("few", ("number",), numbers, images.shape, stored, lambda kept, index: kept[index])
    memory = "host" if config.data.memory == "host" else "device"
    config = dataclasses.replace(config, data=Data(memory=memory))
    population = Population([config] * runs, images, mesh_of(devices(kind, chips)))
    return population, compiled(population, few)


def mesh_of(described: list[jax.Device]) -> Mesh:
    """Returns the mesh of a population over these devices."""
    return Mesh(np.asarray(described).reshape(1, -1), ("copies", "runs"))


@runtime.pinned()
def needed_flops(population: Population) -> int:
    """Returns the arithmetic that a step of a run needs: 2 for each multiplication of its convolutions and products.

    They are counted in the step as it is written, before XLA optimizes it, with every convolution as one operation.
    The zeros of a border count, those of a dilation do not. What a loop repeats counts as often.
    """
    run = jax.eval_shape(lambda runs: select(runs, 0), population.shapes)
    shape = (population.config.train.batch, *population.images.shape)
    arrays: Any = jax.ShapeDtypeStruct(shape, np.uint8), jax.ShapeDtypeStruct(shape[:1], np.int32)
    key = jax.eval_shape(jax.random.wrap_key_data, run.key)
    with conv.using("lax"):
        update = jax.make_jaxpr(population.program.method.update)(run.state, Batch(*arrays), key)
    return 2 * _multiplications(update.jaxpr)


def _multiplications(jaxpr: jax.extend.core.Jaxpr) -> int:
    """Returns the multiplications of all convolutions and products of a jaxpr."""
    found = 0
    for each in jaxpr.eqns:
        inner = sum(map(_multiplications, jax.extend.core.jaxprs_in_params(each.params)))
        found += inner * each.params.get("length", 1)  # of a scan
        if each.primitive.name in COUNTS:
            arrays: Any = [variable.aval for variable in (*each.invars[:2], each.outvars[0])]
            left, right, out = (array.shape for array in arrays)
            found += COUNTS[each.primitive.name](left, right, out, each.params)
    return found


def _of_product(left: Sides, right: Sides, out: Sides, params: Mapping[str, Any]) -> int:
    summed: Sides = params["dimension_numbers"][0][0]
    return math.prod(out) * math.prod([left[axis] for axis in summed])


def _of_convolution(left: Sides, right: Sides, out: Sides, params: Mapping[str, Any]) -> int:
    numbers: jax.lax.ConvDimensionNumbers = params["dimension_numbers"]
    found = math.prod([out[axis] for axis in numbers.out_spec[:2]]) * right[numbers.rhs_spec[1]]
    axes = zip(numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    for number, (tap_axis, place_axis) in enumerate(axes):
        step, apart, dilation = (params[name][number] for name in ("window_strides", "rhs_dilation", "lhs_dilation"))
        before = params["padding"][number][0]
        taps, places = np.arange(right[tap_axis]) * apart, np.arange(out[place_axis]) * step
        found *= int(np.sum((places[:, None] + taps - before) % dilation == 0))
    return found


COUNTS = {"dot_general": _of_product, "conv_general_dilated": _of_convolution}
