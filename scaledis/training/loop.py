"""The loop: advance a population, log it, checkpoint it; from wherever its newest checkpoint stands."""

import contextlib
import functools
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from scaledis.config import Config, differing, thaw
from scaledis.core import hosts, kinds, runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.core.files import clear
from scaledis.core.runtime import never
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.sweeps import plan
from scaledis.sweeps.configs import refreeze
from scaledis.sweeps.expand import run_name
from scaledis.training import memory
from scaledis.training.population import Population
from scaledis.training.progress import Progress
from scaledis.training.steps import Advance
from scaledis.types import NEVER, Model, Run, RunState
from scaledis.workdir.checkpoint import WIDE, Checkpoints, OtherStructure
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import Records, read_records

OnBegin = Callable[[int], None]  # (step that training goes on from)
OnLog = Callable[[int, Mapping[str, np.ndarray]], None]  # (step, terms [R] by name)
OnEvaluate = Callable[[int, Population, RunState], None]


@kinds.checked
def train(
    configs: Config | Iterable[Config],
    dataset: Dataset | None = None,
    *,
    workdir: str | Path | None = None,
    callback: OnLog | None = None,
    extend: bool = False,
    restart: bool = False,
) -> list[Model]:
    """Trains one run or several and returns a Model of each, in the order of the configs.

    Runs that share a program train together. In a `workdir` the same call goes on where an earlier one was stopped;
    without one nothing stays on the disk.

    Args:
      configs: from `make_config`.
      dataset: what all of them train on; by default each config's own.
      workdir: where states, logs and results are written.
      callback: called with (step, terms [R] by name) at every log line, in place of a line of progress.
      extend: whether a run of `workdir` may go on to more steps although its schedule or its stages change with them.
      restart: whether a run that has come some way may begin again where no checkpoint of it can be used.

    An interrupt (Ctrl-C, or that of a notebook's kernel) stops it at the next log line; a second one stops it at once.

    Raises UserError for a config that cannot run, for two equal configs, for a workdir of other runs, and where
    something cannot be written; KeyboardInterrupt after a checkpoint, once it was interrupted.

    >>> [model] = train(make_config("vlae", {"train.steps": 4000}), workdir="runs/mine")
    >>> model.config.method.name
    'vlae'
    """
    configs = [refreeze(each) for each in ([configs] if isinstance(configs, Config) else configs)]
    if not configs:
        raise UserError("configs: there are none.")
    with contextlib.ExitStack() as held:
        place = held.enter_context(tempfile.TemporaryDirectory()) if workdir is None else workdir
        stop = held.enter_context(runtime.stopping())
        try:
            return _train(configs, dataset, Workdir(place), callback, extend, restart, stop)
        except Stopped as stopped:
            then = "nothing is kept without a workdir" if workdir is None else "the same call goes on from there"
            raise KeyboardInterrupt(f"{stopped}; {then}.") from None


def _train(
    configs: Sequence[Config],
    dataset: Dataset | None,
    directory: Workdir,
    callback: OnLog | None,
    extend: bool,
    restart: bool,
    stop: Callable[[], bool],
) -> list[Model]:
    """`train` in a work directory. Raises Stopped once `stop()`."""
    sampling.load_dataset.cache_clear()  # a file may be another one than at the last call
    runs = named(configs)
    check(configs, dataset)
    if dataset is not None:
        for data in {config.data for config in configs}:
            sampling.warn_of_neighbors(dataset, data)
    with directory.locked():
        base = {"config": thaw(configs[0]), "sweep": [], "command": "scaledis.train"}
        at_once = functools.partial(memory.together, dataset=dataset)
        groups = directory.claim(base, runs, extend, at_once=at_once)
        models: dict[str, Model] = {}
        trained = None
        for index, group in enumerate(groups):
            images = dataset or sampling.load_dataset(group[0].config.data)
            quiet = callback is not None
            trained, states = train_population(
                group, index, images, directory, stop=stop, restart=restart, on_log=callback, quiet=quiet, like=trained
            )
            facts = sampling.facts(images, group[0].config.data)
            models |= {run.name: trained.model(states, slot, facts) for slot, run in enumerate(group)}
        if trained is not None:
            trained.let_go()
    return [models[run.name] for run in runs]


def named(configs: Sequence[Config]) -> list[Run]:
    """The configs as runs, each named for the keys in which they differ. Raises UserError for two that are equal."""
    columns = differing(configs)
    runs: dict[str, Run] = {}
    for place, config in enumerate(configs):
        values = {key: column[place] for key, column in columns.items() if column[place] is not None}
        name = run_name(values, runs)
        if config in [run.config for run in runs.values()]:
            raise UserError(f"configs: two are the same, {name}.")
        runs[name.casefold()] = Run(name, config)
    return list(runs.values())


def check(configs: Sequence[Config], dataset: Dataset | None = None) -> None:
    """Builds every network and reads how its images are drawn, before anything is written.

    Raises UserError for a config that cannot be built, and for one that does not fit its data set.
    """
    for config in {(plan.program(config), config.model.parameters): config for config in configs}.values():
        images = dataset or sampling.load_dataset(config.data)
        Population([config], sampling.spec_of(images, config.data))
        sampling.make_sampler(images, config.data)


def train_population(
    runs: Sequence[Run],
    index: int,
    dataset: Dataset,
    workdir: Workdir,
    *,
    stop: Callable[[], bool] = never,
    restart: bool = False,
    on_begin: OnBegin | None = None,
    on_log: OnLog | None = None,
    on_evaluate: OnEvaluate | None = None,
    quiet: bool = False,
    like: Population | None = None,
) -> tuple[Population, RunState]:
    """Trains population `index` of the work directory to its last step, from its newest checkpoint, and returns it.

    A population whose every run has diverged is at its end. What the population `like` has compiled is used again where
    it fits.

    Raises Stopped, after a checkpoint, once `stop()`; UserError if the data have changed, if all that is left of
    earlier progress is damaged and `restart` is not given, or where a checkpoint cannot be written.
    """
    configs = [run.config for run in runs]
    spec = sampling.spec_of(dataset, configs[0].data)
    members = Population(configs, spec, like=like, allocation=runs[0].padded)
    settings = members.config.train
    facts = sampling.facts(dataset, members.config.data)
    for run in runs:
        sampling.check_same(workdir.dataset_of(run.name), facts, run.name)
    checkpoints = Checkpoints(workdir.checkpoints(index), settings.keep)
    step, states = _resume(members, checkpoints, workdir, runs, facts, restart)
    if hosts.first():
        checkpoints.clear()
        for run in runs:
            for folder in (workdir.run(run.name), *workdir.run(run.name).glob("*/")):
                clear(folder)
            workdir.write_config(run, facts)
    diverged = hosts.fetch(states.diverged)
    if step >= settings.steps or (diverged != NEVER).all():
        return members, states

    advance = members.make_advance(dataset)
    if hosts.first():
        workdir.results(index).unlink(missing_ok=True)  # its rows are of fewer steps
    if on_begin and hosts.first():
        on_begin(step)
    held, now = checkpoints.manifest(step) if step else {}, runtime.conditions()
    _say_changes(runs[0].name, step, held, now)
    about = {"runs": [run.name for run in runs], "dataset": facts, **now}
    began = time.monotonic() - held.get("seconds", 0.0)
    seals = workdir.needs_seals
    records = [
        Records(workdir.run(run.name) / "metrics.jsonl", step, needs_seals=seals) for run in runs if hosts.first()
    ]
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    with Progress(title, step, settings.steps, quiet=quiet or not hosts.first()) as progress:
        while step < settings.steps and not (diverged != NEVER).all():
            rhythms = settings.log_every, settings.checkpoint_every, settings.evaluate_every
            following = min(settings.steps, *(step - step % every + every for every in rhythms if every))
            states, terms = advance(states, following - step)
            before, (terms, diverged) = diverged, hosts.fetch((terms, states.diverged))
            step = following
            for slot, record in enumerate(records):
                record.append({"step": step, **_record(terms, diverged, slot)})
            progress.update(step, terms)
            if on_log and hosts.first():
                on_log(step, terms)
            if (diverged != before).any():
                if hosts.first():
                    _report(runs, before, diverged)
                states = _rewind(members, checkpoints, advance, states, before, diverged)
            last, stopped = step == settings.steps or (diverged != NEVER).all(), hosts.any_process(stop())
            if step % settings.checkpoint_every == 0 or last or stopped:
                seconds = round(time.monotonic() - began, 3)
                checkpoints.save(step, states, about | {"diverged": diverged.tolist(), "seconds": seconds})
            if on_evaluate and settings.evaluate_every and step % settings.evaluate_every == 0:
                whole = hosts.gathered(states)
                if hosts.first():
                    on_evaluate(step, members, whole)
                hosts.wait()
            if stopped and not last:
                raise Stopped(f"Stopped at step {step} of {settings.steps}")
    return members, states


def _resume(
    members: Population,
    checkpoints: Checkpoints,
    workdir: Workdir,
    runs: Sequence[Run],
    facts: Mapping[str, Any],
    restart: bool,
) -> tuple[int, RunState]:
    """The newest checkpoint that is not damaged, or the start. Damaged ones that are newer are set aside."""
    try:
        found = checkpoints.restore_newest(members.shapes)
        if found and found[0] < members.config.train.steps:
            checkpoints.check_whole(members.shapes, found[0])
    except OtherStructure as error:
        if not restart:
            raise UserError(f"{error} --restart begins again at step 0 and sets it aside.") from error
        found = None
    if found:
        _check_belongs(checkpoints.manifest(found[0]), runs, facts)
        checkpoints.set_aside(beyond=found[0])
        return found
    logs = [read_records(workdir.run(run.name) / "metrics.jsonl", needs_seals=workdir.needs_seals) for run in runs]
    progress = checkpoints.newest or max((record["step"] for log in logs for record in log), default=0)
    had_checkpoint = checkpoints.steps or progress > members.config.train.checkpoint_every
    if had_checkpoint and not restart:
        raise UserError(
            f"workdir: {runs[0].name} had come to step {progress}, but no checkpoint of it can be used; "
            "--restart begins again at step 0 and sets what is left aside."
        )
    checkpoints.set_aside(beyond=-1)
    return 0, members.init()


def _check_belongs(manifest: Mapping[str, Any], runs: Sequence[Run], facts: Mapping[str, Any]) -> None:
    """Raises UserError if a checkpoint is of other runs, or of runs that were trained on other data."""
    names = [run.name for run in runs]
    if manifest.get("runs", names) != names:
        raise UserError(f"plan.json: a checkpoint is of {manifest['runs']}, and the plan has {names} in its place.")
    sampling.check_same(manifest.get("dataset", {}), facts, names[0])


def _say_changes(name: str, step: int, held: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Says which conditions of the checkpoint that training goes on from, by its manifest, are other ones now."""
    changed = [f"{key} was {held[key]!r} and is {now[key]!r}" for key in now if held.get(key, now[key]) != now[key]]
    if any(WIDE in types for types in held.get("structure", {}).values()):
        changed.append("its state had 64 bits and has 32")
    if changed and hosts.first():
        print(f"{name}: from step {step} on the last digits may be others: {'; '.join(changed)}.", file=sys.stderr)


def _rewind(
    members: Population,
    checkpoints: Checkpoints,
    advance: Advance,
    states: RunState,
    before: np.ndarray,
    diverged: np.ndarray,
) -> RunState:
    """The population with every run that has just diverged at the last state whose terms were finite.

    That state is the one before the one that the run was frozen with, whose own terms were not finite. It is computed
    again, from the checkpoint before it.
    """
    for slot in np.flatnonzero(diverged != before).tolist():
        last = max(int(diverged[slot]) - 1, 0)
        step, start = checkpoints.restore_newest(members.shapes, last) or (0, members.init())
        good = advance(start, last - step)[0] if last > step else start
        replaced = np.arange(len(diverged)) == slot
        kept = jax.tree.map(functools.partial(_where, replaced), good, states)
        states = kept._replace(diverged=states.diverged)
    return states


def _where(replaced: np.ndarray, new: jax.Array, old: jax.Array) -> jax.Array:
    """The leaf `old` [R, ...] with the runs of the mask [R] from `new`."""
    chosen = jnp.where(replaced.reshape(-1, *[1] * (old.ndim - 1)), new, old)
    return jax.lax.with_sharding_constraint(chosen, old.sharding)


def _report(runs: Sequence[Run], before: np.ndarray, diverged: np.ndarray) -> None:
    """Says which runs have diverged since `before`."""
    for run, earlier, at in zip(runs, before, diverged, strict=True):
        if at != earlier:
            tqdm.write(f"{run.name} diverged at step {at} and is frozen there.", file=sys.stderr)
    if (diverged != NEVER).all():
        tqdm.write("No run goes on: training ends here.", file=sys.stderr)


def _record(terms: Mapping[str, np.ndarray], diverged: np.ndarray, slot: int) -> dict[str, float | int | None]:
    """One line of metrics.jsonl; a frozen run's terms are null."""
    values = {name: float(term[slot]) for name, term in terms.items()}
    record: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return record if diverged[slot] == NEVER else record | {"diverged": int(diverged[slot])}
