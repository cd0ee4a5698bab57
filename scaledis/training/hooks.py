"""Hooks: actions that the training loop calls at each of its stops, or every so many steps.

A hook is made for a population once its first step is known, and is called with a Moment of the loop.
"""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scaledis.core import hosts, runtime
from scaledis.core.errors import Stopped
from scaledis.datasets import Dataset
from scaledis.model import Model
from scaledis.training.evaluate import score_population
from scaledis.training.population import Population
from scaledis.training.progress import Progress, SweepProgress
from scaledis.training.trackers import Tracker
from scaledis.types import NEVER, Run, RunState
from scaledis.workdir import score_files
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import Records

Draw = Callable[[Run, Model, Dataset, Workdir, int], np.ndarray]  # writes a run's sheet and returns its pixels


class Training(NamedTuple):
    """A population that is about to train.

    runs: [R].
    population: of these runs.
    number: its place in the plan of the work directory.
    dataset: the data set on which it trains.
    facts: those of the data set, which every checkpoint keeps (sampling.facts).
    workdir: the work directory to which it is written.
    checkpoints: those of the population.
    step: the step from which training resumes; 0 for the start.
    stop: returns whether the process was asked to stop.
    """

    runs: Sequence[Run]
    population: Population
    number: int
    dataset: Dataset
    facts: Mapping[str, Any]
    workdir: Workdir
    checkpoints: Checkpoints
    step: int
    stop: Callable[[], bool]


class Moment(NamedTuple):
    """A population at a stop of the loop.

    step: steps done.
    states: those of the runs [R], spread over all processes.
    terms: [R] by name, means over the steps since the last stop; NaN for a frozen run.
    diverged: int [R], the step at which a run was frozen; -1 for never.
    """

    step: int
    states: RunState
    terms: Mapping[str, np.ndarray]
    diverged: np.ndarray


class Hook(NamedTuple):
    """An action that the loop calls.

    call: the action; every process calls it. It may raise Stopped in all processes; later hooks are still called.
    every: its rhythm in steps, 0 for never; None for every stop of the loop, before the loop decides whether to end.
    at_end: whether it is also called when the loop ends.
    close: called once, when the loop has ended or failed.
    """

    call: Callable[[Moment], None]
    every: int | None = None
    at_end: bool = False
    close: Callable[[], None] = lambda: None

    def due(self, step: int, ends: bool) -> bool:
        """Returns whether a hook with a rhythm is due at a step; `ends` says whether the loop ends at this step."""
        return bool(self.every and step % self.every == 0) or (self.at_end and ends)


MakeHook = Callable[[Training], Hook]


def make_callback(callback: Callable[[int, Mapping[str, np.ndarray]], None]) -> MakeHook:
    """Returns a maker of the hook that calls `callback` with (step, terms [R] by name) in the first process."""

    def call(moment: Moment) -> None:
        if hosts.first():
            callback(moment.step, moment.terms)

    return lambda training: Hook(call)


def make_log(training: Training) -> Hook:
    """Returns the hook that appends a line to every run's metrics.jsonl; the terms of a frozen run are null."""
    workdir = training.workdir
    paths = [workdir.run(run.name) / "metrics.jsonl" for run in training.runs if hosts.first()]
    records = [Records(path, training.step, needs_seals=workdir.needs_seals) for path in paths]

    def call(moment: Moment) -> None:
        for slot, record in enumerate(records):
            values = {name: float(term[slot]) for name, term in moment.terms.items()}
            line = {name: value if math.isfinite(value) else None for name, value in values.items()}
            frozen = {} if moment.diverged[slot] == NEVER else {"diverged": int(moment.diverged[slot])}
            record.append({"step": moment.step, **line, **frozen})

    return Hook(call)


def make_progress(training: Training) -> Hook:
    """Returns the hook that shows a bar on a terminal, and elsewhere writes a line every half minute."""
    runs, steps = training.runs, training.population.config.train.steps
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    progress = Progress(title, training.step, steps, quiet=not hosts.first())
    return Hook(lambda moment: progress.update(moment.step, moment.terms), close=progress.close)


def make_sweep_progress(progress: SweepProgress) -> MakeHook:
    """Returns a maker of the hook that reports the step of a population to the progress of its sweep."""

    def make(training: Training) -> Hook:
        def call(moment: Moment) -> None:
            if hosts.first():
                progress.update(training.number, moment.step, int((moment.diverged != NEVER).sum()))

        return Hook(call)

    return make


def make_checkpoints(training: Training) -> Hook:
    """Returns the hook that writes a checkpoint every `train.checkpoint_every` steps and when the loop ends.

    Its manifest has the names of the runs, their data, the conditions of `runtime.conditions`, the steps at which runs
    diverged, and the seconds for which the population has trained.
    """
    config, checkpoints = training.population.config, training.checkpoints
    held = checkpoints.manifest(training.step) if training.step else {}
    about = {"runs": [run.name for run in training.runs], "dataset": training.facts, **runtime.conditions()}
    began = time.monotonic() - held.get("seconds", 0.0)

    def call(moment: Moment) -> None:
        passed = {"diverged": moment.diverged.tolist(), "seconds": round(time.monotonic() - began, 3)}
        checkpoints.save(moment.step, moment.states, about | passed)

    return Hook(call, config.train.checkpoint_every, at_end=True)


def make_tracking(trackers: Sequence[Tracker]) -> MakeHook:
    """Returns a maker of the hook that sends the finite terms of every run to the trackers."""

    def make(training: Training) -> Hook:
        for run, tracker in itertools.product(training.runs, trackers):
            tracker.begin(run.name, training.step)

        def call(moment: Moment) -> None:
            for (slot, run), tracker in itertools.product(enumerate(training.runs), trackers):
                values = {name: float(term[slot]) for name, term in moment.terms.items() if np.isfinite(term[slot])}
                tracker.log(run.name, moment.step, values)

        return Hook(call)

    return make


def quick(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs as they are scored while they train: without chance levels, floor and ceiling."""
    found = []
    for run in runs:
        evaluate = dataclasses.replace(run.config.evaluate, chance=0, floor=False, ceiling=False)
        found.append(run._replace(config=dataclasses.replace(run.config, evaluate=evaluate)))
    return found


def make_scores(draw: Draw | None = None, trackers: Sequence[Tracker] = ()) -> MakeHook:
    """Returns a maker of the hook that scores every run every `train.evaluate_every` steps.

    The scores have no chance levels, floor and ceiling.

    Args:
      draw: writes a run's sheet of pictures and returns its pixels; None for no sheets.
      trackers: where the scores and sheets are sent, too.
    """

    def make(training: Training) -> Hook:
        runs, population, dataset = quick(training.runs), training.population, training.dataset
        workdir = training.workdir

        def score(step: int, states: RunState) -> None:
            try:
                score_population(runs, population, states, dataset, workdir, [step] * len(runs), stop=training.stop)
            except Stopped:  # the loop ends at its next stop, with a checkpoint
                return
            for slot, run in enumerate(training.runs):
                scores = score_files.newest(workdir, run.name)["all"]
                numbers = {f"score/{name}": value for name, value in scores.items() if isinstance(value, float)}
                pixels = draw and draw(run, population.model(states, slot), dataset, workdir, step)
                for tracker in trackers:
                    tracker.log(run.name, step, numbers)
                    if pixels is not None:
                        tracker.image(run.name, step, "traversals", pixels)

        def call(moment: Moment) -> None:
            states = hosts.gathered(moment.states)
            if hosts.first():
                score(moment.step, states)
            hosts.wait()

        return Hook(call, population.config.train.evaluate_every)

    return make
