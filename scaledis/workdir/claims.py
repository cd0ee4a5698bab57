"""Claims of a work directory: a command continues the runs that it may continue, and new runs get populations."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scaledis.config import differing, thaw
from scaledis.core import UserError, version
from scaledis.core.files import clear, write_lines, write_sealed
from scaledis.sweeps import plan
from scaledis.sweeps.configs import length_dependent
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.types import Run
from scaledis.workdir import planned
from scaledis.workdir.layout import Workdir

WRITERS = 16  # files written at once

# Keys in which two commands on a run may differ: they change how it is watched, scored and stored, not its numbers.
FREE = (
    *("evaluate.", "data.directory", "data.memory", "data.accept_checksum"),
    *(
        "train.log_every",
        "train.checkpoint_every",
        "train.evaluate_every",
        "train.keep",
        "train.keep_best",
        "train.parallel",
    ),
)


def claim(
    workdir: Workdir,
    base: Mapping[str, Any],
    runs: Sequence[Run],
    extend: bool = False,
    shard: Shard = WHOLE,
    at_once: Callable[[Sequence[Run]], int] = plan.together,
    grows: bool = False,
) -> list[list[Run]]:
    """Claims the directory for these runs, and returns them all in their populations.

    In a new directory it writes the plan, which says which runs train together, so that a resume on another machine
    finds the checkpoints. In an old directory, the runs of the plan keep their populations, and new runs form new
    ones. Shards that start at the same time take turns, and the first one plans for all.

    Args:
      base: {"config": the base config, "sweep": names, "command": the command line}, and "begun" if another version
        began the files that are copied into the directory.
      runs: all runs of the command.
      extend: whether a run may be lengthened if that changes its schedule or stages.
      shard: the shard whose runs are compared with the directory.
      at_once: runs of a program -> the number of runs that train at once.
      grows: whether the directory may hold runs that `runs` lacks, which are then returned too. New runs then all
        belong to this shard.

    Raises UserError, with the differences, if the directory holds a run with another config or a run that `runs`
    lacks, or if it was begun with another number of shards or, with shards, by another version of the code.
    """
    with workdir.locked_plan(shard):
        if not shard.whole:
            check_shards(workdir.root, workdir.claimed() if workdir.config.exists() else {}, shard)
        there, known = workdir.planned(), {run.name: run for run in runs}
        for folder in (workdir.root, workdir.root / "planned", workdir.root / "results", workdir.report):
            clear(folder)
        held = {name: None for each in there for name in each.names}
        if not grows and (missing := [name for name in held if name not in known]):
            raise UserError(
                f"workdir: {workdir.root} holds runs that this command lacks: {', '.join(missing[:5])}; keep their "
                "values in the sweep, or take another workdir."
            )
        dropped = workdir.dropped()
        for _, each in shard.take(there, [each.part for each in there]):
            for name in [name for name in each.names if name in known]:
                check_same(workdir, known[name], extend or name in dropped)
        groups = plan.populations([run for run in runs if run.name not in held], at_once)
        new = list(enumerate(groups, len(there)))
        for index, _ in new if there else ():  # left by a process that was killed before it wrote the plan
            shutil.rmtree(workdir.checkpoints(index), ignore_errors=True)
        configs = [{run.name: thaw(run.config) for run in group} for _, group in new]
        with ThreadPoolExecutor(WRITERS) as writers:  # a file takes a network file system milliseconds
            list(writers.map(write_lines, [workdir.planned_configs(index) for index, _ in new], configs))
        write_sealed(workdir.config, {"begun": workdir.begun, **base, "shards": shard.count, **version.here()})
        workdir.write_plan(planned.appended(there, groups, shard if grows else None))
    return workdir.populations(runs)


def check_shards(root: Path, held: Mapping[str, Any], shard: Shard) -> None:
    """Raises UserError if `held`, a config.json, was written for another number of shards, or by other code."""
    if (count := held.get("shards", 1)) == 1:
        return
    if count != shard.count:
        here = f"--shard={shard} is one of {shard.count}; give i/{count}, or go on without --shard."
        raise UserError(f"workdir: {root} was begun with {count} shards, and {here}")
    there, here = (f"{found.get('version')} {found.get('commit')}".strip() for found in (held, version.here()))
    if there != here:
        remedy = "go on with that one, or without --shard."
        raise UserError(f"workdir: the shards of {root} were begun by version {there}, and this is {here}; {remedy}")


def check_same(workdir: Workdir, run: Run, extend: bool) -> None:
    """Raises UserError, with the differences, if a run cannot continue the run of that name in the directory.

    It can if only keys of `FREE` differ and `train.steps` does not shrink. If more steps change a schedule or a stage,
    `extend` must be True.
    """
    held = workdir.read_config(run.name)
    longer = run.config.train.steps > held.train.steps
    differences = [
        f"{key} is {there!r} there and {here!r} here"
        for key, (there, here) in sorted(differing([held, run.config]).items())
        if not key.startswith(FREE) and not (key == "train.steps" and longer)
    ]
    if differences:
        other = f"another run named {run.name!r}: {'; '.join(differences)}"
        raise UserError(f"workdir: {workdir.root} holds {other}; take another directory.")
    if longer and not extend and (changing := length_dependent(run.config)):
        steps = f"train.steps: from {held.train.steps} to {run.config.train.steps}, {', '.join(changing)}"
        course = "would change its course from where it stands; give --extend if that is wanted."
        raise UserError(f"{steps} of run {run.name} {course}")
