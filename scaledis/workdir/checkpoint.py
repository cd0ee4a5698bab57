"""Checkpoints of a population: orbax's arrays with a manifest, written aside and renamed; the newest few are kept.

    <directory>/<step>/state/          the arrays, as orbax writes them
    <directory>/<step>/manifest.json   version, structure, what the caller adds, and a checksum of every file

Reading changes nothing. A checkpoint is damaged if its files differ from their checksums; the one before it is then
used. A checkpoint of another structure raises an error that names the difference, except for the arrays that a method
carries between steps, which only training needs.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from scaledis.core import UserError, hosts, version
from scaledis.types import RunState
from scaledis.workdir import structure as structures
from scaledis.workdir.storage import errors_once, first_line
from scaledis.workdir.structure import WIDE as WIDE
from scaledis.workdir.structure import OtherStructure, flat, structure, unflat

STATE, MANIFEST = "state", "manifest.json"
ASIDE = "damaged-"  # the prefix of a damaged checkpoint that train renames
CARRIED = "state/extra/"  # arrays that neither encode nor decode reads (types.State)


class Damaged(Exception):
    """The files of a checkpoint differ from what was written."""


class Checkpoints:
    """The checkpoints of one population, by step."""

    def __init__(self, directory: Path, keep: int = sys.maxsize):
        self._directory, self._keep = directory.absolute(), keep

    @property
    def steps(self) -> list[int]:
        """The steps that have a checkpoint, ascending."""
        if not self._directory.is_dir():
            return []
        return sorted(int(path.name) for path in self._directory.iterdir() if path.name.isdecimal())

    @property
    def newest(self) -> int | None:
        return max(self.steps, default=None)

    def save(self, step: int, runs: RunState, about: Mapping[str, Any]) -> None:
        """Writes a checkpoint with `about` in its manifest, then deletes the oldest ones beyond those that are kept.

        If there are several processes, all call it: each writes the arrays of its runs, and the first writes the rest.

        Raises UserError, naming the last good checkpoint, if the disk is full or cannot be written.
        """
        if step in self.steps:
            return
        partial, final = self._directory / f"{step}.partial", self._directory / str(step)
        leaves, shapes = flat(runs), structure(runs)
        try:
            if hosts.first():
                self.clear()
                partial.mkdir(parents=True)
            hosts.wait()
            with errors_once(), ocp.StandardCheckpointer() as writer:
                writer.save(partial / STATE, leaves)
            if hosts.first():
                held = {"version": version.VERSION, "step": step, "structure": shapes, "files": checksums(partial)}
                manifest = {**held, **about}
                with open(partial / MANIFEST, "w") as file:
                    json.dump(manifest | {"checksum": _seal(manifest)}, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                partial.rename(final)
                self.clear()
            hosts.wait()
        except Exception as error:  # orbax and its storage raise many kinds for a full disk
            shutil.rmtree(partial, ignore_errors=True)
            last = f"The last good one is that of step {self.newest}" if self.steps else "There is none yet"
            where = f"The checkpoint of step {step} could not be written to {self._directory}"
            raise UserError(f"{where}: {first_line(error)}. {last}.") from error

    def clear(self) -> None:
        """Deletes the oldest checkpoints beyond those that are kept, and the half-written one of a killed process."""
        for old in self.steps[: -self._keep]:  # whole or gone, for whoever reads it
            (self._directory / str(old)).rename(self._directory / f"{old}.partial")
        for left in self._directory.glob("*.partial"):
            shutil.rmtree(left, ignore_errors=True)

    def delete(self) -> None:
        """Deletes all checkpoints of the population."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def manifest(self, step: int) -> dict[str, Any]:
        """Returns the manifest of a step. Raises Damaged if it cannot be read."""
        path = self._directory / str(step) / MANIFEST
        if not path.exists():
            raise Damaged(f"{path} is missing")
        try:
            manifest = json.loads(path.read_text())
            if manifest.pop("checksum") == _seal(manifest):
                return manifest
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise Damaged(f"{path} is not what was written")

    def check_whole(self, like: RunState, step: int) -> None:
        """Raises OtherStructure if training cannot go on from the checkpoint of `step`.

        It cannot if the checkpoint lacks an array of `like`, or if its version drew other random numbers.
        """
        folder, manifest = self._directory / str(step), self.manifest(step)
        if not version.resumes(manifest["version"]):
            raise OtherStructure(
                f"The checkpoint {folder} can be loaded, scored and reported, but not trained further: version "
                f"{manifest['version']} wrote it, whose steps draw other random numbers."
            )
        structures.check(folder, manifest, like)

    def restore(self, like: RunState, step: int) -> RunState:
        """Returns the checkpoint of `step`, with the shardings of `like`, whose shapes it must have.

        An array below `state/extra` that the checkpoint lacks, or has in another shape, is filled with NaN, or with -1
        if it holds whole numbers; for such a checkpoint `check_whole` raises.

        Raises Damaged if its files have changed since they were written, OtherStructure for another structure, and
        UserError if the operating system cannot read it.
        """
        folder = self._directory / str(step)
        try:
            manifest = self.manifest(step)
            if (found := checksums(folder)) != manifest["files"]:
                changed = {name for name, _ in found.items() ^ manifest["files"].items()}
                raise Damaged(f"{len(changed)} of its files have changed, such as {min(changed)}")
            leaves, held = flat(like), manifest["structure"]
            unknown = structures.check(folder, manifest, like, apart=CARRIED)
            sharding = next(iter(leaves.values())).sharding
            shapes = {name: structures.shape_of(each, sharding) for name, each in held.items() if name in unknown}
            with ocp.StandardCheckpointer() as reader:
                restored = reader.restore(folder / STATE, {name: shapes.get(name, leaves.get(name)) for name in held})
        except FileNotFoundError as error:
            raise Damaged(f"{error.filename} is missing") from error
        except OSError as error:
            raise UserError(f"The checkpoint {folder} cannot be read now: {first_line(error)}.") from error
        filled = {name: structures.unknown(leaf) for name, leaf in leaves.items() if name in unknown}
        return unflat(restored | filled, like)

    def restore_newest(self, like: RunState, last: int = sys.maxsize) -> tuple[int, RunState] | None:
        """Returns the step and the states of the newest undamaged checkpoint up to step `last`; None without one.

        Prints damaged checkpoints. One that a trainer deletes meanwhile is not damaged: there is a newer one then.
        """
        tried: set[int] = set()
        while left := [step for step in self.steps if step <= last and step not in tried]:
            try:
                return left[-1], self.restore(like, left[-1])
            except Damaged as damage:
                tried.add(left[-1])
                if left[-1] in self.steps:
                    where = f"The checkpoint of step {left[-1]} in {self._directory}"
                    print(f"{where} is damaged: {damage}.", file=sys.stderr)
        return None

    def set_aside(self, beyond: int) -> None:
        """Renames the checkpoints after step `beyond`, which are damaged, so that training can write new ones."""
        hosts.wait()  # until all processes have read them
        for step in self.steps if hosts.first() else ():
            if step > beyond:
                aside = self._directory / f"{ASIDE}{step}"
                shutil.rmtree(aside, ignore_errors=True)
                (self._directory / str(step)).rename(aside)
        hosts.wait()


def checksums(folder: Path) -> dict[str, str]:
    """Returns {path of a file below the folder: checksum of its content}, without the manifest."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST):
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return found


def _seal(manifest: Mapping[str, Any]) -> str:
    """Returns a checksum of the manifest itself."""
    return hashlib.blake2b(json.dumps(manifest, sort_keys=True).encode(), digest_size=16).hexdigest()
