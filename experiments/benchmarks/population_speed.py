"""How wide a population is best on a CPU: the step of each run, and the compilation, by the number of runs.

    python -m experiments.benchmarks.population_speed

Ours in the two tiers of configs/tier.py, all cores as devices. Ratios are medians over rounds in alternation; seconds
of compilation are of a first step without a cache. Writes experiments/results/population_speed.json, an entry for each
kind of CPU.
"""

import os
import time

import jax
import numpy as np

from experiments.tables import RESULTS
from scaledis.core.files import read_json, write_json
from scaledis.core.runtime import machine, prepare_jax
from scaledis.core.version import commit
from scaledis.datasets.base import sampling
from scaledis.sweeps.configs import freeze, override
from scaledis.sweeps.tiers import tier_config
from scaledis.training.population import Population

FILE = RESULTS / "population_speed.json"
A_CORE = {"small": (1, 2, 4, 8), "paper": (1, 2, 4)}  # runs
ROUNDS, STEPS = 7, {"small": 20, "paper": 6}


def main():
    prepare_jax()
    jax.config.update("jax_enable_compilation_cache", False)
    found = {"commit": commit(), "load_before": os.getloadavg()[0], "devices": jax.device_count()}
    found |= {tier: measured(tier) for tier in A_CORE}
    known = read_json(FILE) if FILE.exists() else {}
    write_json(FILE, dict(sorted((known | {machine(): found}).items())))


def measured(tier):
    """Prints and returns what the runs of a tier took, by their number."""
    base, sizes = tier_config(tier).to_dict(), [each * jax.device_count() for each in A_CORE[tier]]
    configs = [freeze(override(base, {"seed": seed})) for seed in range(max(sizes))]
    dataset = sampling.load_dataset(configs[0].data)
    images = sampling.spec_of(dataset, configs[0].data)
    states, advances, compiling = {}, {}, {}
    for size in sizes:
        members = Population(configs[:size], images)
        state, start = members.init(), time.perf_counter()
        advances[size] = members.make_advance(dataset)
        states[size] = jax.block_until_ready(advances[size](state, 1)[0])
        compiling[size] = time.perf_counter() - start
    rounds = {size: [] for size in sizes}
    for _ in range(ROUNDS):
        for size in sizes:
            start = time.perf_counter()
            states[size] = jax.block_until_ready(advances[size](states[size], STEPS[tier])[0])
            rounds[size].append(1e3 * (time.perf_counter() - start) / STEPS[tier] / size)
    narrow = np.asarray(rounds[sizes[0]])
    ratios = {str(size): float(np.median(rounds[size] / narrow)) for size in sizes}
    for size in sizes:
        each, ratio, first = np.median(rounds[size]), ratios[str(size)], compiling[size]
        print(f"{tier}, {size} runs: {each:.2f} ms a step and run, ratio {ratio:.2f}, first step {first:.0f} s")
    return {
        "milliseconds_per_step_and_run": {str(size): rounds[size] for size in sizes},
        "ratio_to_a_run_a_core": ratios,
        "first_step_seconds": {str(size): compiling[size] for size in sizes},
    }


if __name__ == "__main__":
    main()
