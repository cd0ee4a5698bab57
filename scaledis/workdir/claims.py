"""Checks whether a command may continue the runs that a work directory holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaledis.config import Config, differing
from scaledis.core import UserError, version
from scaledis.sweeps.configs import length_dependent
from scaledis.sweeps.shards import Shard
from scaledis.types import Run

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


def check_same(root: Path, run: Run, held: Config, extend: bool) -> None:
    """Raises UserError, with the differences, if a run cannot continue the run of the config `held`.

    It can if only keys of `FREE` differ and `train.steps` does not shrink. If more steps change a schedule or a stage,
    `extend` must be True.
    """
    longer = run.config.train.steps > held.train.steps
    differences = [
        f"{key} is {there!r} there and {here!r} here"
        for key, (there, here) in sorted(differing([held, run.config]).items())
        if not key.startswith(FREE) and not (key == "train.steps" and longer)
    ]
    if differences:
        other = f"another run named {run.name!r}: {'; '.join(differences)}"
        raise UserError(f"workdir: {root} holds {other}; take another directory.")
    if longer and not extend and (changing := length_dependent(run.config)):
        steps = f"train.steps: from {held.train.steps} to {run.config.train.steps}, {', '.join(changing)}"
        course = "would change its course from where it stands; give --extend if that is wanted."
        raise UserError(f"{steps} of run {run.name} {course}")
