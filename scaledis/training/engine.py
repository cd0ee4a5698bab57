"""Trains and scores the runs of an experiment, for Python, the command line and experiments/."""

import contextlib
import dataclasses
import functools
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scaledis.config import Config, differing, thaw
from scaledis.core import hosts, kinds, runtime, safetensors
from scaledis.core.errors import Stopped, UserError
from scaledis.datasets import Dataset, Examples, expanded
from scaledis.datasets.base import sampling
from scaledis.sweeps import expand, plan
from scaledis.sweeps.configs import refreeze
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training import hooks, memory
from scaledis.training.evaluate import evaluate_population
from scaledis.training.hooks import MakeHook
from scaledis.training.loop import train_population
from scaledis.training.population import Population
from scaledis.training.progress import SweepProgress
from scaledis.types import NEVER, Model, Run, RunState
from scaledis.workdir import table
from scaledis.workdir.layout import Workdir

Groups = list[list[Run]]
Keep = Callable[[Sequence[Run], Dataset, Population, RunState], None]  # gets a trained population
Callback = Callable[[int, Mapping[str, np.ndarray]], None]  # (step, terms [R] by name)


class Job(NamedTuple):
    """The runs that an engine trains, and how.

    workdir: where everything is written; the caller holds its lock.
    base: the config, the sweeps and the command, which the work directory keeps.
    runs: all runs of the experiment.
    dataset: the one that all runs train on; None for that of each config.
    extend: whether runs may go on to more steps although that changes a schedule or a stage.
    restart: whether runs without a usable checkpoint begin again.
    shard: the share of the populations that this process trains.
    evaluate: whether a population is scored as soon as it is trained.
    beside: hooks of every population.
    """

    workdir: Workdir
    base: Mapping[str, object]
    runs: Sequence[Run]
    dataset: Dataset | None = None
    extend: bool = False
    restart: bool = False
    shard: Shard = WHOLE
    evaluate: bool = False
    beside: Sequence[MakeHook] = (hooks.make_progress, hooks.make_scores())


def ignore(runs: Sequence[Run], dataset: Dataset, population: Population, states: RunState) -> None:
    """A `keep` that does nothing: the trained populations stay on the disk."""
    del runs, dataset, population, states


@kinds.checked
def train(
    configs: Config | Iterable[Config],
    dataset: Dataset | Examples | None = None,
    *,
    workdir: str | Path | None = None,
    init_from: Model | str | Path | None = None,
    callback: Callback | None = None,
    extend: bool = False,
    restart: bool = False,
) -> list[Model]:
    """Trains one run or several and returns a Model of each, in the order of the configs.

    Runs that share a program train together. With a `workdir`, the same call goes on where an earlier one stopped;
    without it, nothing stays on the disk.

    Args:
      configs: from `make_config`.
      dataset: the data set of all runs; by default that of each config. An object of Python with your own images
        (`datasets.Examples`) is prepared by `data.scale`, `data.bits` and `data.resolution` of the first config.
      workdir: where states, logs and results are written.
      init_from: a model of the same network, or the folder of a saved one, whose parameters all runs start from, as
        `train.init_from` of a config does; a model is saved in the directory of caches first.
      callback: called with (step, terms [R] by name) at every log line, in place of a population's line of progress.
      extend: whether a run of `workdir` may go on to more steps although that changes its schedule or its stages.
      restart: whether a run that has made progress may begin again if it has no usable checkpoint.

    An interrupt (Ctrl-C, or that of a notebook's kernel) stops it at the next log line; a second one stops it at once.

    Raises UserError for a config that cannot run, for two equal configs, for a workdir of other runs, and if something
    cannot be written; KeyboardInterrupt, after a checkpoint, if it was interrupted.

    >>> [model] = train(make_config("vlae", {"train.steps": 4000}), workdir="runs/mine")
    >>> model.config.method.name
    'vlae'
    """
    configs = [refreeze(each) for each in ([configs] if isinstance(configs, Config) else configs)]
    if not configs:
        raise UserError("configs: there are none.")
    sampling.load_dataset.cache_clear()  # a file may have changed since the last call
    images = sampling.prepared(dataset, configs[0].data)
    if init_from is not None:
        folders = {where: _folder(init_from, where) for where in {config.data.directory for config in configs}}
        configs = [_started(config, folders[config.data.directory]) for config in configs]
    runs = named(configs)
    check(configs, images)
    if images is not None:
        for data in {config.data for config in configs}:
            sampling.warn_of_neighbors(images, data)
    models: dict[str, Model] = {}

    def keep(group: Sequence[Run], own: Dataset, population: Population, states: RunState) -> None:
        facts = sampling.facts(own, group[0].config.data)
        models.update({run.name: population.model(states, slot, facts) for slot, run in enumerate(group)})

    base = {"config": thaw(configs[0]), "sweep": [], "command": "scaledis.train"}
    beside = [hooks.make_callback(callback) if callback else hooks.make_progress, hooks.make_scores()]
    with contextlib.ExitStack() as held:
        directory = Workdir(held.enter_context(tempfile.TemporaryDirectory()) if workdir is None else workdir)
        stop = held.enter_context(runtime.stopping())
        held.enter_context(directory.locked())
        try:
            train_all(Job(directory, base, runs, images, extend, restart, beside=beside), stop, keep)
        except Stopped as stopped:
            then = "nothing is kept without a workdir" if workdir is None else "the same call goes on from there"
            raise KeyboardInterrupt(f"{stopped}; {then}.") from None
    return [models[run.name] for run in runs]


def _folder(source: Model | str | Path, directory: str) -> str:
    """Returns the folder of a saved model; saves a model below `directory`, under the checksum of its arrays."""
    if not isinstance(source, Model):
        return str(source)
    name = hashlib.sha256(safetensors.dumps(source.arrays())).hexdigest()[:16]
    folder = expanded("data.directory", directory) / "models" / name
    source.save(folder)
    return str(folder)


def _started(config: Config, folder: str) -> Config:
    """Returns the config of a run that starts from the saved model of a folder."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, init_from=folder))


def named(configs: Sequence[Config]) -> list[Run]:
    """Returns the configs as runs, named by the keys in which they differ. Raises UserError for two equal configs."""
    columns = differing(configs)
    runs: dict[str, Run] = {}
    for place, config in enumerate(configs):
        values = {key: column[place] for key, column in columns.items() if column[place] is not None}
        name = expand.run_name(values, runs)
        if config in [run.config for run in runs.values()]:
            raise UserError(f"configs: two are the same, {name}.")
        runs[name.casefold()] = Run(name, config)
    return list(runs.values())


def check(configs: Sequence[Config], dataset: Dataset | None = None) -> None:
    """Builds every network and the sampler of its images, before anything is written.

    Raises UserError for a config that cannot be built, and for one that does not fit its data set.
    """
    for config in {(plan.shared(config), config.model.parameters): config for config in configs}.values():
        images = dataset or sampling.load_dataset(config.data)
        Population([config], sampling.spec_of(images, config.data))
        sampling.make_sampler(images, config.data)


def train_all(job: Job, stop: Callable[[], bool] = runtime.never, keep: Keep = ignore) -> Groups:
    """Trains the runs of a job in their populations and returns all populations.

    `keep` gets each population of the shard once it is trained. Where all were trained before, a line says so. Raises
    what `Workdir.claim`, `train_population` and `evaluate_population` raise.
    """
    groups = _claim(job)
    own = job.shard.take(groups)
    progress = SweepProgress({index: (len(group), group[0].config.train.steps) for index, group in own})
    for index, group in own:
        train_group(job, group, index, progress, stop, keep)
    if own and hosts.first() and not progress.began:
        count = sum(len(group) for _, group in own)
        runs = "the run is" if count == 1 else f"all {count:,} runs are"
        print(
            f"{job.workdir.root}: {runs} trained already; `{job.workdir.report_command}` shows the results.",
            file=sys.stderr,
        )
    return groups


def train_group(
    job: Job,
    group: Sequence[Run],
    index: int,
    progress: SweepProgress,
    stop: Callable[[], bool],
    keep: Keep = ignore,
) -> int:
    """Trains population `index` of a job and returns how many of its runs diverged; see `train_all`."""
    dataset = job.dataset or sampling.load_dataset(group[0].config.data)
    beside = [hooks.make_sweep_progress(progress), *job.beside]
    population, states = train_population(
        group, index, dataset, job.workdir, stop=stop, restart=job.restart, beside=beside
    )
    diverged = int((hosts.fetch(states.diverged) != NEVER).sum())
    if hosts.first():
        progress.end(index, diverged)
    keep(group, dataset, population, states)
    if job.evaluate:
        _evaluate(group, index, dataset, job.workdir, stop)
    return diverged


def _claim(job: Job) -> Groups:
    """Claims the work directory in the first process; the other processes read what it wrote."""
    workdir, runs = job.workdir, job.runs
    at_once = functools.partial(memory.together, dataset=job.dataset)
    groups = workdir.claim(job.base, runs, job.extend, job.shard, at_once) if hosts.first() else []
    hosts.wait()
    if hosts.first():
        return groups
    known = {run.name: run for run in runs}
    if {name for group in workdir.groups() for name in group} != known.keys():
        raise UserError(f"workdir: {workdir.root} is another directory for the first process; share one file system.")
    return workdir.populations(known.__getitem__)


def evaluate_all(
    workdir: Workdir,
    groups: Groups,
    *,
    stop: Callable[[], bool] = runtime.never,
    step: int | None = None,
    shard: Shard = WHOLE,
) -> None:
    """Scores every run of the shard's populations, each on its own data set.

    Raises what `evaluate_population` raises.
    """
    for index, group in shard.take(groups):
        dataset = sampling.load_dataset(group[0].config.data)
        _evaluate(group, index, dataset, workdir, stop, step)


def _evaluate(
    group: Sequence[Run],
    index: int,
    dataset: Dataset,
    workdir: Workdir,
    stop: Callable[[], bool],
    step: int | None = None,
) -> None:
    """Scores a population and writes its rows of the table, unless both exist."""
    scored = evaluate_population(group, index, dataset, workdir, stop=stop, step=step)
    names = [run.name for run in group]
    if hosts.first() and (scored or table.read_file(workdir, index, names) is None):
        table.write(workdir, index, names)
