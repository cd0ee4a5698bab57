"""Where the time of a training step goes on a CPU: products and copies, over what this CPU can do.

    python -m experiments.benchmarks.cpu

The ladder of `pytorch.py`, one model on all cores, traced by JAX's profiler for STEPS steps. The peaks are those of
NumPy on all cores: a product of two large matrices, and copies of a large array, both read and written. Milliseconds
are of one core: a kernel that two cores share counts twice. Adds to the entry of this CPU in
experiments/results/benchmark.json, and prints the table.
"""

import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from experiments.benchmarks import pytorch
from scaledis.core.runtime import cores, machine, prepare_jax
from scaledis.planning import hlo
from scaledis.training.population import Population
from scaledis.types import ImageSpec

SIDE, COPIED, ROUNDS = 3072, 1 << 28, 5  # of the matrices; bytes of the array; the best of so many
KINDS = ("product", "copy", "elementwise", "reduction", "other")


def main() -> None:
    prepare_jax()
    peaks = {"gigaflops_a_second": peak_flops(), "gigabytes_a_second": peak_bandwidth()}
    kernels, milliseconds = kernels_of_step(), times_of_step()
    kinds = shares(kernels, milliseconds, peaks)
    pytorch.store({"peaks": peaks, "kinds": kinds})
    print(f"{machine()}: {peaks['gigaflops_a_second']:.0f} GFLOP/s, {peaks['gigabytes_a_second']:.1f} GB/s")
    for kind, row in kinds.items():
        print(f"{kind:12s}", "  ".join(f"{name} {value:.2f}" for name, value in row.items()))


def best(call: Callable[[], object]) -> float:
    """Returns the least seconds of a call."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_flops() -> float:
    """Returns the GFLOP/s of a product of large matrices in float32 on all cores."""
    left, right = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), np.float32)
    return 2 * SIDE**3 / best(lambda: left @ right) / 1e9


def peak_bandwidth() -> float:
    """Returns the GB/s that all cores read and write together where each copies a part of a large array."""
    source = np.ones(COPIED // 4, np.float32)
    parts = list(zip(np.split(np.empty_like(source), cores()), np.split(source, cores()), strict=True))
    with ThreadPoolExecutor(cores()) as pool:
        return 2 * COPIED / best(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts))) / 1e9


def kernels_of_step() -> dict[str, tuple[str, int, int]]:
    """Returns kind, arithmetic and touched bytes of each kernel of the compiled step by name."""
    dataset = pytorch.fixed_images()
    population = Population([pytorch.settings()], ImageSpec(dataset.image_shape, dataset.size))
    text = population.make_advance(dataset).lower(population.shapes).compile().as_text() or ""
    _, computations = hlo.parsed(text)
    every = [each for own in computations.values() for each in own]
    shapes = {each.name: each.shape for each in every if hlo.ARRAY.search(each.type)}
    sizes = {each.name: hlo.size(each.type) for each in every}
    found = {}
    for each in every:
        called = re.findall(r"(?:calls|to_apply)=%([\w.\-]+)", each.line)
        inner = [each, *(line for name in called for line in computations.get(name, []))]
        flops = sum(one.flops for line in inner if (one := hlo.arithmetic(line, shapes)))
        found[each.name] = kind_of(inner, flops), flops, hlo.moved(each, sizes)
    return found


def kind_of(inner: list[hlo.Instruction], flops: int) -> str:
    """Returns the kind of a kernel: that of the most telling instruction in it."""
    operations = {each.operation for each in inner}
    if flops:
        return "product"
    if operations & {"reduce", "reduce-window"}:
        return "reduction"
    if operations <= MOVES:
        return "copy"
    return "elementwise" if operations & {"fusion", "call"} else "other"


MOVES = {
    *("fusion", "call", "copy", "transpose", "bitcast", "reshape", "pad", "slice", "concatenate", "broadcast"),
    *("parameter", "constant", "tuple", "get-tuple-element", "dynamic-slice", "dynamic-update-slice"),
}


def times_of_step() -> dict[str, float]:
    """Returns the milliseconds of one core that each kernel took in a step, by name."""
    advance = pytorch.our_step(1)
    advance()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            advance()
        [file] = Path(folder).rglob("*.xplane.pb")
        found: dict[str, float] = defaultdict(float)
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for line in plane.lines:
                if line.name.startswith("tf_"):
                    for event in line.events:
                        found[event.name] += event.duration_ns / 1e6 / pytorch.STEPS
    return found


def shares(
    kernels: dict[str, tuple[str, int, int]], milliseconds: dict[str, float], peaks: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Returns the time of each kind of kernel, its arithmetic and its traffic over the peaks of one core."""
    rows = {kind: np.zeros(3) for kind in KINDS}
    for name, (kind, flops, touched) in kernels.items():
        if name in milliseconds:
            rows[kind] += milliseconds[name], flops / 1e6, touched / 1e6
    return {
        kind: {
            "milliseconds": float(time_),
            "share_of_peak_flops": float(cores() * flops / time_ / peaks["gigaflops_a_second"]),
            "share_of_peak_bandwidth": float(cores() * touched / time_ / peaks["gigabytes_a_second"]),
        }
        for kind, (time_, flops, touched) in rows.items()
        if time_
    }


if __name__ == "__main__":
    main()
