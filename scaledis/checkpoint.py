"""Checkpoints of a population, by orbax: written aside and renamed; the last few are kept, the newest good one used."""

import shutil
import sys
from pathlib import Path

import orbax.checkpoint as ocp

from scaledis.errors import UserError
from scaledis.population import Run


class Checkpoints:
    """The checkpoints of one population, by step."""

    def __init__(self, directory: Path, keep: int):
        self._directory = directory.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    @property
    def newest(self) -> int | None:
        return self._manager.latest_step()

    def save(self, step: int, runs: Run) -> None:
        """Raises UserError, naming the last good checkpoint, if the disk is full or cannot be written."""
        if step in self._manager.all_steps():
            return
        try:
            self._manager.save(step, args=ocp.args.StandardSave(runs))
        except Exception as error:
            self._discard(step)
            good = max(self._manager.all_steps(), default=None)
            last = f"The last good one is that of step {good}" if good else "There is none yet"
            reason = str(error).splitlines()[0]
            raise UserError(
                f"The checkpoint of step {step} could not be written to {self._directory}: {reason}. {last}."
            ) from error

    def restore(self, like: Run) -> tuple[int, Run] | None:
        """The newest readable checkpoint, placed like the shapes and shardings of `like`, or None."""
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return step, self._manager.restore(step, args=ocp.args.StandardRestore(like))
            except Exception as error:  # whatever orbax and its storage raise for a damaged file
                reason = str(error).splitlines()[0][:200]
                print(
                    f"The checkpoint of step {step} in {self._directory} cannot be read and is set aside: {reason}",
                    file=sys.stderr,
                )
                self._set_aside(step)
        return None

    def _set_aside(self, step: int) -> None:
        """Renames rather than deletes: what this version cannot read, another may."""
        aside = self._directory / f"unreadable-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        (self._directory / str(step)).rename(aside)
        self._manager.reload()

    def _discard(self, step: int) -> None:
        """Removes what a failed save left of a step."""
        for path in self._directory.glob(f"{step}*"):
            if path.name.split(".")[0] == str(step):
                shutil.rmtree(path, ignore_errors=True)
        self._manager.reload()
