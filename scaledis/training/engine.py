"""Trains and scores populations of an experiment; `search.stages` chooses the populations and their steps."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from scaledis.config import Config, differing
from scaledis.core import hosts, runtime
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.sweeps import best, expand, plan
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training import hooks, memory
from scaledis.training.evaluate import evaluate_population
from scaledis.training.hooks import MakeHook
from scaledis.training.loop import train_population
from scaledis.training.population import Population
from scaledis.training.progress import SweepProgress
from scaledis.training.restore import Step
from scaledis.types import NEVER, Run, RunState
from scaledis.workdir import claims, table
from scaledis.workdir.layout import Workdir

Groups = list[list[Run]]
Keep = Callable[[Sequence[Run], Dataset, Population, RunState], None]  # gets a trained population


class Job(NamedTuple):
    """The runs that an engine trains, and how.

    workdir: where everything is written; the caller holds its lock.
    base: the config, the sweeps and the command line, which the work directory keeps.
    runs: all known runs of the experiment.
    only: the names of the runs that train now, None for all; the directory may hold other runs, which do not change.
    dataset: the data set of all runs; None: that of each config.
    extend: whether runs may train further if more steps change a schedule or a stage.
    restart: whether runs without a usable checkpoint begin again at step 0.
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
    only: Collection[str] | None = None

    @property
    def current(self) -> Sequence[Run]:
        """The runs that train now."""
        return self.runs if self.only is None else [run for run in self.runs if run.name in self.only]


def ignore(runs: Sequence[Run], dataset: Dataset, population: Population, states: RunState) -> None:
    """A `keep` that does nothing: the trained populations stay on the disk."""
    del runs, dataset, population, states


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

    Raises UserError for a config that cannot be built, that does not fit its data set, or whose log lacks the number of
    `train.keep_best`.
    """
    for config in {(plan.shared(config), config.model.parameters): config for config in configs}.values():
        images = dataset or sampling.load_dataset(config.data)
        population = Population([config], sampling.spec_of(images, config.data))
        if config.train.keep_best:
            best.check_log(config, population.terms, images)
        sampling.make_sampler(images, config.data)


def train_groups(
    job: Job,
    groups: Sequence[tuple[int, Sequence[Run]]],
    until: Mapping[int, int],
    stop: Callable[[], bool] = runtime.never,
    keep: Keep = ignore,
) -> bool:
    """Trains populations of a job one after another, and returns whether any of them took a step.

    `groups` has each population with its number. `until` is {number of a population: the step to which it trains now};
    the others train to their end. Raises what `train_population` and `evaluate_population` raise.
    """
    ends = {index: (len(group), until.get(index, group[0].config.train.steps)) for index, group in groups}
    progress = SweepProgress(ends, "at the rung" if until else "done")
    for index, group in groups:
        train_group(job, group, index, progress, stop, keep, until.get(index))
    return progress.began


def train_group(
    job: Job,
    group: Sequence[Run],
    index: int,
    progress: SweepProgress,
    stop: Callable[[], bool],
    keep: Keep = ignore,
    until: int | None = None,
) -> int:
    """Trains population `index` of a job, to its end or the step `until`, and returns how many of its runs diverged.

    When a population has come to its end, it is passed to `keep`, and scored if the job asks for that. A population
    that was trained and scored before its checkpoints were deleted is done, unless `keep` needs it or the job restarts
    what cannot be used.
    """
    names, steps = [run.name for run in group], group[0].config.train.steps
    if keep is ignore and not job.restart and table.is_final(job.workdir, index, names, steps):
        if hosts.first():
            for run in group:  # as the command has it, like those that have checkpoints
                job.workdir.write_config(run, job.workdir.dataset_of(run.name))
            progress.end(index, 0)
        return 0
    dataset = dataset_of(job, group)
    beside = [hooks.make_sweep_progress(progress), *job.beside]
    population, states = train_population(
        group, index, dataset, job.workdir, stop=stop, restart=job.restart, beside=beside, until=until
    )
    diverged = int((hosts.fetch(states.diverged) != NEVER).sum())
    if hosts.first():
        progress.end(index, diverged)
    if until is None:
        keep(group, dataset, population, states)
        if job.evaluate:
            _evaluate(group, index, dataset, job.workdir, stop)
    return diverged


def dataset_of(job: Job, group: Sequence[Run]) -> Dataset:
    """Returns the data set that a population trains on."""
    return job.dataset or sampling.load_dataset(group[0].config.data)


def claim(job: Job) -> Groups:
    """Claims the work directory in the first process; the other processes read what it wrote.

    Raises what `claims.claim` raises.
    """
    workdir, grows = job.workdir, job.only is not None
    at_once = functools.partial(memory.together, dataset=job.dataset)
    groups = claims.claim(workdir, job.base, job.runs, job.extend, job.shard, at_once, grows) if hosts.first() else []
    hosts.wait()
    if hosts.first():
        return groups
    there, here = {name for group in workdir.groups() for name in group}, {run.name for run in job.runs}
    if not there >= here or (there > here and not grows):
        raise UserError(f"workdir: {workdir.root} is another directory for the first process; share one file system.")
    return workdir.populations(job.runs)


def evaluate_all(
    workdir: Workdir,
    groups: Groups,
    *,
    stop: Callable[[], bool] = runtime.never,
    step: Step = None,
    shard: Shard = WHOLE,
) -> None:
    """Scores every run of the shard's populations, each on its own data set; runs that were dropped are left out.

    Raises what `evaluate_population` raises.
    """
    dropped = workdir.dropped()
    for index, group in shard.take(groups, workdir.parts()):
        if dropped.keys() >= {run.name for run in group}:
            continue
        sampling.check_named(workdir.dataset_of(group[0].name), group[0].name)
        dataset = sampling.load_dataset(group[0].config.data)
        _evaluate(group, index, dataset, workdir, stop, step)


def _evaluate(
    group: Sequence[Run],
    index: int,
    dataset: Dataset,
    workdir: Workdir,
    stop: Callable[[], bool],
    step: Step = None,
) -> None:
    """Scores a population and writes its rows of the table, unless both exist."""
    scored = evaluate_population(group, index, dataset, workdir, stop=stop, step=step)
    names = [run.name for run in group]
    if hosts.first() and (scored or table.read_file(workdir, index, names) is None):
        table.write(workdir, index, names)
