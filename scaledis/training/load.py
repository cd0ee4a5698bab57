"""What a work directory holds, for reading only: one trained run as a Model, and all runs as one table."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas

from scaledis.core import kinds
from scaledis.core.errors import UserError
from scaledis.core.registry import choose
from scaledis.training.population import Population
from scaledis.types import ImageSpec, Model, RunState
from scaledis.workdir import table
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import FREE, Workdir


@kinds.checked
def load_run(workdir: str | Path, name: str | None = None, *, step: int | None = None) -> Model:
    """A trained run of a work directory, from its newest checkpoint that is not damaged or that of `step`.

    It reads only, needs no data set, and leaves out the units that pad the run in its population.

    Args:
      workdir: the directory of version 0.2 or later; a trainer may be at work in it.
      name: of the run; it may be left out where there is one.
      step: of the checkpoint.

    Raises UserError for an unknown run or step, for a run that was never trained, and for a checkpoint of another
    structure.

    >>> model = load_run("runs/mine")
    >>> codes = model.encode(dataset.images(np.arange(64)))
    >>> model.decode(codes.mean).dtype
    dtype('float32')
    """
    directory = Workdir(workdir)
    index, slot = find(directory, name)
    population, states = load_population(directory, index, step)
    return population.model(states, slot)


def find(directory: Workdir, name: str | None = None) -> tuple[int, int]:
    """(number of its population, place there) of a run; its name may be left out where there is one.

    Raises UserError for an unknown name.
    """
    groups = directory.groups()
    names = [name for group in groups for name in group]
    if not names:
        raise UserError(f"workdir: {directory.root} holds no experiment.")
    if name is None and len(names) > 1:
        raise UserError(f"name: {directory.root} holds {len(names)} runs; name one of {', '.join(names[:20])}.")
    wanted = choose("name", names[0] if name is None else name, {each: each for each in names})
    index = next(number for number, group in enumerate(groups) if wanted in group)
    return index, groups[index].index(wanted)


def load_population(
    directory: Workdir, index: int, step: int | None = None, whole: bool = False
) -> tuple[Population, RunState]:
    """Population `index` of the plan, from its newest checkpoint that is not damaged or that of `step`.

    Its models share their compiled functions. With `whole` it is one that training can go on from.

    Raises UserError for a step that is not there, for a population that was never trained, and for a checkpoint of
    another structure.
    """
    (names, allocation), checkpoints = directory.planned()[index], Checkpoints(directory.checkpoints(index))
    of = ", ".join(names)
    if not checkpoints.steps:
        raise UserError(f"workdir: {directory.root} has no checkpoint of {of}.")
    if step is not None and step not in checkpoints.steps:
        raise UserError(f"step: there is no checkpoint of step {step}; there are {checkpoints.steps}.")
    configs = [directory.read_config(each) for each in names]
    facts = directory.dataset_of(names[0])
    if not facts:
        raise UserError(f"workdir: {directory.root} does not say which images {names[0]} was trained on.")
    images = ImageSpec(tuple(facts["image_shape"]), facts["train_size"])
    population = Population(configs, images, allocation=allocation)
    shapes = population.shapes
    try:
        found = checkpoints.restore_newest(shapes) if step is None else (step, checkpoints.restore(shapes, step))
    except Damaged as damage:
        raise UserError(f"step: the checkpoint of step {step} is damaged: {damage}.") from damage
    if found is None:
        raise UserError(f"workdir: every checkpoint of {of} in {directory.root} is damaged.")
    if whole:
        checkpoints.check_whole(shapes, found[0])
    return population, found[1]


@kinds.checked
def load_results(workdirs: str | Path | Iterable[str | Path]) -> pandas.DataFrame:
    """One row a run of one or several work directories; those that still train are there as far as they are.

    Columns: workdir, run, every key of the config that varies (and seed), every score that is one number, of all units
    and of each level, the last terms under `final/`, step, diverged, the seconds that its population trained for and
    the device, data set, fingerprint, versions, commit, and whether all of it was read from files with checksums
    (`sealed`), which those of version 0.2 have not.

    A run that is there twice, since its directory was copied or given twice, counts once; standard error says so.
    Raises UserError where a directory holds no experiment, for no directories, and for a damaged file that no other can
    replace.

    >>> results = load_results("runs/mine")
    >>> results.loc[0, "run"]
    'run'
    """
    places = [workdirs] if isinstance(workdirs, str | os.PathLike) else list(workdirs)
    if not places:
        raise UserError("workdirs: there are none; give one or several.")
    found = []
    directories = {directory.root.resolve(): directory for directory in map(Workdir, places)}
    if len(directories) < len(places):
        print("workdirs: some are given twice and count once.", file=sys.stderr)
    for directory in directories.values():
        rows, keys = table.read(directory)
        found.append((rows.assign(workdir=str(directory.root)), keys))
    rows, keys = table.joined(found)
    rows = _once(rows, keys)
    varying = [key for key in keys if key == "seed" or rows[key].nunique(dropna=False) > 1]
    first = ["workdir", "run", *varying]
    return rows[[*first, *(column for column in rows if column not in {*first, *keys})]]


def _once(rows: pandas.DataFrame, keys: Sequence[str]) -> pandas.DataFrame:
    """The rows without copies: those of a trained run with the config, the data and the last terms of one before it."""
    terms = [column for column in rows if column.startswith("final/")]
    alike = pandas.util.hash_pandas_object(rows[["step", *terms]], index=False).duplicated(keep=False)
    if not terms or not alike.any():  # a large sweep has few that need a closer look
        return rows
    likely = rows[alike & rows["step"].notna()]
    same = [*(key for key in keys if not key.startswith(FREE)), "fingerprint", "step", *terms]
    copies = likely[likely.duplicated(same)]
    for _, first in copies[:1].iterrows():
        such = f"{first['run']} of {first['workdir']}"
        print(f"{len(copies)} of {len(rows)} runs are copies, such as {such}; each counts once.", file=sys.stderr)
    return rows.drop(copies.index).reset_index(drop=True)
