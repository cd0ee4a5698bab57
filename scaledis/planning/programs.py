"""Programs for devices that are not here: a population's step compiled for a GPU or a TPU, and what XLA made of it.

XLA's compilers need no device, only its description. The extra `gpu-compiler` brings the one for NVIDIA's GPUs,
`tpu-compiler` that for TPUs. They do not tell time, nor the algorithm that cuDNN takes, its workspace, and the tiles
that tuning on the device would choose.
"""

import dataclasses
import math
import os
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
from scaledis.types import ImageSpec

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

    Raises UserError for an unknown kind, and where the compiler is not installed.
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

    Raises UserError for an unknown kind, and where the compiler is not installed.
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
    """Returns the arithmetic that a step of a run needs: three times that of its way to the codes and back.

    Each kernel and product counts once on the way, once for the gradient of its input and once for its own. The few
    operations of losses and optimizers are left out.
    """
    config, (height, width, channels) = population.config, population.images.shape
    state = jax.eval_shape(lambda runs: select(runs, 0), population.shapes).state
    images = jax.ShapeDtypeStruct((config.train.batch, height, width, channels), np.uint8)
    codes = jax.ShapeDtypeStruct((config.train.batch, sum(population.allocation)), np.float32)
    with conv.using("lax"):
        method = population.program.method
        there, back = jax.make_jaxpr(method.encode)(state, images), jax.make_jaxpr(method.decode)(state, codes)
    return 6 * (_multiplications(there.jaxpr) + _multiplications(back.jaxpr))


def _multiplications(jaxpr: jax.extend.core.Jaxpr) -> int:
    """The multiplications of all convolutions and products of a jaxpr, those with the zeros of a dilation left out."""
    found = 0
    for each in jaxpr.eqns:
        found += sum(_multiplications(inner) for inner in jax.extend.core.jaxprs_in_params(each.params))
        shaped: list[Any] = [variable.aval for variable in (*each.invars[:2], *each.outvars[:1])]
        sides = [each.shape for each in shaped]
        if each.primitive.name == "dot_general":
            (summed, _), _ = each.params["dimension_numbers"]
            found += math.prod(sides[2]) * math.prod(sides[0][axis] for axis in summed)
        elif each.primitive.name == "conv_general_dilated":
            numbers = each.params["dimension_numbers"]
            coarse = sides[0] if max(each.params["lhs_dilation"]) > 1 else sides[2]
            spec = numbers.lhs_spec if coarse is sides[0] else numbers.out_spec
            found += math.prod(sides[1]) * coarse[spec[0]] * math.prod(coarse[axis] for axis in spec[2:])
    return found
