"""How a population's step and its compilation grow with its runs, and one of 8 runs against four of 2, on a CPU.

    python -m experiments.benchmarks.population_speed

Ours in the small world (configs/tier.py), all cores as devices. Milliseconds per step are medians of five rounds in
alternation; seconds of compilation are of a first step without a cache. Writes
experiments/results/population_speed.json.
"""

import os
import statistics
import time

import jax

from experiments.tables import RESULTS
from scaledis.core.files import write_json
from scaledis.core.runtime import machine, prepare
from scaledis.core.version import commit
from scaledis.datasets.base import sampling
from scaledis.sweeps.configs import freeze, override
from scaledis.sweeps.tiers import tier_config
from scaledis.training.population import Population

SIZES, ROUNDS, STEPS = (2, 4, 8, 16), 5, 20


def main():
    prepare()
    jax.config.update("jax_enable_compilation_cache", False)
    base = tier_config("small").to_dict()
    configs = [freeze(override(base, {"seed": seed})) for seed in range(max(SIZES))]
    dataset = sampling.load_dataset(configs[0].data)
    images = sampling.spec_of(dataset, configs[0].data)
    load, states, advances, compiling = os.getloadavg()[0], {}, {}, {}
    for size in SIZES:
        members = Population(configs[:size], images)
        state, start = members.init(), time.perf_counter()
        advances[size] = members.make_advance(dataset)
        states[size] = jax.block_until_ready(advances[size](state, 1)[0])
        compiling[size] = time.perf_counter() - start
    rounds = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            start = time.perf_counter()
            states[size] = jax.block_until_ready(advances[size](states[size], STEPS)[0])
            rounds[size].append(1e3 * (time.perf_counter() - start) / STEPS)
    steps = {size: statistics.median(times) for size, times in rounds.items()}
    ratios = {
        "one of 8 to four of 2": steps[8] / (4 * steps[2]),
        "a step of 16 to one of 2, 8 is linear": steps[16] / steps[2],
        "compiling 16 to compiling 2": compiling[16] / compiling[2],
    }
    for size in SIZES:
        print(f"{size} runs: {steps[size]:.1f} ms a step, first step {compiling[size]:.1f} s")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")
    facts = {"machine": machine(), "commit": commit(), "load_before": load, "devices": jax.device_count()}
    found = {"milliseconds_per_step": {str(size): rounds[size] for size in SIZES}, "ratios": ratios}
    first = {str(size): seconds for size, seconds in compiling.items()}
    write_json(RESULTS / "population_speed.json", {**facts, **found, "first_step_seconds": first})


if __name__ == "__main__":
    main()
