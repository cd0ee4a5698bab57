"""Reads a work directory: a population with its states, a run as a Model, all runs as one table."""

import contextlib
import operator
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import pandas

from scaledis.core import UserError, hosts, kinds, registry
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.training.population import Population
from scaledis.types import ImageSpec, Model, Run, RunState
from scaledis.workdir import score_files, table
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import FREE, Workdir


class NoCheckpoint(UserError):
    """A population has no checkpoint that can be read."""


@kinds.checked
def load_run(workdir: str | Path, name: str | None = None, *, step: int | None = None) -> Model:
    """Loads a trained run of a work directory, without the units that pad it in its population.

    It changes nothing on the disk and needs no data set.

    Args:
      workdir: a directory of version 0.2 or later; a trainer may be at work in it.
      name: the run; optional where the directory has only one.
      step: the step of a checkpoint; by default that of the newest undamaged one.

    Raises UserError for an unknown run or step, for a run without checkpoints, and for a checkpoint of another
    structure.

    >>> model = load_run("runs/mine")
    >>> codes = model.encode(dataset.images(np.arange(64)))
    >>> model.decode(codes.mean).dtype
    dtype('float32')
    """
    directory = Workdir(workdir)
    index, slot = find(directory, name)
    population, states, reached = restore(directory, index, step)
    known = directory.groups()[index][slot]
    model = population.model(states, slot, directory.dataset_of(known))
    return model._replace(about={**model.about, **_recorded(directory, known, reached)})


def _recorded(directory: Workdir, name: str, step: int) -> dict[str, Any]:
    """Returns the version and commit that trained a run, and its scores if they are of this step.

    A damaged file adds nothing, since the model does not need it.
    """
    found: dict[str, Any] = {}
    with contextlib.suppress(UserError):
        claim = directory.claimed()
        found = {key: claim[key] for key in ("version", "commit") if key in claim}
    with contextlib.suppress(UserError):
        scores = score_files.newest(directory, name)
        if scores.get("step") == step:
            found["scores"] = {key: value for key, value in scores["all"].items() if isinstance(value, int | float)}
    return found


def find(directory: Workdir, name: str | None = None) -> tuple[int, int]:
    """Returns the number of a run's population and the run's place in it.

    The name is optional where the directory has only one run. Raises UserError for an unknown name.
    """
    groups = directory.groups()
    names = [name for group in groups for name in group]
    if not names:
        raise UserError(f"workdir: {directory.root} holds no experiment.")
    if name is None and len(names) > 1:
        raise UserError(f"name: {directory.root} holds {len(names)} runs; name one of {', '.join(names[:20])}.")
    wanted = registry.choose("name", names[0] if name is None else name, dict(zip(names, names, strict=True)))
    index = next(number for number, group in enumerate(groups) if wanted in group)
    return index, groups[index].index(wanted)


def restore(
    workdir: Workdir, index: int, step: int | None = None, population: Population | None = None
) -> tuple[Population, RunState, int]:
    """Restores population `index` of the plan and returns it with its states [R] and their step.

    Its checkpoint may hold more runs than the plan has there: those that went on elsewhere from a rung are left out.
    A `step` before a rung is taken from the populations that its runs trained in before it (`places`).

    Args:
      workdir: the work directory; nothing in it changes.
      index: the number of the population.
      step: the step of a checkpoint; by default that of the newest undamaged one.
      population: the programs of the runs; by default those of the configs and image shapes in the work directory.

    Raises NoCheckpoint where there is no checkpoint or all are damaged, and UserError for an unknown step, for a
    damaged checkpoint of `step`, and for a checkpoint of another structure.
    """
    checkpoints, names = Checkpoints(workdir.checkpoints(index)), workdir.planned()[index].names
    if not checkpoints.steps:
        raise NoCheckpoint(f"workdir: {workdir.root} has no checkpoint of {', '.join(names)}.")
    there = step is None or step in checkpoints.steps
    found = {index} if there else {*places(workdir, index, step or 0).values()}
    if not found:
        raise UserError(f"step: there is no checkpoint of step {step}; there are {checkpoints.steps}.")
    population = population or _population(workdir, index, names)
    if there and _held(checkpoints, names) == names:
        return population, *_restored(workdir, checkpoints, population, names, step)
    rows: dict[str, RunState] = {}
    for number in sorted(found):
        whole, own = stored(workdir, number), Checkpoints(workdir.checkpoints(number))
        states, reached = _restored(workdir, own, whole, names, step)
        host, held = hosts.fetch(states), _held(own, workdir.groups()[number])
        rows |= {name: jax.tree.map(operator.itemgetter(slot), host) for slot, name in enumerate(held)}
    return population, population.gather([rows[name] for name in names]), reached


def places(workdir: Workdir, index: int, step: int) -> dict[str, int]:
    """Returns the number of the population that has a checkpoint of `step` for each run of population `index`.

    It is the population itself or, before a rung, another one that the run came from. Returns {} where one is missing.
    """
    groups = workdir.groups()
    found: dict[str, int] = {}
    for number in range(index, -1, -1) if workdir.rungs.exists() else [index]:
        checkpoints = Checkpoints(workdir.checkpoints(number))
        if step in checkpoints.steps:
            found = dict.fromkeys(_held(checkpoints, groups[number]), number) | found
        if found.keys() >= {*groups[index]}:
            return {name: found[name] for name in groups[index]}
    return {}


def stored(workdir: Workdir, index: int) -> Population:
    """Returns the population that the checkpoints of population `index` hold: also the runs that went on elsewhere."""
    checkpoints, names = Checkpoints(workdir.checkpoints(index)), workdir.planned()[index].names
    return _population(workdir, index, _held(checkpoints, names))


def _population(workdir: Workdir, index: int, names: Sequence[str]) -> Population:
    """Returns runs of a directory as a population of the allocation that population `index` has there."""
    facts = workdir.dataset_of(names[0])
    if not facts:
        raise UserError(f"workdir: {workdir.root} does not say which images {names[0]} was trained on.")
    images, padded = ImageSpec(tuple(facts["image_shape"]), facts["train_size"]), workdir.planned()[index].padded
    return Population([workdir.read_config(name) for name in names], images, allocation=padded)


def _restored(
    workdir: Workdir, checkpoints: Checkpoints, population: Population, names: Sequence[str], step: int | None
) -> tuple[RunState, int]:
    """Returns the states of a population at `step`, or those of the newest undamaged checkpoint, with their step."""
    if step is not None:
        try:
            return checkpoints.restore(population.shapes, step), step
        except Damaged as damage:
            raise UserError(f"step: the checkpoint of step {step} of {names[0]} is damaged: {damage}.") from damage
    newest = checkpoints.restore_newest(population.shapes)
    if newest is None:
        raise NoCheckpoint(f"workdir: every checkpoint of {', '.join(names)} in {workdir.root} is damaged.")
    return newest[1], newest[0]


def _held(checkpoints: Checkpoints, names: list[str]) -> list[str]:
    """Returns the runs that the checkpoints of a population hold: `names`, or these and some that went on elsewhere."""
    for step in reversed(checkpoints.steps):
        with contextlib.suppress(Damaged):
            held = checkpoints.manifest(step).get("runs", names)
            return held if set(names) < set(held) else names
    return names


def check_data(workdir: Workdir, runs: Sequence[Run], dataset: Dataset) -> dict[str, Any]:
    """Returns the facts of a data set that its runs record (`sampling.facts`).

    Raises UserError, naming what differs, if a run was trained on other data.
    """
    facts = sampling.facts(dataset, runs[0].config.data)
    for run in runs:
        sampling.check_same(workdir.dataset_of(run.name), facts, run.name)
    return facts


@kinds.checked
def load_results(workdirs: str | Path | Iterable[str | Path]) -> pandas.DataFrame:
    """Returns a table with one row for each run of one or several work directories, also while runs train.

    Columns: workdir, run, seed and every other key of the config that varies, every score that is one number, of all
    units, of each level, and of the floor and the ceiling (`floor/noise/mig/mig`), the last terms under `final/`, step,
    diverged, dropped_at (the step of the rung where the run was dropped, which is then no part of a comparison), the
    seconds that its population trained and the device, data set, fingerprint, versions, commit, and `sealed`, whether
    all of it was read from files with checksums, which those of version 0.2 lack.

    Of a search also: `trial`, its number, `trial_state` ("running", "complete", "pruned" or "failed"), and a column for
    each objective, such as `objective/elbo_nats`, with the value of the trial, which all its runs share. The rows are
    in the order of the trials, and a trial that could not be built has a row without a `run`.

    A run that occurs twice, because a directory was copied or given twice, counts once, and stderr says so; trials of
    equal settings each count. Raises
    UserError for no directories, for a directory without an experiment, and for a damaged file that no other file can
    replace.

    >>> results = load_results("runs/mine")
    >>> results.loc[0, "run"]
    'run'
    """
    places = [workdirs] if isinstance(workdirs, str | os.PathLike) else list(workdirs)
    if not places:
        raise UserError("workdirs: the list is empty; give one or several.")
    directories = {directory.root.resolve(): directory for directory in map(Workdir, places)}
    if len(directories) < len(places):
        print("workdirs: a directory that is given twice counts once.", file=sys.stderr)
    tables = []
    for directory in directories.values():
        rows, keys = table.read(directory)
        tables.append((rows.assign(workdir=str(directory.root)), keys))
    rows, keys = table.joined(tables)
    rows = _once(rows, keys)
    varying = [key for key in keys if key == "seed" or rows[key].nunique(dropna=False) > 1]
    of_search = [
        column for column in rows if column in (table.TRIAL, table.STATE) or column.startswith(table.OBJECTIVE)
    ]
    if of_search:
        rows[table.TRIAL] = rows[table.TRIAL].astype("Int64")
    first = ["workdir", "run", *of_search, *varying]
    return rows[[*first, *(column for column in rows if column not in {*first, *keys})]]


def _once(rows: pandas.DataFrame, keys: Sequence[str]) -> pandas.DataFrame:
    """Returns the rows without copies: rows whose config, data and last terms equal those of an earlier row."""
    terms = [column for column in rows if column.startswith("final/")]
    alike = pandas.util.hash_pandas_object(rows[["step", *terms]], index=False).duplicated(keep=False)
    if not terms or not alike.any():  # few rows of a large sweep need the slow comparison below
        return rows
    likely = rows[alike & rows["step"].notna()]
    same = [*(key for key in keys if not key.startswith(FREE)), "fingerprint", "step", *terms]
    twice = likely.duplicated(same)
    if table.TRIAL in likely:  # a search may try a setting twice
        likely = likely.sort_values(table.TRIAL, kind="stable")
        twice = likely.duplicated([*same, table.TRIAL]) | likely.duplicated(same) & likely[table.TRIAL].isna()
    copies = likely[twice]
    for _, copy in copies[:1].iterrows():
        such = f"{copy['run']} of {copy['workdir']}"
        print(f"{len(copies)} of {len(rows)} runs are copies, such as {such}; each counts once.", file=sys.stderr)
    return rows.drop(copies.index).reset_index(drop=True)
