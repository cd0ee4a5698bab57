"""A sweep of 100,000 runs without the training: planned, packed, sharded, its results written and read as one table.

    python -m experiments.benchmarks.scale                       # the table of docs/scale.md
    python -m experiments.benchmarks.scale --seeds=500 --shards=8

The sweep is that of Disentangling Granularity: beta-STCVAEs of 8 units, 4 granularities x 5 betas x 5,000 seeds. Every
shard writes rows of random scores through the function that writes real ones.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import config as config_schema
from scaledis.core import runtime
from scaledis.sweeps.configs import default, override
from scaledis.sweeps.expand import expand
from scaledis.sweeps.shards import Shard
from scaledis.training.load import load_results
from scaledis.types import Run
from scaledis.workdir import claims, table
from scaledis.workdir.layout import Workdir

METRICS = (
    "dci/disentanglement",
    "dci/completeness",
    "dci/informativeness",
    "mig/mig",
    "sap/sap",
    "modularity/modularity",
)
TERMS = ("loss_nats", "reconstruction_nats", "kl_nats", "regularization_nats", "gradient_norm", "learning_rate")
TOGETHER = 64  # runs of a population, what a GPU gets


def rows(runs: list[Run], rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows as a scored population has them, with random numbers for what is measured."""
    configs = [table.of_config(config_schema.thaw(run.config)) for run in runs]
    numbers = [*METRICS, *(f"final/{term}" for term in TERMS)]
    facts = {"step": 300_000, "seconds": 3600.0, "device": "simulated", "dataset": "dsprites", "fingerprint": "0" * 16}
    measured = rng.random((len(runs), len(numbers))).tolist()
    found = [
        config | {"run": run.name} | dict(zip(numbers, values, strict=True)) | facts
        for run, config, values in zip(runs, configs, measured, strict=True)
    ]
    return found, list(configs[0])


def simulate(root: Path, seeds: int, shards: int) -> tuple[int, dict[str, tuple[float, float]]]:
    """The number of runs, and of every stage the seconds that passed and those that this process computed."""
    seconds: dict[str, tuple[float, float]] = {}

    def timed(stage: str, function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter(), time.process_time()
        found = function(*arguments)
        seconds[stage] = time.perf_counter() - began[0], time.process_time() - began[1]
        return found

    base = default().to_dict()
    base = override(
        base, {"method.name": "beta_stcvae", "model.latents": 8, "train.parallel": TOGETHER, "data.name": "dsprites"}
    )
    sweeps = ["method.block=1,2,4,8", "method.beta=1,2,4,8,16", f"seeds:{seeds}"]
    workdir, rng = Workdir(root), np.random.default_rng(0)
    runs = timed("expand the sweep into checked configs", expand, base, sweeps)
    record = {"config": base, "sweep": sweeps, "command": "experiments/benchmarks/scale.py"}
    groups = timed(
        "pack into populations, write plan and configs",
        lambda: claims.claim(workdir, record, runs, shard=Shard(0, shards)),
    )

    def work() -> None:
        for index in range(shards):
            for population, group in Shard(index, shards).take(groups):
                table.write_rows(workdir, population, *rows(group, rng))

    timed("write results, a Parquet file a population", work)
    found = timed("read them as one table", load_results, root)
    assert found["run"].tolist() == [run.name for group in groups for run in group] and found["mig/mig"].notna().all()
    assert {"method.block", "method.beta", "seed"} <= set(found) and "model.latents" not in found
    return len(runs), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5000, help="runs are 20 times as many")
    parser.add_argument("--shards", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count, seconds = simulate(Path(folder), arguments.seeds, arguments.shards)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    print(f"{count:,} runs, {arguments.shards} shards, on {runtime.machine()}\n")
    print("| stage | s | s of a core | microseconds of a core per run |\n| --- | --: | --: | --: |")
    for stage, (passed, computed) in [*seconds.items(), ("all", np.sum(list(seconds.values()), axis=0))]:
        print(f"| {stage} | {passed:.1f} | {computed:.1f} | {1e6 * computed / count:.0f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    print(f"\n{len(files):,} files of {size / 2**20:,.0f} MB; at most {peak:,.0f} MB of memory.")


if __name__ == "__main__":
    main()
