"""The files of a work directory. Everything is JSON, .npz or Parquet, sealed, written to a temporary name and renamed.

config.json, plan.json           the base config and sweeps; which runs train together
rungs.json                       which runs were dropped at which rung, and by what numbers (decisions.py)
trials.json                      the settings that a search has tried (trials.py), from its study in study.*
planned/<population>.json        the configs of its runs, used until a run begins and has its own
checkpoints/<population>/<step>  states; best/<step> beside them has each run at its best one (best.py)
runs/<run>/config.json           the config of a run, and the facts of its data set
runs/<run>/metrics.jsonl         one line of terms per `train.log_every` steps
runs/<run>/scores.json           the newest scores; scores/ has all scores, side by side
runs/<run>/codes.npz             the codes of the newest scores, with their factors
runs/<run>/wandb.txt             the run's id in Weights & Biases (training/trackers.py)
results/<population>.parquet     a row a run, once the population is scored (table.py)
report/                          index.html and the pictures
"""

import contextlib
import dataclasses
import fcntl
import functools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaledis.config import Config, thaw
from scaledis.core import UserError, version
from scaledis.core.files import EXPERIMENT, directory, has_seal, read_json, with_keys, write_lines
from scaledis.sweeps.configs import freeze
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.types import Run
from scaledis.workdir import decisions, locks, planned
from scaledis.workdir.planned import Planned, is_folder

UNSEALED = ("0.1.0", "0.2.0")  # versions whose files have no checksums
CLAIM = ("config", "sweep", "command")  # keys that config.json must have
FACTS = ("name", "image_shape", "train_size", "fingerprint")  # keys that the facts of a data set must have


class Workdir:
    """The paths of a work directory, which holds one experiment and has one writer at a time."""

    def __init__(self, root: str | Path):
        self.root = directory("workdir", root)
        self.config, self.plan = (self.root / name for name in EXPERIMENT)
        self.report, self.rungs, self.trials = (self.root / name for name in ("report", "rungs.json", "trials.json"))
        self._places: dict[str, int] = {}  # run -> population
        self._latest: tuple[Path, dict[str, Any]] = self.root, {}  # planned configs, which never change, of a file

    @property
    def report_command(self) -> str:
        """The command line that shows the results of the directory."""
        return shlex.join(["scaledis", "report", f"--workdir={self.root}"])

    @functools.cached_property
    def begun(self) -> str:
        """The version that began the directory, or this one if config.json cannot be read."""
        try:
            held = read_json(self.config, *CLAIM)
        except UserError:  # a damaged file is reported when its content is needed
            return version.VERSION
        return held.get("begun", held["version"])

    @property
    def needs_seals(self) -> bool:
        """Whether a file without a checksum is damaged."""
        return self.begun not in UNSEALED

    def is_sealed(self, name: str) -> bool:
        """Returns whether all files of a run have checksums."""
        own = self.run(name)
        files = (self._config_file(name), own / "metrics.jsonl", own / "scores.json", own / "codes.npz")
        return self.needs_seals or all(has_seal(path.read_bytes()) for path in files if path.exists())

    def read(self, path: Path, *keys: str) -> Any:
        """Returns the content of a JSON file. Raises UserError, naming the file, if it is damaged or lacks a key."""
        return read_json(path, *keys, needs_seal=self.needs_seals)

    def run(self, name: str) -> Path:
        """Returns the folder of a run. Raises UserError for a name that no folder in runs/ can have."""
        if not is_folder(name):
            raise UserError(f"workdir: {name[:80]!r} in {self.root} is not the name of a run.")
        return self.root / "runs" / name

    def planned_configs(self, population: int) -> Path:
        return self.root / "planned" / f"{population}.json"

    def checkpoints(self, population: int) -> Path:
        return self.root / "checkpoints" / str(population)

    def results(self, population: int) -> Path:
        return self.root / "results" / f"{population}.parquet"

    def locked_plan(self, shard: Shard = WHOLE) -> contextlib.AbstractContextManager[None]:
        """Locks the plan and the decisions, which shards change in turns."""
        return locks.lock(self.root, ".lock-claim", shard, fcntl.LOCK_EX, wait=True)

    @contextlib.contextmanager
    def locked(self, shard: Shard = WHOLE) -> Iterator[None]:
        """Locks the directory for this process. Shards share this lock, and each shard holds a second lock alone.

        Raises UserError if the directory cannot be written, or if another process holds a lock.
        """
        with contextlib.ExitStack() as held:
            held.enter_context(locks.lock(self.root, ".lock", shard, fcntl.LOCK_EX if shard.whole else fcntl.LOCK_SH))
            if not shard.whole:
                held.enter_context(locks.lock(self.root, f".lock-{shard.index}", shard, fcntl.LOCK_EX))
            yield

    def locked_population(self, index: int, count: int, wait: bool = False) -> contextlib.AbstractContextManager[None]:
        """Locks population `index` of `count`, for a process whose parent has locked the directory.

        Raises UserError if another process holds it, unless `wait` is True.
        """
        return locks.lock(self.root, f".lock-{index}", Shard(index, count), fcntl.LOCK_EX, wait)

    def claimed(self) -> dict[str, Any]:
        """Returns the experiment that the directory holds. Raises UserError if it holds none."""
        if not self.config.exists():
            raise UserError(f"workdir: {self.root} holds no experiment (no config.json); give --config to start one.")
        return self.read(self.config, *CLAIM)

    def planned(self) -> list[Planned]:
        """Returns the populations of the plan, [] if there is none. Raises UserError for a damaged plan."""
        if not self.plan.exists():
            return []
        return planned.populations(self.plan, self.read(self.plan))

    def write_plan(self, populations: Sequence[Planned]) -> None:
        """Writes the plan anew, whole or not at all."""
        write_lines(self.plan, planned.as_json(populations))

    def parts(self) -> list[int]:
        """Returns the part of each population, by which shards take it."""
        return [each.part for each in self.planned()]

    def dropped(self) -> dict[str, int]:
        """Returns the step at which each dropped run was dropped. Raises UserError for a damaged rungs.json."""
        return decisions.dropped(decisions.read(self.rungs))

    def groups(self) -> list[list[str]]:
        """Returns the names of the runs of each population."""
        return [each.names for each in self.planned()]

    def populations(self, known: Iterable[Run] = ()) -> list[list[Run]]:
        """Returns the runs of each population, padded to its allocation; runs that are not `known` are read."""
        own = {run.name: run for run in known}

        def find(name: str) -> Run:
            return own.get(name) or Run(name, self.read_config(name))

        return [[find(name)._replace(padded=padded) for name in names] for names, padded, _ in self.planned()]

    def runs(self) -> list[Run]:
        """Returns the runs of the experiment that the directory holds."""
        return [run for group in self.populations() for run in group]

    def held(self, name: str, *keys: str) -> dict[str, Any]:
        """Returns the config of a run as it was written, by the run or, before it begins, by the plan.

        Raises UserError, naming the file, if it is damaged or lacks a key.
        """
        path = self._config_file(name)
        if path.parent == self.run(name):
            return self.read(path, *keys)
        if self._latest[0] != path:
            self._latest = path, self.read(path, name)
        return with_keys(path, with_keys(path, self._latest[1], [name])[name], keys)

    def _config_file(self, name: str) -> Path:
        """Returns the file with the config of a run."""
        own = self.run(name) / "config.json"
        if own.exists():
            return own
        if name not in self._places:
            self._places = {each: index for index, names in enumerate(self.groups()) for each in names}
        planned = self.planned_configs(self._places.get(name, -1))
        return planned if planned.exists() else own

    def read_config(self, name: str) -> Config:
        """Returns the config of a run (`held`) as a Config. Raises UserError, naming the file, if it is damaged."""
        path = self._config_file(name)
        held = dict(self.held(name, *(field.name for field in dataclasses.fields(Config))))
        held.pop("dataset", None)
        try:
            return freeze(held, stored=True)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error

    def dataset_of(self, name: str) -> dict[str, Any]:
        """Returns the facts of a run's data set (sampling.facts); {} before the run begins."""
        path = self.run(name) / "config.json"
        held = self.read(path, "method", "train").get("dataset", {}) if path.exists() else {}
        if held and not (isinstance(held, dict) and held.keys() >= {*FACTS}):
            raise UserError(f"{path} is damaged: its dataset lacks one of {', '.join(FACTS)}.")
        return held

    def write_config(self, run: Run, dataset: Mapping[str, Any]) -> None:
        """Writes the config of a run that begins, with the facts of its data set."""
        held = {"dataset": dict(dataset)} if dataset else {}
        write_lines(self.run(run.name) / "config.json", thaw(run.config) | held)
