"""Programs for devices that are not here: a population's step compiled for a GPU or a TPU, and what XLA made of it.

XLA's compilers need no device, only its description. `jax[cuda12]` brings the one for NVIDIA's GPUs, `jax[tpu]` that
for TPUs. What they do not tell is time: the tiles of a product, the algorithm of a convolution, its workspace.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.extend.core
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from scaledis.core import registry, runtime
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.networks import conv
from scaledis.training.population import Population, select

GPU = (
    "gpu_device_info {{ threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 "
    "shared_memory_per_core: {shared} threads_per_core_limit: 2048 core_count: {cores} fpus_per_core: {units} "
    "block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: {bandwidth} "
    "l2_cache_size: {cache} clock_rate_ghz: {clock} device_memory_size: {memory} "
    "shared_memory_per_block_optin: {optin} cuda_compute_capability {{ major: {major} }} "
    "registers_per_core_limit: 65536 registers_per_block_limit: 65536 }} platform_name: 'CUDA' "
    "dnn_version_info {{ major: 9 minor: 10 }} device_description_str: '{name}'"
)
HOPPER = {"shared": 233472, "optin": 232448, "cores": 132, "units": 128, "cache": 52428800, "clock": 1.98, "major": 9}
AMPERE = {"shared": 167936, "optin": 166912, "cores": 108, "units": 64, "cache": 41943040, "clock": 1.41, "major": 8}
GPUS = {
    "h100": HOPPER | {"bandwidth": 3352320000000, "memory": 84942979072, "name": "NVIDIA H100 80GB HBM3"},
    "h200": HOPPER | {"bandwidth": 4800000000000, "memory": 150754820096, "name": "NVIDIA H200"},
    "a100": AMPERE | {"bandwidth": 2039000000000, "memory": 84987740160, "name": "NVIDIA A100-SXM4-80GB"},
}
TPUS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2", "v5p": "v5p:2x2x1", "v4": "v4:2x2x1"}
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


class Arithmetic(NamedTuple):
    """What one instruction of a program multiplies.

    kind: "dot", or the name of the convolution.
    flops: 2 a multiplication, zeros included.
    window: pixels of the window of a convolution; 1 of a product.
    groups: of a convolution; 1 of a product.
    """

    kind: str
    flops: int
    window: int = 1
    groups: int = 1


class Program(NamedTuple):
    """A compiled step.

    instructions: its convolutions and products, a loop's body counted once.
    collectives: how many instructions wait for other devices.
    wide: how many instructions give 64-bit floats.
    donated: whether its state is updated in place.
    temporary: bytes that a device needs beside arguments and results.
    """

    instructions: tuple[Arithmetic, ...]
    collectives: int
    wide: int
    donated: bool
    temporary: int

    @property
    def flops(self) -> int:
        return sum(each.flops for each in self.instructions)


def devices(kind: str, count: int = 1) -> list[jax.Device]:
    """Returns descriptions of `count` devices of a kind: h100, h200, a100, v5e, v6e, v5p or v4, of one host.

    Raises UserError for an unknown kind, for more TPUs than a host has, and where the compiler is not installed.
    """
    registry.check("kind", kind, {**GPUS, **TPUS})
    try:
        if kind in GPUS:
            config = GPU.format(**GPUS[kind])
            shape = f"1x1x{count}"
            described = topologies.get_topology_desc(kind, platform="cuda", target_config=config, topology=shape)
        else:
            described = topologies.get_topology_desc(TPUS[kind], platform="tpu")
    except (NotImplementedError, RuntimeError) as error:
        extra = "cuda12" if kind in GPUS else "tpu"
        raise UserError(f"kind: no compiler for {kind} is installed; pip install jax[{extra}] brings it.") from error
    if count > len(described.devices):
        raise UserError(f"count: {count}; a host of {kind} has {len(described.devices)}.")
    return list(described.devices[:count])


@runtime.pinned()
def compiled(population: Population, dataset: Dataset) -> Program:
    """Returns the step of a population for the devices of its mesh, which need not be there.

    `data.memory` of its config must not be auto, which asks the device.
    """
    program = population.make_advance(dataset).lower(population.shapes).compile()
    memory = program.memory_analysis()
    return read(program.as_text() or "", memory.temp_size_in_bytes if memory else 0)


def mesh_of(described: list[jax.Device]) -> Mesh:
    """Returns the mesh of a population over these devices."""
    return Mesh(np.asarray(described).reshape(1, -1), ("copies", "runs"))


def read(text: str, temporary: int = 0) -> Program:
    """Returns what an optimized program does, from its text in XLA's language HLO."""
    shapes = {name: _numbers(sizes) for name, _, sizes in re.findall(r"%([\w.\-]+) = \(?(\w+)\[([\d,]*)\]", text)}
    lines = text.splitlines()
    collectives = re.compile(rf" (?:{'|'.join(COLLECTIVES)})(?:-start)?\(")
    return Program(
        tuple(each for line in lines for each in _arithmetic(line, shapes)),
        sum(bool(collectives.search(line)) for line in lines),
        sum(bool(re.search(r"= \(?f64\[", line)) for line in lines),
        "input_output_alias" in text,
        temporary,
    )


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _arithmetic(line: str, shapes: Mapping[str, list[int]]) -> Iterator[Arithmetic]:
    """The arithmetic of a line of HLO: of a product or a convolution, also as a call of cuBLAS or cuDNN."""
    called = re.search(r"%([\w.\-]+) = .* (?:dot|convolution|custom-call)\(([^)]*)\)", line)
    if not called:
        return
    out, operands = shapes[called[1]], [shapes[name] for name in re.findall(r"%([\w.\-]+)", called[2])[:2]]
    contracted = re.search(r'lhs_contracting_dim(?:s=\{|ensions":\[)([\d,"]*)', line)
    window, labels = re.search(r"window=\{size=([\dx]+)", line), re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line)
    if contracted and (" dot(" in line or "__cublas" in line):
        summed = math.prod(operands[0][axis] for axis in _numbers(contracted[1]))
        yield Arithmetic("dot", 2 * summed * math.prod(out))
    elif labels and (" convolution(" in line or "__cudnn$conv" in line):
        target, groups = re.search(r"__cudnn\$(\w+)", line), re.search(r"feature_group_count=(\d+)", line)
        count, taps = int(groups[1]) if groups else 1, math.prod(_numbers(window[1])) if window else 1
        kind = target[1] if target else "convolution"
        if "BackwardFilter" in kind:
            places = math.prod(operands[1]) * operands[0][labels[1].index("f")] // count
        elif "BackwardInput" in kind:
            places = math.prod(operands[0]) * out[labels[3].index("f")] // count
        else:
            places = math.prod(out) * operands[1][labels[2].index("i")]
        yield Arithmetic(kind, 2 * places * taps, taps, count)


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
