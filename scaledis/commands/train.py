"""`scaledis train` and `scaledis sweep`."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from scaledis.commands.experiment import Distributed, Named
from scaledis.commands.results import ALL, finish, look
from scaledis.core import hosts, registry, runtime
from scaledis.core.command import names, option, positional, seconds, whole
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from scaledis.planning import dry_run
from scaledis.report.pictures import sheets
from scaledis.sweeps import config_file, shards
from scaledis.sweeps.expand import MANY_RUNS, available
from scaledis.training import engine, hooks, ray_cluster
from scaledis.training.engine import Groups, Job
from scaledis.training.evaluate import sample
from scaledis.training.trackers import make_tracker
from scaledis.types import Run

STAGES = ("train", "evaluate", "report")


class Engine(NamedTuple):
    """Trains the populations of a job.

    train_all: (job, stop) -> all populations.
    prepare: runs before JAX computes.
    tracks: whether the runs train in this process, where trackers can follow them.
    """

    train_all: Callable[[Job, Callable[[], bool]], Groups]
    prepare: Callable[[], None] = lambda: None
    tracks: bool = True


ENGINES = {
    "local": Engine(engine.train_all),
    "ray": Engine(ray_cluster.train_all, ray_cluster.leave_devices, tracks=False),
}


@dataclass
class Train(Distributed, Named):
    """Trains runs, scores them and writes their page. The same command again goes on where it ended.

    examples:
      scaledis train quickstart                                   a config by name
      scaledis train scale_vlae --data=rendered --steps=4000      a method on a data set
      scaledis train vlae --seeds=5 --config.train.batch=32       any key of the config
      scaledis train --config=mine.py:argument --sweep=method.gamma=1,2,4
      scaledis train table1 --sweep=table1 --dry_run              runs, programs, memory and time; nothing is compiled
      scaledis train --workdir=runs/scale_vlae --steps=8000       goes on with the runs of a directory
    """

    word = "train"
    stages: tuple[str, ...] = option(f"those of {', '.join(STAGES)} to do", STAGES, names, commas=True)
    step: int | None = option("evaluate the checkpoint of this step instead of the newest one", parse=whole)
    shard: str = option("i/n: this process takes populations i, i + n, ... of the directory", ALL)
    engine: str = option("trains the populations: this process (local) or Ray (ray)", "local")
    time_limit: str | None = option("stop with a checkpoint after this time, such as 50m; the exit code is 130")
    dry_run: bool = option("print the runs, their programs, memory and time; nothing is compiled", False)
    yes: bool = option(f"train more than {MANY_RUNS:,} runs", False)
    extend: bool = option("train to more steps although a schedule or a stage changes with them", False)
    restart: bool = option("begin again at step 0 where no checkpoint can be used", False)
    track: tuple[str, ...] = option("follow the runs in these: tensorboard, wandb", (), names, commas=True)

    def execute(self) -> None:
        """Runs the stages. Raises UserError for a command that cannot run, Stopped where a signal or time ends it."""
        for stage in self.stages:
            registry.check("--stages", stage, STAGES)
        with self.together():
            if self.dry_run:
                directory, runs = self.directory, self.runs()
                _check(runs)
                print(dry_run.report(runs, directory))
            elif "train" in self.stages:
                self._train()
            else:
                look(self, self.stages, self.step, self.shard, self.time_limit)

    def _train(self) -> None:
        limit = seconds("--time_limit", self.time_limit)
        chosen = registry.choose("--engine", self.engine, ENGINES)
        if self.track and not chosen.tracks:
            raise UserError(f"--track: follows runs of this process; with --engine={self.engine}, leave it out.")
        chosen.prepare()
        workdir, shard, runs = self.directory, shards.parse(self.shard), self.runs()
        if len(runs) > MANY_RUNS and not self.yes:
            count = f"{len(runs):,} runs"
            raise UserError(f"--sweep: it gives {count}; --dry_run says what they take, and --yes trains them.")
        _check(runs)
        lock = workdir.locked(shard) if hosts.first() else contextlib.nullcontext()
        with lock, runtime.stopping(limit) as stop:
            with contextlib.ExitStack() as held:
                trackers = [make_tracker(name, workdir) for name in self.track if hosts.first()]
                for tracker in trackers:
                    held.callback(tracker.close)
                groups = chosen.train_all(
                    Job(
                        workdir,
                        self.record(),
                        runs,
                        self.extend,
                        self.restart,
                        shard,
                        evaluate="evaluate" in self.stages and self.step is None,
                        beside=[hooks.make_tracking(trackers), hooks.make_scores(sheets.write, trackers)],
                    ),
                    stop,
                )
            finish(workdir, groups, self.stages, self.step, shard, stop)


@dataclass
class Sweep(Train):
    """Trains the product of sweeps over a config: by default the sweep that has the config's own name.

    examples:
      scaledis sweep table2                                       the sweep table2 of the config table2
      scaledis sweep quickstart demo
      scaledis sweep tier:small method.name=vlae,scale_vlae seeds:5
      scaledis sweep scale_vlae method.gamma=1,2,4 seeds:3 --data=rendered --steps=4000
      scaledis sweep granularity --shard=0/8                      an eighth of it, in a job array
    """

    word = "sweep"
    product: tuple[str, ...] = positional("sweeps by name, seeds:5, or key=value,value", default=())

    @property
    def sweeps(self) -> list[str]:
        sweeps = [*self.product, *super().sweeps]
        if self.name is None or sweeps:
            return sweeps
        own = config_file.title(str(self.file))
        registry.check("sweep", own, available(self.namespace))
        return [own]


def _check(runs: list[Run]) -> None:
    """Raises UserError for runs that cannot be built or scored, before anything trains."""
    engine.check([run.config for run in runs])
    for config in {(run.config.data, run.config.evaluate): run.config for run in runs}.values():
        sample(sampling.load_dataset(config.data), config)
