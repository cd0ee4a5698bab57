"""`scaledis evaluate`, `scaledis report` and `scaledis extract`: scores, page and copies of trained runs."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaledis import report
from scaledis.commands.experiment import Distributed, Experiment, Named
from scaledis.core import hosts, runtime
from scaledis.core.command import Command, option, positional, seconds, whole
from scaledis.core.errors import UserError
from scaledis.sweeps import shards
from scaledis.sweeps.configs import freeze
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training import engine, extract
from scaledis.types import Run
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir

ALL = str(WHOLE)


@dataclass
class Evaluate(Distributed, Named):
    """Scores trained runs, on any split, with any metric, at any step that has a checkpoint.

    examples:
      scaledis evaluate quickstart                                the runs of runs/quickstart
      scaledis evaluate --workdir=runs/one --config.evaluate.metrics=sap,mig_sup,level
      scaledis evaluate --workdir=runs/one --step=4000 --config.evaluate.split=train
    """

    word = "evaluate"
    step: int | None = option("evaluate the checkpoint of this step instead of the newest one", parse=whole)
    shard: str = option("i/n: this process takes populations i, i + n, ... of the directory", ALL)
    time_limit: str | None = option("stop between two evaluations after this time, such as 50m; the exit code is 130")

    def execute(self) -> None:
        """Scores the runs. Raises UserError for a directory that holds none, and for a step without a checkpoint."""
        with self.together():
            look(self, ["evaluate"], self.step, self.shard, self.time_limit)


@dataclass
class Report(Named):
    """Writes the page of an experiment, <workdir>/report/index.html, and prints the table of its scores.

    examples:
      scaledis report --workdir=runs/quickstart
    """

    word = "report"

    def execute(self) -> None:
        """Writes the page. Raises UserError for a directory that holds no scores."""
        look(self, ["report"])


@dataclass
class Extract(Command):
    """Copies one run out of its population into a work directory that contains this run alone.

    examples:
      scaledis extract seed=2 --workdir=runs/few_first --to=runs/one
      scaledis train --workdir=runs/one --steps=40000             goes on with it
    """

    word = "extract"
    run: str = positional("the name of the run")
    workdir: str | Path | None = option("the directory that has the run")
    to: str | Path | None = option("the new directory")
    step: int | None = option("copy the checkpoint of this step instead of the newest one", parse=whole)

    def execute(self) -> None:
        """Copies the run. Raises UserError for a run or step that the directory lacks."""
        if self.workdir is None:
            raise UserError("--workdir: missing; give the directory that has the run.")
        if self.to is None:
            raise UserError("--to: missing; give the directory that the run is written to.")
        extract.extract(self.workdir, self.run, self.to, step=self.step)
        print(f"{self.run} is in {self.to}; `scaledis train --workdir={self.to}` goes on with it.")


def look(
    experiment: Experiment, stages: Sequence[str], step: int | None = None, shard: str = ALL, limit: str | None = None
) -> None:
    """Evaluates and reports on the runs of the directory, even while a trainer writes to it.

    Raises UserError for a directory without runs and for a run of another config there, and what `finish` raises.
    """
    workdir, share = experiment.directory, shards.parse(shard)
    if not workdir.groups():
        raise UserError(f"workdir: {workdir.root} holds no experiment (no plan.json); train it first.")
    runs = {run.name: run for run in experiment.runs()}

    def find(name: str) -> Run:
        """The run of the command; if the command lacks it, that of the directory, scored as the config says."""
        if name in runs:
            workdir.check_same(runs[name], extend=True)
            return runs[name]
        config = workdir.read_config(name)
        evaluate = freeze(experiment.loaded.config).evaluate if experiment.loaded else config.evaluate
        return Run(name, dataclasses.replace(config, evaluate=evaluate))

    with runtime.stopping(seconds("--time_limit", limit)) as stop:
        finish(workdir, workdir.populations(find), stages, step, share, stop)


def finish(
    workdir: Workdir,
    groups: engine.Groups,
    stages: Sequence[str],
    step: int | None,
    shard: Shard,
    stop: Callable[[], bool],
) -> None:
    """Evaluates and reports on populations. Raises UserError for a step without a checkpoint, Stopped by `stop()`."""
    if "evaluate" in stages:
        steps = sorted({each for index in range(len(groups)) for each in Checkpoints(workdir.checkpoints(index)).steps})
        if step is not None and step not in steps:
            raise UserError(f"--step: there is no checkpoint of step {step}; there are {steps}.")
        engine.evaluate_all(workdir, groups, stop=stop, step=step, shard=shard)
    if "report" in stages and shard.whole and hosts.alone():
        print(report.write(groups, workdir))
    elif "report" in stages and hosts.first():
        print(f"This part is done; `scaledis report --workdir={workdir.root}` reports on all parts.")
