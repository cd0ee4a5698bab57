"""The training loop: advances a population from its newest checkpoint, and calls the hooks."""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from scaledis.core import files, hosts, runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.core.runtime import never
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.training import hooks
from scaledis.training.best import make_best
from scaledis.training.hooks import Hook, MakeHook, Moment, Training
from scaledis.training.load import check_data
from scaledis.training.population import Population, replaced
from scaledis.training.restore import NoCheckpoint, restore
from scaledis.training.steps import Advance
from scaledis.types import NEVER, Run, RunState
from scaledis.workdir import best, decisions, score_files
from scaledis.workdir.checkpoint import WIDE, Checkpoints, OtherStructure
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records


def train_population(
    runs: Sequence[Run],
    index: int,
    dataset: Dataset,
    workdir: Workdir,
    *,
    stop: Callable[[], bool] = never,
    restart: bool = False,
    beside: Sequence[MakeHook] = (),
    until: int | None = None,
) -> tuple[Population, RunState]:
    """Trains population `index` of the work directory to its last step, and returns it with its states.

    Training resumes from the newest checkpoint, and ends early if every run has diverged.

    Args:
      runs: the runs of the population.
      index: the number of the population in the plan.
      dataset: the data set on which the runs train.
      workdir: where logs and checkpoints are written.
      stop: called at every stop of the loop; training stops once it returns True.
      restart: whether runs begin again at step 0 if they have made progress but have no usable checkpoint.
      beside: hooks besides those of the log and the checkpoints.
      until: the step to train to; by default the last step.

    Raises Stopped, after a checkpoint, once `stop()` is True; UserError if the data have changed, if earlier progress
    is damaged and `restart` is not given, or if a checkpoint cannot be written.
    """
    facts = check_data(workdir, runs, dataset)
    spec = sampling.spec_of(dataset, runs[0].config.data)
    population = Population([run.config for run in runs], spec, allocation=runs[0].padded)
    settings = population.config.train
    last = min(until or settings.steps, settings.steps)
    checkpoints = Checkpoints(workdir.checkpoints(index), settings.keep)
    step, states = _resume(population, index, checkpoints, workdir, runs, facts, restart)
    if hosts.first():
        if not step:  # deletes what an earlier training of these runs has left
            best.checkpoints(workdir, index).delete()
            for run in runs:
                score_files.delete(workdir, run.name)
        _prepare(runs, workdir, checkpoints, facts)
    diverged, waits = hosts.fetch(states.diverged), best.uncompared(workdir, index, step)
    left = hosts.any_process(hosts.first() and waits.exists())
    if not left and (step >= last or (diverged != NEVER).all()):
        return population, states
    if hosts.first():
        workdir.results(index).unlink(missing_ok=True)  # its rows have fewer steps
    if step and hosts.first():
        tqdm.write(f"{runs[0].name}: resumes from step {step:,} of {settings.steps:,}.", file=sys.stderr)
    if step:
        _say_changes(runs[0].name, step, checkpoints.manifest(step))
    training = Training(runs, population, index, dataset, facts, workdir, checkpoints, step, stop)
    kept = [make_best] if settings.keep_best else []  # before the checkpoint of the same step
    with contextlib.ExitStack() as opened:
        called: list[Hook] = []
        for make in (hooks.make_log, *kept, hooks.make_checkpoints, *beside):
            called.append(make(training))
            opened.callback(called[-1].close)
        if left:
            _call(called, Moment(step, states, {}, diverged))
            if hosts.first():
                waits.unlink()
        return population, _advance(training, states, diverged, called, last)


def _advance(training: Training, states: RunState, diverged: np.ndarray, called: Sequence[Hook], last: int) -> RunState:
    """Advances the states to the step `last`, or until all runs have diverged. Raises Stopped."""
    step, settings = training.step, training.population.config.train
    advance = training.population.make_advance(training.dataset)
    own = settings.log_every, settings.checkpoint_every, settings.evaluate_every
    rhythms = {every for every in (*own, *(hook.every for hook in called)) if every}
    while step < last and not (diverged != NEVER).all():
        following = min(last, *(step - step % every + every for every in rhythms))
        states, terms = advance(states, following - step)
        step, before, (terms, diverged) = following, diverged, hosts.fetch((terms, states.diverged))
        if (diverged != before).any():
            if hosts.first():
                _report(training.runs, before, diverged)
            states = _rewind(training, advance, states, before, diverged)
        moment = Moment(step, states, terms, diverged)
        for hook in called:
            if hook.every is None:
                hook.call(moment)
        ended = step == last or bool((diverged != NEVER).all())
        stopped = hosts.any_process(training.stop())
        _call(called, moment, ended or stopped)
        if stopped and not ended:
            raise Stopped(f"Stopped at step {step} of {settings.steps}")
    return states


def _call(called: Sequence[Hook], moment: Moment, ends: bool = False) -> None:
    """Calls the hooks with a rhythm that are due; `ends` says whether the loop ends at this moment.

    If a hook raises Stopped, the loop ends: the hooks after it are called as at the end, and then Stopped is raised.
    """
    stopped = None
    for hook in called:
        if hook.every is not None and hook.due(moment.step, ends or stopped is not None):
            try:
                hook.call(moment)
            except Stopped as stop:
                stopped = stop
    if stopped:
        raise stopped


def _prepare(runs: Sequence[Run], workdir: Workdir, checkpoints: Checkpoints, facts: Mapping[str, Any]) -> None:
    """Deletes the half-written files of killed processes, and writes the configs of the runs."""
    checkpoints.clear()
    for run in runs:
        for folder in (workdir.run(run.name), *workdir.run(run.name).glob("*/")):
            files.clear(folder)
        workdir.write_config(run, facts)


def _resume(
    population: Population,
    index: int,
    checkpoints: Checkpoints,
    workdir: Workdir,
    runs: Sequence[Run],
    facts: Mapping[str, Any],
    restart: bool,
) -> tuple[int, RunState]:
    """Returns the step and states of the newest undamaged checkpoint, or those of the start.

    Sets newer checkpoints, which are damaged, aside.
    """
    try:
        _, states, step = restore(workdir, index, population=population)
        if step < population.config.train.steps:
            checkpoints.check_whole(population.shapes, step)
        _check_belongs(checkpoints.manifest(step), runs, facts)
        checkpoints.set_aside(beyond=step)
        return step, states
    except OtherStructure as error:
        if not restart:
            raise UserError(f"{error} --restart begins again at step 0 and sets it aside.") from error
    except NoCheckpoint:
        logs = [read_records(workdir.run(run.name) / "metrics.jsonl", needs_seals=workdir.needs_seals) for run in runs]
        reached = checkpoints.newest or max((record["step"] for log in logs for record in log), default=0)
        if (checkpoints.steps or reached > population.config.train.checkpoint_every) and not restart:
            raise UserError(
                f"workdir: {runs[0].name} had come to step {reached}, but no checkpoint of it can be used; "
                "--restart begins again at step 0 and sets what is left aside."
            ) from None
    taken = [each for several in decisions.read(workdir.rungs).values() for each in several]
    if lost := next((run.name for run in runs if any(run.name in each.numbers for each in taken)), None):
        reason = f"rungs.json has decisions by the states of {lost}, which cannot be used any more"
        raise UserError(f"--restart: {reason}; train in another directory.")
    checkpoints.set_aside(beyond=-1)
    return 0, population.init()


def _check_belongs(manifest: Mapping[str, Any], runs: Sequence[Run], facts: Mapping[str, Any]) -> None:
    """Raises UserError if a checkpoint belongs to other runs or other data."""
    names = [run.name for run in runs]
    if manifest.get("runs", names) != names:
        raise UserError(f"plan.json: a checkpoint is of {manifest['runs']}, and the plan has {names} in its place.")
    sampling.check_same(manifest.get("dataset", {}), facts, names[0])


def _say_changes(name: str, step: int, held: Mapping[str, Any]) -> None:
    """Prints the conditions that differ from those in `held`, the manifest of the checkpoint that training resumes."""
    now = runtime.conditions()
    changed = [f"{key} was {held[key]!r} and is {now[key]!r}" for key in now if held.get(key, now[key]) != now[key]]
    if any(WIDE in types for types in held.get("structure", {}).values()):
        changed.append("its state had 64 bits and has 32")
    if changed and hosts.first():
        print(f"{name}: from step {step} on the last digits may be others: {'; '.join(changed)}.", file=sys.stderr)


def _rewind(
    training: Training, advance: Advance, states: RunState, before: np.ndarray, diverged: np.ndarray
) -> RunState:
    """Returns the states, with each run that has just diverged set back to its last state with finite terms.

    That is the state one step before the run was frozen. It is computed again, from the last checkpoint before it.
    """
    for slot in np.flatnonzero(diverged != before).tolist():
        last = max(int(diverged[slot]) - 1, 0)
        population = training.population
        step, start = training.checkpoints.restore_newest(population.shapes, last) or (0, population.init())
        good = advance(start, last - step)[0] if last > step else start
        states = replaced(np.arange(len(diverged)) == slot, good, states)._replace(diverged=states.diverged)
    return states


def _report(runs: Sequence[Run], before: np.ndarray, diverged: np.ndarray) -> None:
    """Prints which runs have diverged since `before`."""
    for run, earlier, at in zip(runs, before, diverged, strict=True):
        if at != earlier:
            tqdm.write(f"{run.name} diverged at step {at} and is frozen there.", file=sys.stderr)
    if (diverged != NEVER).all():
        tqdm.write("No run is left: training ends here.", file=sys.stderr)
