"""`scaledis demo`: VLAE and the scale-aware ladder side by side, compared with intervals."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas

from scaledis.commands.train import Sweep
from scaledis.core.command import Command, option
from scaledis.core.errors import Stopped
from scaledis.core.progress import duration
from scaledis.core.statistics import difference
from scaledis.datasets.base import sampling
from scaledis.search.train import train
from scaledis.sweeps import plan
from scaledis.training.load import load_results
from scaledis.types import Run

SCORES = {"dci/disentanglement": "DCI-D", "mig/mig": "MIG"}
OURS, OTHER = "scale_vlae", "vlae"


@dataclass
class Demo(Command):
    """Trains VLAE and the scale-aware ladder on three seeds each, writes their page, and compares their scores.

    It first prints how long this will take, a few minutes on two cores. The same command resumes.

    examples:
      scaledis demo
      scaledis sweep quickstart long --workdir=runs/long          instead, ten runs of 5,000 steps
    """

    word = "demo"
    workdir: str | Path = option("the directory of all results", "runs/quickstart")

    def execute(self) -> None:
        """Trains and compares. Raises what `Train.execute` raises."""
        sweep = Sweep(name="quickstart", product=("demo",), workdir=self.workdir)
        runs = sweep.runs()
        if not sweep.directory.groups():
            print(forecast(runs), file=sys.stderr, flush=True)
        sweep.execute()
        print(comparison(load_results(self.workdir)))


def forecast(runs: list[Run]) -> str:
    """Returns a sentence on how long the runs will train, measured on the first steps of the first population."""
    populations = plan.populations(runs)
    ends: list[float] = []

    def measure(step: int, terms: Mapping[str, np.ndarray]) -> None:
        ends.append(time.monotonic())
        if len(ends) == 3:
            raise Stopped("measured")

    configs = [run.config for run in populations[0]]
    try:
        train(configs, sampling.load_dataset(configs[0].data), callback=measure)
    except (Stopped, KeyboardInterrupt):
        if len(ends) < 3:
            raise
    step = (ends[2] - ends[0]) / (2 * configs[0].train.log_every)
    steps = sum(population[0].config.train.steps for population in populations)
    return (
        f"{len(runs)} runs, {len(populations[0])} at once, at {1000 * step:.0f} ms a step: {duration(step * steps)} of "
        "training, and about a minute for compilation, scores and the page."
    )


def comparison(results: pandas.DataFrame) -> str:
    """Returns lines with the differences between both methods, paired by seed, and their 95 % intervals."""
    lines = [f"{OURS} minus {OTHER}, paired by seed:"]
    for score, name in SCORES.items():
        ours, other = (
            results[results["method.name"] == method].set_index("seed")[score].to_dict() for method in (OURS, OTHER)
        )
        result = difference(ours, other)
        line = f"  {name:<6}{result.means[0]:.3f} - {result.means[1]:.3f} = {result.difference:+.3f}"
        if bounds := result.interval():
            line += f", 95 % interval {bounds[0]:+.3f} to {bounds[1]:+.3f} over {result.seeds[0]} seeds"
            if bounds[0] <= 0 <= bounds[1]:
                line += ": it contains 0, so this demo shows no difference; more seeds or steps may"
        lines.append(line)
    return "\n".join(lines)
