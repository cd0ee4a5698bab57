"""Reads a work directory: a run as a Model, all runs as one table."""

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas

from scaledis.core import UserError, kinds, registry
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.model import Model
from scaledis.training.restore import place, restore
from scaledis.types import Run
from scaledis.workdir import score_files, table
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.claims import FREE
from scaledis.workdir.layout import Workdir


@kinds.checked
def load_run(workdir: str | Path, name: str | None = None, *, step: int | str | None = None) -> Model:
    """Loads a trained run of a work directory as a Model, without the units that pad it in its population.

    Loading changes nothing on the disk and needs no data set.

    Args:
      workdir: a directory of version 0.2 or later; a process may still train in it.
      name: the name of the run; optional if the directory has only one run.
      step: the step of a checkpoint, or "best" for the run's best step by `train.keep_best`; by default the step of
        the newest undamaged checkpoint.

    Raises UserError for an unknown run or step, for a run without checkpoints, and for a checkpoint of another
    structure.

    >>> model = load_run("runs/mine")
    >>> codes = model.encode(dataset.images(np.arange(64)))
    >>> model.decode(codes.mean).dtype
    dtype('float32')
    """
    directory = Workdir(workdir)
    index, slot = find(directory, name)
    known = directory.groups()[index][slot]
    found = place(directory, index, step)
    found.check(known)
    population, states, reached = restore(directory, index, step)
    [own] = found.steps([known], reached)
    model = population.model(states, slot, directory.dataset_of(known))
    recorded = _recorded(directory, known, own, found.checkpoints, reached)
    return model._replace(about={**model.about, **recorded})


def _recorded(
    directory: Workdir, name: str, step: int | None, checkpoints: Checkpoints, reached: int
) -> dict[str, Any]:
    """Returns the version and commit that trained a run, and its scores if they are of this step.

    If the checkpoint is of an older version, which wrote no commit, the version and commit are those of the last
    command. A damaged file adds nothing, since the model does not need it.
    """
    found: dict[str, Any] = {}
    with contextlib.suppress(UserError, Damaged):
        manifest = checkpoints.manifest(reached)
        held = manifest if "commit" in manifest else directory.claimed()
        found = {key: held[key] for key in ("version", "commit") if key in held}
    with contextlib.suppress(UserError):
        scores = score_files.newest(directory, name)
        if scores.get("step") == step:
            found["scores"] = {key: value for key, value in scores["all"].items() if isinstance(value, int | float)}
    return found


def find(directory: Workdir, name: str | None = None) -> tuple[int, int]:
    """Returns the number of a run's population and the run's place in it.

    The name is optional if the directory has only one run. Raises UserError for an unknown name.
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

    The columns are:

      - workdir, run, seed, and every other key of the config that varies;
      - every score that is one number: of all units, of each level, and of the floor and the ceiling
        (`floor/noise/mig/mig`);
      - the last terms of the log, under `final/`, and step, the last step;
      - diverged, the step at which the run diverged, and dropped_at, that of the rung that dropped it; `compare` leaves
        out both kinds of run;
      - scored_step, the step of the scores, and best_by, the criterion if this is the run's best step;
      - the seconds that its population trained, the device, data set, fingerprint, versions and commit, and `sealed`,
        whether all files that were read have checksums, which those of version 0.2 lack.

    A search adds `trial`, the number of the trial, `trial_state` ("running", "complete", "pruned" or "failed"), and a
    column for each objective, such as `objective/elbo_nats`, with the value of the trial, which all its runs share. The
    rows are in the order of the trials, and a trial that could not run has a row without a `run`.

    A run that occurs twice, because a directory was copied or given twice, counts once, and stderr says so; trials of
    equal settings each count. Data sets of one name and several fingerprints, whose scores cannot be compared, are
    named on stderr. Raises UserError for no directories, for a directory without an experiment, and for a damaged file
    that no other file can replace.

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
    _say_changed(rows, keys)
    varying = [key for key in keys if key == "seed" or rows[key].nunique(dropna=False) > 1]
    of_search = [
        column for column in rows if column in (table.TRIAL, table.STATE) or column.startswith(table.OBJECTIVE)
    ]
    if of_search:
        rows[table.TRIAL] = rows[table.TRIAL].astype("Int64")
    first = ["workdir", "run", *of_search, *varying]
    return rows[[*first, *(column for column in rows if column not in {*first, *keys})]]


def _say_changed(rows: pandas.DataFrame, keys: Sequence[str]) -> None:
    """Prints the data sets whose images or labels differ among runs that name and prepare them alike."""
    by = ["dataset", *(key for key in keys if key.startswith("data.") and rows[key].nunique(dropna=False) > 1)]
    known = rows.reindex(columns=[*by, "fingerprint"])  # a search whose trials all failed has neither
    counts = known.groupby(by, dropna=False)["fingerprint"].nunique().groupby("dataset").max()
    for name, count in counts[counts > 1].items():
        print(
            f"workdirs: the runs have {count} data sets with the name {name!r}, whose images or labels differ, so that "
            "their scores cannot be compared; the column fingerprint tells them apart.",
            file=sys.stderr,
        )


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
