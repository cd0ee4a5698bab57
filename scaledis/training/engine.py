"""An experiment from its runs to its scores: what the command line and the scripts of experiments/ have in common."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scaledis.core import hosts, runtime
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.report.pictures import sheets
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training import memory
from scaledis.training.evaluate import evaluate_population, score_population
from scaledis.training.loop import train_population
from scaledis.training.population import Population
from scaledis.training.progress import SweepProgress
from scaledis.training.trackers import Tracker
from scaledis.types import NEVER, Run, RunState
from scaledis.workdir import score_files, table
from scaledis.workdir.layout import Workdir

Groups = list[list[Run]]


def train_all(
    workdir: Workdir,
    base: Mapping[str, Any],
    runs: Sequence[Run],
    *,
    stop: Callable[[], bool] = runtime.never,
    extend: bool = False,
    restart: bool = False,
    trackers: Sequence[Tracker] = (),
    shard: Shard = WHOLE,
    evaluate: bool = False,
) -> Groups:
    """Trains the shard's runs in their populations, each on its own data set, and returns all populations.

    The caller holds the workdir's lock. Every `train.evaluate_every` steps each run is scored and its sheet is drawn;
    with `evaluate` a population is scored as soon as it is trained. Raises what `Workdir.claim`, `train_population` and
    `evaluate_population` raise.
    """
    groups = _claim(workdir, base, runs, extend, shard)
    own = shard.take(groups)
    progress = SweepProgress({index: (len(group), group[0].config.train.steps) for index, group in own})
    trained = None
    for index, group in own:
        trained, _ = train_one(
            workdir,
            group,
            index,
            progress,
            stop,
            restart=restart,
            trackers=trackers,
            evaluate=evaluate,
            like=trained,
        )
    return groups


def train_one(
    workdir: Workdir,
    group: Sequence[Run],
    index: int,
    progress: SweepProgress,
    stop: Callable[[], bool],
    *,
    restart: bool = False,
    trackers: Sequence[Tracker] = (),
    evaluate: bool = False,
    like: Population | None = None,
) -> tuple[Population, int]:
    """Trains population `index` of the plan and returns it, and how many of its runs diverged; see `train_all`."""
    dataset = sampling.load_dataset(group[0].config.data)
    watch = _Watch(group, dataset, workdir, trackers, stop, functools.partial(progress.update, index))
    trained, states = train_population(
        group,
        index,
        dataset,
        workdir,
        stop=stop,
        restart=restart,
        on_begin=watch.begin,
        on_log=watch.log,
        on_evaluate=watch.evaluate,
        like=like,
    )
    diverged = int((hosts.fetch(states.diverged) != NEVER).sum())
    if hosts.first():
        progress.end(index, diverged)
    if evaluate:
        _evaluate(group, index, dataset, workdir, stop)
    return trained, diverged


def _claim(workdir: Workdir, base: Mapping[str, Any], runs: Sequence[Run], extend: bool, shard: Shard) -> Groups:
    """`Workdir.claim` by the first process; the others read what it wrote."""
    groups = workdir.claim(base, runs, extend, shard, memory.together) if hosts.first() else []
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
    """Scores a population and writes its rows of the table, unless both are there."""
    scored = evaluate_population(group, index, dataset, workdir, stop=stop, step=step)
    names = [run.name for run in group]
    if hosts.first() and (scored or table.read_file(workdir, index, names) is None):
        table.write(workdir, index, names)


class _Watch:
    """What happens to a population while it trains."""

    def __init__(
        self,
        runs: Sequence[Run],
        dataset: Dataset,
        workdir: Workdir,
        trackers: Sequence[Tracker],
        stop: Callable[[], bool],
        progress: Callable[[int, int], None],
    ):
        self._runs, self._dataset, self._workdir = runs, dataset, workdir
        self._trackers, self._stop, self._progress = trackers, stop, progress

    def begin(self, step: int) -> None:
        """The step that the runs go on from."""
        for run, tracker in itertools.product(self._runs, self._trackers):
            tracker.begin(run.name, step)

    def log(self, step: int, terms: Mapping[str, np.ndarray]) -> None:
        """The terms of every run that goes on, and how many do not."""
        self._progress(step, int(sum(np.isnan(term) for term in terms.values()).astype(bool).sum()))
        for slot, run in enumerate(self._runs):
            values = {name: float(term[slot]) for name, term in terms.items() if np.isfinite(term[slot])}
            for tracker in self._trackers:
                tracker.log(run.name, step, values)

    def evaluate(self, step: int, members: Population, states: RunState) -> None:
        """The scores, without chance levels, and the sheet of every run."""
        quick = [
            run._replace(config=replace(run.config, evaluate=replace(run.config.evaluate, chance=0)))
            for run in self._runs
        ]
        score_population(quick, members, states, self._dataset, self._workdir, step, stop=self._stop)
        for slot, run in enumerate(self._runs):
            pixels = sheets.write(run, members.model(states, slot), self._dataset, self._workdir, step)
            scores = score_files.newest(self._workdir, run.name)["all"]
            numbers = {f"score/{name}": value for name, value in scores.items() if isinstance(value, float)}
            for tracker in self._trackers:
                tracker.log(run.name, step, numbers)
                tracker.image(run.name, step, "traversals", pixels)
