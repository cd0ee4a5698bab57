"""Checkpoints of a population: orbax's arrays with a manifest, written aside and renamed; the last few are kept.

    <directory>/<step>/state/          the arrays, as orbax writes them
    <directory>/<step>/manifest.json   version, structure, what the caller adds, and a checksum of every file

Reading changes nothing. A checkpoint whose files do not have their checksums is damaged, and the one before it is used;
one of another structure is an error that says what differs. What a method carries between steps may differ, as long as
training does not go on.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from scaledis.core import hosts, version
from scaledis.core.errors import UserError
from scaledis.types import RunState

STATE, MANIFEST = "state", "manifest.json"
WIDE, NARROW = "64[", "32["  # types in a structure; version 0.2 wrote wide ones under jax_enable_x64
ASIDE = "damaged-"  # what train renames a damaged checkpoint to
CARRIED = "state/extra/"  # arrays that neither encode nor decode reads (types.State)


class Damaged(Exception):
    """The files of a checkpoint are not those that were written."""


class OtherStructure(UserError):
    """A checkpoint is whole, and not of the state that is expected."""


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
        """Writes a checkpoint, then deletes those beyond the last few. `about` is kept in its manifest.

        Where there are several processes all of them call it: each writes its own runs' arrays, the first one the rest.

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
            with _errors_once(), ocp.StandardCheckpointer() as writer:
                writer.save(partial / STATE, leaves)
            if hosts.first():
                manifest = {
                    "version": version.VERSION,
                    "step": step,
                    "structure": shapes,
                    "files": checksums(partial),
                    **about,
                }
                with open(partial / MANIFEST, "w") as file:
                    json.dump(manifest | {"checksum": _seal(manifest)}, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                partial.rename(final)
                self.clear()
            hosts.wait()
        except Exception as error:  # whatever orbax and its storage raise for a disk that is full
            shutil.rmtree(partial, ignore_errors=True)
            last = f"The last good one is that of step {self.newest}" if self.steps else "There is none yet"
            where = f"The checkpoint of step {step} could not be written to {self._directory}"
            raise UserError(f"{where}: {_first_line(error)}. {last}.") from error

    def clear(self) -> None:
        """Deletes the checkpoints beyond the last few, and what a process that was killed left half written."""
        beyond = [self._directory / str(old) for old in self.steps[: -self._keep]]
        for left in [*self._directory.glob("*.partial"), *beyond]:
            shutil.rmtree(left, ignore_errors=True)

    def manifest(self, step: int) -> dict[str, Any]:
        """What was written beside the arrays of a step.

        Raises Damaged if it cannot be read.
        """
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

        An older version wrote it, whose steps draw other random numbers, or it lacks an array of `like`.
        """
        folder, manifest = self._directory / str(step), self.manifest(step)
        if not version.resumes(manifest["version"]):
            raise OtherStructure(
                f"The checkpoint {folder} can be loaded, scored and reported, but not trained further: version "
                f"{manifest['version']} wrote it, whose steps draw other random numbers."
            )
        _check_structure(folder, manifest, like)

    def restore(self, like: RunState, step: int) -> RunState:
        """The checkpoint of `step`, placed like the shapes and shardings of `like`.

        An array below `state/extra` that the checkpoint lacks, or has in another shape, is filled with NaN, or with -1
        if it holds whole numbers; `check_whole` tells.

        Raises Damaged if its files have changed since they were written, OtherStructure if it is of another state, and
        UserError if the operating system cannot read it now.
        """
        folder = self._directory / str(step)
        try:
            manifest = self.manifest(step)
            if (found := checksums(folder)) != manifest["files"]:
                names = {
                    name for name in found.keys() | manifest["files"] if found.get(name) != manifest["files"].get(name)
                }
                raise Damaged(f"{len(names)} of its files have changed, such as {min(names)}")
            leaves, held = flat(like), manifest["structure"]
            unknown = _check_structure(folder, manifest, like, apart=CARRIED)
            sharding = next(iter(leaves.values())).sharding
            wanted = {name: _shape(held[name], sharding) if name in unknown else leaves[name] for name in held}
            with ocp.StandardCheckpointer() as reader:
                restored = reader.restore(folder / STATE, wanted)
        except OSError as error:
            raise UserError(f"The checkpoint {folder} cannot be read now: {_first_line(error)}.") from error
        return unflat({name: _filled(leaves[name]) if name in unknown else restored[name] for name in leaves}, like)

    def restore_newest(self, like: RunState, last: int = sys.maxsize) -> tuple[int, RunState] | None:
        """The newest checkpoint, of step `last` or before, that is not damaged, and its step. None if there is none.

        Damaged ones are said.
        """
        for step in reversed([step for step in self.steps if step <= last]):
            try:
                return step, self.restore(like, step)
            except Damaged as damage:
                print(f"The checkpoint of step {step} in {self._directory} is damaged: {damage}.", file=sys.stderr)
        return None

    def set_aside(self, beyond: int) -> None:
        """Renames the checkpoints of steps beyond `beyond`, which are damaged, so that training can write them anew."""
        hosts.wait()  # all have read what there is
        for step in self.steps if hosts.first() else ():
            if step > beyond:
                aside = self._directory / f"{ASIDE}{step}"
                shutil.rmtree(aside, ignore_errors=True)
                (self._directory / str(step)).rename(aside)
        hosts.wait()


def flat(runs: Any) -> dict[str, Any]:
    """A pytree as {path of a leaf: leaf}."""
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in _leaves(runs)}


def unflat(leaves: Mapping[str, Any], like: Any) -> Any:
    """The pytree of the structure of `like` from {path of a leaf: leaf}."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in flat(like)])


def structure(runs: Any) -> dict[str, str]:
    """{path of a leaf: its dtype and shape}."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in flat(runs).items()}


def checksums(folder: Path) -> dict[str, str]:
    """{path of a file below the folder: checksum of its content}, without the manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): _checksum(path) for path in files}


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    """A checksum of the manifest itself."""
    return hashlib.blake2b(json.dumps(manifest, sort_keys=True).encode(), digest_size=16).hexdigest()


def _check_structure(folder: Path, manifest: Mapping[str, Any], like: RunState, apart: str | None = None) -> set[str]:
    """Paths of the arrays that differ from those of `like`. Raises OtherStructure unless all are below `apart`."""
    held = {name: each.replace(WIDE, NARROW) for name, each in manifest["structure"].items()}  # reading rounds
    wanted = structure(like)
    differing = {name for name, _ in held.items() ^ wanted.items()}
    needed = sorted(name for name in differing if apart is None or not name.startswith(apart))
    if needed:
        first = needed[0]
        raise OtherStructure(
            f"The checkpoint {folder}, written by version {manifest['version']}, has another structure than version "
            f"{version.VERSION} expects: {len(needed)} arrays differ, such as {first}, which is "
            f"{held.get(first, 'missing')} there and {wanted.get(first, 'missing')} here."
        )
    return differing


def _shape(description: str, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    """The inverse of a description of `structure`."""
    dtype, _, shape = description.partition("[")
    return jax.ShapeDtypeStruct(json.loads(f"[{shape}"), dtype, sharding=sharding)


def _filled(leaf: Any) -> jax.Array:
    """An array like `leaf` of nothing that is known: NaN, or -1 among whole numbers."""
    value = np.nan if np.issubdtype(leaf.dtype, np.floating) else -1
    return hosts.place(np.full(leaf.shape, value).astype(leaf.dtype), leaf.sharding)


def _first_line(error: Exception) -> str:
    """What the operating system says, without the paths and settings that the storage adds to it."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def _errors_once() -> Iterator[None]:
    """Keeps off standard error what the threads of orbax print of a failed write, whose error is raised as well.

    Writes that end after the first error tell so to an event loop that is closed by then, some of them later than the
    error is raised: once a write has failed, that complaint stays silent.
    """
    logger, hook = logging.get_absl_logger(), sys.unraisablehook

    def without_closed_loops(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    disabled, logger.disabled, sys.unraisablehook = logger.disabled, True, without_closed_loops
    try:
        yield
        sys.unraisablehook = hook
    finally:
        logger.disabled = disabled
