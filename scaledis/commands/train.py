"""`scaledis train` and `scaledis sweep`."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scaledis.commands.experiment import Distributed, Named
from scaledis.commands.results import ALL, SHARD, STEP, finish, look, step_or_best
from scaledis.config import typed
from scaledis.core import hosts, registry, runtime
from scaledis.core.command import names, option, positional, seconds
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from scaledis.planning import dry_run, forecast, targets
from scaledis.report.pictures import sheets
from scaledis.search import batches, contests, ray_cluster, settings, space, stages
from scaledis.search.settings import Settings
from scaledis.sweeps import config_file, plan, shards, starts
from scaledis.sweeps.configs import override
from scaledis.sweeps.expand import MANY_RUNS, available
from scaledis.training import engine, hooks
from scaledis.training.engine import Groups, Job
from scaledis.training.evaluate import sample
from scaledis.training.trackers import make_tracker
from scaledis.types import Run

STAGES = ("train", "evaluate", "report")


class Engine(NamedTuple):
    """Trains the populations of a job.

    train_all: (job, stop=) -> all populations.
    prepare: called before JAX computes.
    tracks: whether the runs train in this process, where trackers can follow them.
    """

    train_all: Callable[..., Groups]
    prepare: Callable[[], None] = lambda: None
    tracks: bool = True


ENGINES = {
    "local": Engine(stages.train_all),
    "ray": Engine(ray_cluster.train_all, ray_cluster.leave_devices, tracks=False),
}


@dataclass
class Train(Distributed, Named):
    """Trains runs, scores them and writes their page. The same command resumes where an earlier one stopped.

    examples:
      scaledis train quickstart                                   a config by name
      scaledis train scale_vlae --data=rendered --steps=4000      a method on a data set
      scaledis train vlae --seeds=5 --config.train.batch=32       any key of `scaledis describe config`
      scaledis train vlae --data=folder --config.data.path=~/pictures
      scaledis train --config=mine.py:argument --sweep=method.gamma=1,2,4
      scaledis train table1 --sweep=table1 --dry_run              runs, programs, memory and time; nothing is compiled
      scaledis train table1 --sweep=table1 --dry_run --device=v5e:16    the same, and a plan for 16 chips
      scaledis train --workdir=runs/scale_vlae --steps=8000       trains the runs of a directory further
    """

    word = "train"
    stages: tuple[str, ...] = option("the stages of the command, separated by commas", STAGES, names, commas=True)
    step: int | str | None = option(STEP, parse=step_or_best)
    shard: str = option(SHARD, ALL)
    halving: str | None = option(
        "drop runs of the sweep at rungs: eta:3,rungs:4,by:elbo_nats keeps the best third, four times"
    )
    search: str | None = option(
        "search a space for the best setting: optuna:200 tries 200 settings; optuna:200,sampler:quasi,seed:1,batch:16"
    )
    space: tuple[str, ...] = option("the range of a key that is searched, such as method.beta=log:1..64", ())
    objective: tuple[str, ...] = option(
        "what a search maximizes: a number of the log, a score such as dci/disentanglement, or udr; :min minimizes it",
        (),
    )
    engine: str = option("where populations train: `local` is this process, `ray` a cluster of Ray", "local")
    time_limit: str | None = option("stop with a checkpoint after this time, such as 50m; the exit code is then 130")
    dry_run: bool = option("print the runs, their programs, memory and time; compile and train nothing", False)
    device: str | None = option("plan for devices that need not be here, such as h100:8 or v5e:4x4; needs --dry_run")
    compile: bool = option("compile the programs that the table lacks for --device; this takes minutes", False)
    yes: bool = option(f"allow more than {MANY_RUNS:,} runs", False)
    extend: bool = option("allow more steps even if they change a schedule or a stage of a run", False)
    restart: bool = option("train a run from step 0 again if none of its checkpoints can be used", False)
    track: tuple[str, ...] = option("log also to tensorboard, wandb, or both (with a comma)", (), names, commas=True)

    def record(self) -> Mapping[str, Any]:
        halving = {} if self.halving is None else {contests.HALVING: self.halving}
        return {**super().record(), **halving}

    def execute(self) -> None:
        """Runs the stages. Raises UserError for arguments that cannot run, and Stopped by a signal or a time limit."""
        for stage in self.stages:
            registry.check("--stages", stage, STAGES)
        if self.device and not self.dry_run:
            raise UserError(f"--device: {self.device} is planned for, not trained on; add --dry_run.")
        if self.compile and not self.device:
            raise UserError("--compile: it needs the devices to compile for, such as --device=v5e.")
        with self.together():
            if self.dry_run:
                self._plan()
            elif "train" in self.stages:
                self._train()
            else:
                look(self, self.stages, self.step, self.shard, self.time_limit)

    @property
    def searched(self) -> Settings | None:
        """The settings of the search; None without one. Raises UserError for invalid settings."""
        if self.search is None:
            for name in ("space", "objective"):
                if getattr(self, name):
                    raise UserError(f"--{name}: it is for a search; give --search=optuna:N too.")
            return None
        if not self.loaded:
            raise UserError("--search: it needs a config; give one by its name or with --config.")
        ranges = space.of_file(self.loaded.namespace) | space.parse(self.space)
        return settings.parse(self.search, self.objective, ranges)

    def trial(self, params: Mapping[str, object]) -> list[Run]:
        """Returns the runs of a trial, whose `params` are the values that the search gives to its keys."""
        assert self.loaded  # `searched` has made sure
        typed_ = {key: typed(key, value) for key, value in params.items()}
        return self.expanded(override(self.loaded.config, typed_, "--space"))

    def _plan(self) -> None:
        devices = targets.parse(self.device) if self.device else None
        directory, runs = self.directory, self._planned()
        _check(runs)
        share = self._share(runs)
        print(dry_run.report(runs, directory, share))
        if devices and self.compile:
            forecast.complete(runs, devices.kind)
        if devices:
            print("\n" + dry_run.on_devices(forecast.forecast(runs, devices, share=share)))

    def _share(self, runs: list[Run]) -> forecast.Share:
        """Returns the share of its steps that a run trains for: --halving compares all runs, or those of a batch."""
        if self.halving is None:
            return starts.share
        wanted = self.searched
        batch = wanted.batch or plan.parallel(runs[0].config.train.parallel) if wanted else len(runs)
        return functools.partial(contests.share, self.halving, min(batch, len(runs)))

    def _planned(self) -> list[Run]:
        """Returns the runs of the command. The trials of a search all have the middle of the space, for a plan."""
        if not (wanted := self.searched):
            return self.runs()
        space.check(wanted.space, self.trial)
        runs = self.trial(space.middle(wanted.space))
        return [run for number in range(wanted.trials) for run in batches.named(number, runs)]

    def _train(self) -> None:
        limit = seconds("--time_limit", self.time_limit)
        chosen = registry.choose("--engine", self.engine, ENGINES)
        if self.track and not chosen.tracks:
            raise UserError(f"--track: follows runs of this process only; leave it out with --engine={self.engine}.")
        chosen.prepare()
        workdir, shard, wanted, runs = self.directory, shards.parse(self.shard), self.searched, self._planned()
        if len(runs) > MANY_RUNS and not self.yes:
            count = f"{len(runs):,} runs"
            raise UserError(f"--sweep: it gives {count}; --dry_run prints what they take, and --yes trains them.")
        _check(runs)
        train_all = chosen.train_all
        if wanted:
            train_all = functools.partial(batches.train_all, wanted=wanted, runs_of=self.trial, train=train_all)
        elif workdir.config.exists() and (held := workdir.claimed()).get(settings.KEY):
            raise UserError(f"workdir: {workdir.root} holds a search; go on with `{held['command']}`.")
        lock = workdir.locked(shard) if hosts.first() else contextlib.nullcontext()
        with lock, runtime.stopping(limit) as stop:
            with contextlib.ExitStack() as opened:
                trackers = [make_tracker(name, workdir) for name in self.track if hosts.first()]
                for tracker in trackers:
                    opened.callback(tracker.close)
                groups = train_all(
                    Job(
                        workdir,
                        self.record(),
                        () if wanted else runs,
                        extend=self.extend,
                        restart=self.restart,
                        shard=shard,
                        evaluate="evaluate" in self.stages and self.step is None,
                        beside=[
                            hooks.make_progress,
                            hooks.make_tracking(trackers),
                            hooks.make_scores(sheets.write, trackers),
                        ],
                    ),
                    stop=stop,
                )
            finish(workdir, groups, self.stages, self.step, shard, stop)


@dataclass
class Sweep(Train):
    """Trains the product of sweeps over a config, by default the sweep that has the config's name.

    examples:
      scaledis sweep table2                                       the sweep table2 of the config table2
      scaledis sweep quickstart demo
      scaledis sweep --config=mine.py demo                        the sweep demo of a config file
      scaledis sweep tier:small method.name=vlae,scale_vlae seeds:5
      scaledis sweep scale_vlae method.gamma=1,2,4 seeds:3 --data=rendered --steps=4000
      scaledis sweep granularity --shard=0/8                      the first of eight jobs
    """

    word = "sweep"
    product: tuple[str, ...] = positional("sweeps: each a name, seeds:5, or key=value,value", default=())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.config is not None and self.name is not None:  # the config is named already, so all words are sweeps
            self.product, self.name = (self.name, *self.product), None

    @property
    def sweeps(self) -> list[str]:
        sweeps = [*self.product, *super().sweeps]
        if self.file is None or sweeps or self.search:
            return sweeps
        own = config_file.title(str(self.file))
        registry.check("sweep", own, available(self.namespace))
        return [own]


def _check(runs: list[Run]) -> None:
    """Raises UserError if a run cannot be built or scored, before any run trains."""
    engine.check([run.config for run in runs])
    for config in {(run.config.data, run.config.evaluate): run.config for run in runs}.values():
        sample(sampling.load_dataset(config.data), config)
