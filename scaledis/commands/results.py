"""`scaledis evaluate`, `scaledis report` and `scaledis extract`: the scores, the page and a copy of trained runs."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaledis import report
from scaledis.commands.experiment import Distributed, Experiment, Named
from scaledis.config import Config, thaw
from scaledis.core import hosts, runtime
from scaledis.core.command import Command, option, positional, seconds, whole
from scaledis.core.errors import Stopped, UserError
from scaledis.sweeps import shards
from scaledis.sweeps.best import KEY
from scaledis.sweeps.configs import freeze
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training import engine, extract
from scaledis.training.restore import Step
from scaledis.types import Run
from scaledis.workdir import best, claims
from scaledis.workdir.best import BEST
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.score_files import NEWEST

ALL = str(WHOLE)
SHARD = "i/n takes every n-th population from number i on, as one of n independent jobs"
STEP = "the step whose checkpoint is scored, or best: each run's best step by train.keep_best (default: the newest)"


def step_or_best(text: str) -> int | str:
    """Returns 5000 for "5000" and "5e3", and "best" for "best". Raises ArgumentTypeError for anything else."""
    try:
        return text if text == BEST else whole(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number or {BEST!r}.") from None


@dataclass
class Evaluate(Distributed, Named):
    """Scores trained runs and prints the table: on any split, with any metric, at any step that has a checkpoint.

    examples:
      scaledis evaluate quickstart                                the runs of runs/quickstart
      scaledis evaluate --workdir=runs/one --config.evaluate.metrics=sap,mig_sup,level
      scaledis evaluate --workdir=runs/one --step=4000 --config.evaluate.split=train
      scaledis evaluate --workdir=runs/one --step=best            each run at its best step by train.keep_best
    """

    word = "evaluate"
    step: int | str | None = option(STEP, parse=step_or_best)
    shard: str = option(SHARD, ALL)
    time_limit: str | None = option("stop between two scores after this time, such as 50m; the exit code is then 130")

    def execute(self) -> None:
        """Scores the runs. Raises UserError for a directory without runs, and for a step without a checkpoint."""
        with self.together():
            look(self, ["evaluate"], self.step, self.shard, self.time_limit)


@dataclass
class Report(Named):
    """Writes the page of an experiment, <workdir>/report/index.html, and prints the table of its scores.

    examples:
      scaledis report quickstart                                  the runs of runs/quickstart
      scaledis report --workdir=runs/one
    """

    word = "report"

    def execute(self) -> None:
        """Writes the page. Raises UserError for a directory without trained runs."""
        look(self, ["report"])


@dataclass
class Extract(Command):
    """Copies one run into a new work directory of its own.

    examples:
      scaledis extract seed=2 --workdir=runs/few_first --to=runs/one
      scaledis train --workdir=runs/one --steps=40000             trains it further
    """

    word = "extract"
    run: str = positional("the name of the run, which is that of its folder in WORKDIR/runs")
    workdir: str | Path | None = option("the directory that has the run; required")
    to: str | Path | None = option("the new directory; required")
    step: int | str | None = option(
        "the step whose checkpoint is copied, or best: the run's best step by train.keep_best (default: the newest)",
        parse=step_or_best,
    )

    def execute(self) -> None:
        """Copies the run. Raises UserError if the directory lacks the run or the step."""
        if self.workdir is None:
            raise UserError("--workdir: missing; give the directory that has the run.")
        if self.to is None:
            raise UserError("--to: missing; give the directory that the run is written to.")
        extract.extract(self.workdir, self.run, self.to, step=self.step)
        print(f"{self.run} is in {self.to}; `scaledis train --workdir={self.to}` trains it further.")


def look(
    experiment: Experiment, stages: Sequence[str], step: Step = None, shard: str = ALL, limit: str | None = None
) -> None:
    """Scores and reports the runs of a directory, also while they train.

    Raises UserError for a directory without runs, for a run that has another config there, and what `finish` raises.
    """
    workdir, share = experiment.directory, shards.parse(shard)
    if not workdir.groups():
        raise UserError(f"workdir: {workdir.root} holds no experiment (no plan.json); train it first.")
    runs = {run.name: run for run in experiment.runs()}

    def find(name: str) -> Run:
        """Returns the run of the command, or else that of the directory with its changes, scored as the config says."""
        run = runs.get(name) or Run(name, _changed(experiment, workdir.read_config(name)))
        claims.check_same(workdir, run, extend=True)
        return run

    groups = workdir.populations(find(name) for group in workdir.groups() for name in group)
    with runtime.stopping(seconds("--time_limit", limit)) as stop:
        finish(workdir, groups, stages, step, share, stop)


def _changed(experiment: Experiment, config: Config) -> Config:
    """Returns the config of a run with the changes of the command and, if it has a config file, its `evaluate`."""
    evaluate = {"evaluate": experiment.loaded.config["evaluate"]} if experiment.loaded else {}
    return freeze({**experiment.changed(thaw(config)), **evaluate})


def finish(
    workdir: Workdir,
    groups: engine.Groups,
    stages: Sequence[str],
    step: Step,
    shard: Shard,
    stop: Callable[[], bool],
) -> None:
    """Scores and reports populations, and prints the table of scores.

    Raises UserError for a step without a checkpoint, and Stopped once `stop()` is True.
    """
    if "evaluate" in stages:
        _check_step(workdir, len(groups), step)
        engine.evaluate_all(workdir, groups, stop=stop, step=step, shard=shard)
    if stop() and "report" in stages:
        raise Stopped("Stopped before the page was written")
    if not hosts.first() or {"evaluate", "report"}.isdisjoint(stages):
        return
    if not shard.whole or not hosts.alone():
        print(f"This part is done; `{workdir.report_command}` reports all parts.")
    elif "report" in stages:
        print(report.write(groups, workdir))
    else:
        where = f"Scores: {workdir.root / 'runs' / '*' / NEWEST}; `{workdir.report_command}` draws the page."
        print(f"{report.table(groups, workdir)}\n\n{where}")


def _check_step(workdir: Workdir, count: int, step: Step) -> None:
    """Raises UserError for a step that none of the `count` populations has."""
    if step == BEST:
        if not any(best.checkpoints(workdir, index).steps for index in range(count)):
            raise UserError(f"--step: no best states are kept; {KEY}=elbo_nats keeps them while a run trains.")
        return
    steps = sorted({each for index in range(count) for each in Checkpoints(workdir.checkpoints(index)).steps})
    if step is not None and step not in steps:
        raise UserError(f"--step: there is no checkpoint of step {step}; there are {steps}.")
