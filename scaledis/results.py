"""The files of a work directory. Everything is JSON or .npz, written to a temporary name and renamed.

config.json, plan.json          what it holds: the base config and sweeps; which runs train together
checkpoints/<population>/<step> states
runs/<run>/config.json          a run's own config
runs/<run>/metrics.jsonl        one line of terms per `train.log_every` steps
runs/<run>/scores.json, codes.npz
report/                         index.html and the pictures
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import config as configs
from scaledis.errors import UserError
from scaledis.sweep import Member


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises UserError, naming the file, where it is not JSON."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged: {error}.") from error


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    temporary = path.with_suffix(".partial.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_bytes(data)
    temporary.replace(path)


class Workdir:
    """Paths of a work directory, and the promise that it holds one experiment and one writer."""

    def __init__(self, root: str | Path):
        self.root = Path(root).expanduser()
        self.config, self.plan = self.root / "config.json", self.root / "plan.json"
        self.report = self.root / "report"

    def run(self, name: str) -> Path:
        return self.root / "runs" / name

    def checkpoints(self, population: int) -> Path:
        return self.root / "checkpoints" / str(population)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory for this process. Raises UserError if it cannot be written or another process has it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = open(self.root / ".lock", "a+")
        except OSError as error:
            raise UserError(f"workdir: {self.root} cannot be written: {error.strerror}.") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise UserError(f"workdir: {self.root} is in use by process {lock.read().strip()}.") from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def claim(self, experiment: Mapping[str, Any]) -> None:
        """Marks a new directory as this experiment's. Raises UserError, saying what differs, if it holds another.

        `experiment`: {"config": the base config, "sweep": names, "command": how it was started, which may differ}.
        """
        if not self.config.exists():
            write_json(self.config, experiment)
            return
        held, wanted = (
            configs.flatten({"config": found["config"], "sweep": found["sweep"]})
            for found in (self.claimed(), experiment)
        )
        differing = [
            f"{key} is {held.get(key)!r} there and {wanted.get(key)!r} here"
            for key in sorted(held.keys() | wanted.keys())
            if held.get(key) != wanted.get(key)
        ]
        if differing:
            raise UserError(f"workdir: {self.root} holds another experiment: {'; '.join(differing)}.")

    def claimed(self) -> dict[str, Any]:
        """The experiment that the directory holds. Raises UserError if it holds none."""
        if not self.config.exists():
            raise UserError(f"workdir: {self.root} holds no experiment (no config.json); give --config to start one.")
        return read_json(self.config)

    def members(self) -> list[Member]:
        """The runs of the experiment that the directory holds, from their own configs."""
        names = [name for names in read_json(self.plan) for name in names]
        return [Member(name, configs.freeze(read_json(self.run(name) / "config.json"))) for name in names]

    def write_config(self, member: Member) -> None:
        write_json(self.run(member.name) / "config.json", configs.thaw(member.config))


class Records:
    """A run's metrics.jsonl. Opened at the step of its checkpoint, it forgets what a killed process logged after it."""

    def __init__(self, path: Path, step: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [record for record in read_records(path) if record["step"] <= step]
        write_bytes(path, "".join(json.dumps(record) + "\n" for record in kept).encode())
        self._path = path

    def append(self, record: Mapping[str, Any]) -> None:
        with open(self._path, "a") as file:
            file.write(json.dumps(record) + "\n")


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, without a last line that was cut short; none if there is no file."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records
