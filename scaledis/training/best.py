"""Keeps the state of each run at its best step so far, beside the newest states (`train.keep_best`).

`make_best` makes the hook; `kept` and `write` move the best states when runs go on in another population.
"""

import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from scaledis.config import Config
from scaledis.core import files, hosts, runtime
from scaledis.core.errors import Stopped
from scaledis.sweeps import best as keeping
from scaledis.sweeps.aim import is_score
from scaledis.sweeps.best import KEY
from scaledis.training.evaluate import score_population
from scaledis.training.hooks import Hook, Moment, Training, quick
from scaledis.training.population import Population, replaced
from scaledis.training.restore import NoCheckpoint, place, restore
from scaledis.types import NEVER, Run, RunState
from scaledis.workdir import best, log, score_files
from scaledis.workdir.best import BEST, Best
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import Workdir

Measure = Callable[[Moment], Sequence[float | None]]  # the numbers of the runs, in the first process


class Kept(NamedTuple):
    """The best state of a run as numpy arrays, its step, and the number by which it is the best."""

    state: RunState
    step: int
    number: float


def make_best(training: Training) -> Hook:
    """Returns the hook that replaces the best state of each run whose number is better than its best number so far.

    A number of the log is the mean over the last lines, as at rungs (`log.last_mean`). It is compared every
    `train.checkpoint_every` steps and at the last step, a score every `train.evaluate_every` steps. If a run has
    diverged, or its number is equal or not finite, its best state stays.

    The hook is called before the checkpoint of the same step is written, so that a process that resumes from this
    checkpoint need not compare its step; steps that have been compared are not compared again. If the process is asked
    to stop while the hook scores, it raises Stopped; the file `best.uncompared` then says that the step must still be
    compared.
    """
    settings, checkpoints = training.population.config.train, best.checkpoints(training.workdir, training.number)
    wanted, steps = keeping.of(training.population.config), settings.steps
    every, make_measure = (
        (settings.evaluate_every, _scores) if is_score(wanted.by) else (settings.checkpoint_every, _logged)
    )
    watch, measure = make_measure(training, wanted.by)
    held, compared = _begin(training, checkpoints)

    def call(moment: Moment) -> None:
        nonlocal compared
        watch(moment)
        if moment.step <= compared or (moment.step % every and moment.step != steps):  # a signal may stop anywhere
            return
        try:
            compare(moment)
        except Stopped:
            if hosts.first():
                files.write_bytes(best.uncompared(training.workdir, training.number, moment.step), b"")
            raise
        compared = moment.step

    def compare(moment: Moment) -> None:
        nonlocal held
        found = [
            number if number is not None and math.isfinite(number) and diverged == NEVER else None
            for number, diverged in zip(measure(moment), moment.diverged, strict=True)
        ]
        better = _by_first([wanted.better(*each) for each in zip(found, held.numbers, strict=True)])
        if not better.any():
            return
        states = moment.states
        if not better.all():
            before = checkpoints.restore_newest(training.population.shapes)
            if before:
                states = replaced(better, states, before[1])
            else:  # there is none yet, or it is damaged, which was printed
                better = _by_first([number is not None for number in found])
                held = _empty(training.population.config, held.runs)
        held = held._replace(
            steps=[moment.step if new else step for new, step in zip(better, held.steps, strict=True)],
            numbers=[number if new else old for new, number, old in zip(better, found, held.numbers, strict=True)],
        )
        checkpoints.save(moment.step, states, {"dataset": training.facts, **runtime.conditions(), **held.about})

    return Hook(call, every if is_score(wanted.by) else None)


def _begin(training: Training, checkpoints: Checkpoints) -> tuple[Best, int]:
    """Returns the best steps so far, and the step up to which runs were compared.

    Best states by another number are deleted.
    """
    hosts.wait()  # until the first process has deleted the best states of runs that begin again
    empty, damage = _empty(training.population.config, [run.name for run in training.runs]), ""
    try:
        held = best.read(checkpoints)
    except Damaged as error:
        held, damage = None, f"the best states are damaged, {error}"
    goes_on = held is not None and _alike(held, empty) and held.runs == empty.runs
    compared = checkpoints.newest or 0
    hosts.wait()
    if hosts.first():
        checkpoints.clear() if goes_on else checkpoints.delete()
        if said := damage or (held and not goes_on and f"the best states were kept by {held.words}"):
            words = f"from step {training.step} on they are kept by {empty.words}"
            print(f"{empty.runs[0]}: {said}; {words}.", file=sys.stderr)
    if held is not None and goes_on:
        return held, compared
    return empty, 0


def _empty(config: Config, runs: list[str]) -> Best:
    """Returns the Best of runs that have no best step yet, by the number that the config names."""
    wanted = keeping.of(config)
    way = score_files.way(config.evaluate) if is_score(wanted.by) else ""
    return Best(str(wanted), runs, [None] * len(runs), [None] * len(runs), way)


def _alike(one: Best, other: Best) -> bool:
    """Returns whether two best steps are by the same number, computed in the same way."""
    return (one.by, one.way) == (other.by, other.way)


def _by_first(values: Sequence[bool]) -> np.ndarray:
    """Returns in every process what the first one found, bool [R]."""
    return hosts.from_first(np.asarray(values, bool))


def _logged(training: Training, term: str) -> tuple[Callable[[Moment], None], Measure]:
    """Returns a function that follows the log of each run line by line, and the Measure of a number of the log."""
    workdir = training.workdir
    paths = [workdir.run(run.name) / "metrics.jsonl" for run in training.runs if hosts.first()]
    logs = [log.read_records(path, needs_seals=workdir.needs_seals) for path in paths]
    lines = [[{term: record.get(term)} for record in records] for records in logs]

    def watch(moment: Moment) -> None:
        for own, value in zip(lines, moment.terms[term].tolist(), strict=False):  # only the first process has lines
            own.append({term: value if math.isfinite(value) else None})

    return watch, lambda moment: [log.last_mean(own, term) for own in lines] or [None] * len(training.runs)


def _scores(training: Training, name: str) -> tuple[Callable[[Moment], None], Measure]:
    """Returns a function that follows nothing, and the Measure of a score, which computes missing scores.

    The Measure raises Stopped in all processes if it is stopped.
    """
    runs = quick(training.runs)

    def measure(moment: Moment) -> Sequence[float | None]:
        states, stopped, steps = hosts.gathered(moment.states), False, [moment.step] * len(runs)
        if hosts.first():
            try:
                score_population(
                    runs, training.population, states, training.dataset, training.workdir, steps, stop=training.stop
                )
            except Stopped:
                stopped = True
        if hosts.any_process(stopped):
            raise Stopped(f"Stopped at step {moment.step}, between the scores of {KEY}")
        return [_score(training, run, name, moment.step) if hosts.first() else None for run in runs]

    return lambda moment: None, measure


def _score(training: Training, run: Run, name: str, step: int) -> float | None:
    """Returns a score from the file of a run; None if it does not exist."""
    value = score_files.at(training.workdir, run, step).get("all", {}).get(name)
    return float(value) if isinstance(value, int | float) else None


def kept(workdir: Workdir, index: int, config: Config) -> dict[str, Kept]:
    """Returns the best states of population `index` by the names of their runs.

    Returns {} if the config keeps no best states, if they were kept by another number than that of the config, and,
    with a message, if they are damaged. Raises UserError for states of another structure.
    """
    if not config.train.keep_best or best.checkpoints(workdir, index).newest is None:
        return {}
    try:
        found = place(workdir, index, BEST).best
        population, states, _ = restore(workdir, index, BEST)
    except NoCheckpoint as error:
        print(error, file=sys.stderr)
        return {}
    if found is None or not _alike(found, _empty(config, found.runs)):
        return {}
    host, places = hosts.fetch(states), {name: slot for slot, name in enumerate(workdir.planned()[index].names)}
    return {
        name: Kept(jax.tree.map(operator.itemgetter(places[name]), host), step, number)
        for name, step, number in zip(found.runs, found.steps, found.numbers, strict=True)
        if name in places and step is not None and number is not None
    }


def write(
    workdir: Workdir,
    index: int,
    population: Population,
    runs: Mapping[str, RunState],
    found: Mapping[str, Kept],
    facts: Mapping[str, Any],
) -> None:
    """Writes the best states of a new population `index`, if any of its runs has one.

    Args:
      runs: the states from which the runs go on, numpy arrays by name; they were compared up to there.
      found: the best states by name (`kept`).
      facts: of the data set.
    """
    if found.keys().isdisjoint(runs):
        return
    own = [found.get(name) for name in runs]
    states = population.gather([each.state if each else runs[name] for name, each in zip(runs, own, strict=True)])
    steps, numbers = ([each and getattr(each, key) for each in own] for key in ("step", "number"))
    held = _empty(population.config, list(runs))._replace(steps=steps, numbers=numbers)
    compared = max(int(row.step) for row in runs.values())
    about = {"dataset": facts, **runtime.conditions(), **held.about}
    best.checkpoints(workdir, index).save(compared, states, about)
