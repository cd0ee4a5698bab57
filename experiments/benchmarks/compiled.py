"""The step of a population compiled for GPUs and TPUs that are not here: its arithmetic, memory and collectives.

    pip install --target /tmp/cuda "jax-cuda12-plugin[with-cuda]==$(python -c 'import jax; print(jax.__version__)')"
    PYTHONPATH=/tmp/cuda python -m experiments.benchmarks.compiled h100 a100
    pip install --target /tmp/tpu libtpu
    PYTHONPATH=/tmp/tpu python -m experiments.benchmarks.compiled v5e

The papers' networks at 64x64, batch 64. FLOP are those of convolutions and products of the optimized program over those
that are needed (planning/programs.py), memory is what a device needs beside arguments and results. Writes
experiments/results/compiled.json, to which each kind adds its rows.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # where the compilers run; there is no device of theirs
os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0"  # nothing to time on
os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-4", "TPU_WORKER_HOSTNAMES": "localhost"}

import argparse  # noqa: E402

from experiments.benchmarks.accelerator import forced, images  # noqa: E402
from experiments.tables import RESULTS  # noqa: E402
from scaledis.core.files import read_json, write_json  # noqa: E402
from scaledis.core.version import here  # noqa: E402
from scaledis.planning import programs  # noqa: E402
from scaledis.sweeps.configs import make_config  # noqa: E402
from scaledis.training.population import Population  # noqa: E402
from scaledis.types import ImageSpec  # noqa: E402

METHODS, SIZES, COUNT = ("scale_vlae", "beta_tcvae"), (1, 16, 64), 4096
FILE = RESULTS / "compiled.json"


def row(kind: str, method: str, runs: int, form: str, chips: int = 1) -> dict:
    """What the compiler of a kind makes of a step of `runs` runs on some chips, with a form of the convolutions."""
    dataset = images(64, COUNT)
    configs = [make_config(method, {"seed": seed, "data.memory": "device"}) for seed in range(runs)]
    with forced(form):
        mesh = programs.mesh_of(programs.devices(kind, chips))
        population = Population(configs, ImageSpec(dataset.image_shape, dataset.size), mesh)
        found = programs.compiled(population, dataset)
    each = runs // chips
    return {
        "arithmetic": round(found.flops / each / programs.needed_flops(population), 3),
        "temporary_megabytes_a_run": round(found.temporary / 1e6 / each, 1),
        "largest_window": max((one.window for one in found.instructions), default=1),
        "most_groups": max((one.groups for one in found.instructions), default=1),
        "collectives": found.collectives,
        "wide": found.wide,
        "donated": found.donated,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", choices=[*programs.GPUS, *programs.TPUS])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--forms", nargs="+", default=("lax", "products"))
    options = parser.parse_args()
    for kind in options.kinds:
        for method in options.methods:
            for runs in options.sizes:
                for form in options.forms:
                    name = f"{kind} {method} {runs} {form}"
                    found = read_json(FILE) if FILE.exists() else {}
                    found[name] = row(kind, method, runs, form) | here()
                    write_json(FILE, found)
                    print(name, found[name], flush=True)


if __name__ == "__main__":
    main()
