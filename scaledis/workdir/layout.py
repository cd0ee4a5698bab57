"""The files of a work directory. Everything is JSON, .npz or Parquet, sealed, written to a temporary name and renamed.

config.json, plan.json           what it holds: the base config and sweeps; which runs train together
planned/<population>.json        the configs of its runs, which stand for their own until they begin
checkpoints/<population>/<step>  states
runs/<run>/config.json           a run's own config, and what it was trained on
runs/<run>/metrics.jsonl         one line of terms per `train.log_every` steps
runs/<run>/scores.json           the newest scores; scores/ has them all, side by side
runs/<run>/codes.npz             the codes of the newest scores, with their factors
runs/<run>/wandb.txt             its id in Weights & Biases (training/trackers.py)
results/<population>.parquet     a row a run, once the population is scored (table.py)
report/                          index.html and the pictures
"""

import contextlib
import dataclasses
import fcntl
import functools
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from scaledis.config import Config, differing, thaw
from scaledis.core import version
from scaledis.core.errors import UserError
from scaledis.core.files import clear, directory, has_seal, read_json, with_keys, write_lines, write_sealed
from scaledis.sweeps import plan
from scaledis.sweeps.configs import freeze, length_dependent
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.types import Run

# Keys that say how a run is watched, scored and stored, not what it is: they may differ from one command to the next.
FREE = (
    *("evaluate.", "data.directory", "data.memory", "data.accept_checksum"),
    *("train.log_every", "train.checkpoint_every", "train.evaluate_every", "train.keep", "train.parallel"),
)
WRITERS = 16  # files written at once
UNSEALED = ("0.1.0", "0.2.0")  # versions whose files have no checksums
LONGEST = 255  # bytes of a folder's name
CLAIM = ("config", "sweep", "command")  # that config.json has at the least
FACTS = ("name", "image_shape", "train_size", "fingerprint")  # that a run has of its data set


class Planned(NamedTuple):
    """A population of the plan: the names of its runs, and the allocation they are padded to (None: as they need)."""

    names: list[str]
    padded: tuple[int, ...] | None


class Workdir:
    """Paths of a work directory, and the promise that it holds one experiment and one writer."""

    def __init__(self, root: str | Path):
        self.root = directory("workdir", root)
        self.config, self.plan = self.root / "config.json", self.root / "plan.json"
        self.report = self.root / "report"
        self._places: dict[str, int] = {}  # run -> population
        self._latest: tuple[Path, dict[str, Any]] = self.root, {}  # planned configs, which never change, of a file

    @functools.cached_property
    def begun(self) -> str:
        """The version that began the directory: this one where config.json does not tell another."""
        try:
            held = read_json(self.config, *CLAIM)
        except UserError:  # that of a damaged file is raised where its content is needed
            return version.VERSION
        return held.get("begun", held["version"])

    @property
    def needs_seals(self) -> bool:
        """Whether a file without a checksum is damaged."""
        return self.begun not in UNSEALED

    def is_sealed(self, name: str) -> bool:
        """Whether all that is read of a run has a checksum."""
        own = self.run(name)
        files = (self._config_file(name), own / "metrics.jsonl", own / "scores.json", own / "codes.npz")
        return self.needs_seals or all(has_seal(path.read_bytes()) for path in files if path.exists())

    def read(self, path: Path, *keys: str) -> Any:
        """A JSON file. Raises UserError, naming the file, if it is damaged or lacks a key."""
        return read_json(path, *keys, needs_seal=self.needs_seals)

    def run(self, name: str) -> Path:
        """The folder of a run. Raises UserError for a name that is not that of a folder in runs/."""
        if not _is_folder(name):
            raise UserError(f"workdir: {name[:80]!r} in {self.root} is not the name of a run.")
        return self.root / "runs" / name

    def planned_configs(self, population: int) -> Path:
        return self.root / "planned" / f"{population}.json"

    def checkpoints(self, population: int) -> Path:
        return self.root / "checkpoints" / str(population)

    def results(self, population: int) -> Path:
        return self.root / "results" / f"{population}.parquet"

    @contextlib.contextmanager
    def locked(self, shard: Shard = WHOLE) -> Iterator[None]:
        """Holds the directory, or what is a shard's of it, for this process: shards beside each other, else one alone.

        Raises UserError if it cannot be written, or if another process has it.
        """
        with contextlib.ExitStack() as held:
            held.enter_context(self._lock(".lock", shard, fcntl.LOCK_EX if shard.whole else fcntl.LOCK_SH))
            if not shard.whole:
                held.enter_context(self._lock(f".lock-{shard.index}", shard, fcntl.LOCK_EX))
            yield

    def locked_population(self, index: int, count: int) -> contextlib.AbstractContextManager[None]:
        """Holds population `index` of `count` alone, for a process whose parent holds the directory.

        Raises UserError if another process has it.
        """
        return self._lock(f".lock-{index}", Shard(index, count), fcntl.LOCK_EX)

    @contextlib.contextmanager
    def _lock(self, name: str, shard: Shard, kind: int, wait: bool = False) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = open(self.root / name, "a+b", buffering=0)  # nothing is left to be written as it is closed
        except OSError as error:
            raise UserError(f"workdir: {self.root} cannot be written: {error.strerror}.") from error
        with lock:
            try:
                fcntl.flock(lock, kind if wait else kind | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise UserError(
                    f"workdir: {self.root} is in use by {lock.read().decode(errors='replace').strip()}."
                ) from None
            except OSError as error:
                raise UserError(
                    f"workdir: {self.root} is on a file system without locks ({error.strerror}); put it on another, or "
                    "mount this one with locks."
                ) from error
            holder = f"process {os.getpid()} on {platform.node()}{'' if shard.whole else f', shard {shard}'}\n"
            try:
                lock.truncate(0)
                lock.write(holder.encode())
            except OSError as error:
                raise UserError(f"workdir: {self.root} cannot be written: {error.strerror}.") from error
            yield

    def claimed(self) -> dict[str, Any]:
        """The experiment that the directory holds. Raises UserError if it holds none."""
        if not self.config.exists():
            raise UserError(f"workdir: {self.root} holds no experiment (no config.json); give --config to start one.")
        return self.read(self.config, *CLAIM)

    def planned(self) -> list[Planned]:
        """The populations of the plan; none before a first start. Raises UserError for a damaged plan."""
        if not self.plan.exists():
            return []
        found = self.read(self.plan)
        if not isinstance(found, list | dict):
            raise UserError(f"{self.plan} is damaged: it is not a list of populations.")
        return [self._population(each) for each in (found.values() if isinstance(found, dict) else found)]

    def _population(self, held: Any) -> Planned:
        """An entry of the plan; before version 0.2 it was the names alone."""
        names, padded = (held.get("runs"), held.get("allocation")) if isinstance(held, dict) else (held, None)
        if not names or not _is_list(names, str) or not (padded is None or _is_list(padded, int)):
            raise UserError(f"{self.plan} is damaged: a population is not the names of its runs and an allocation.")
        for name in names:
            if not _is_folder(name):
                raise UserError(f"{self.plan} is damaged: {name[:80]!r} is not the name of a run.")
        return Planned(names, None if padded is None else tuple(padded))

    def groups(self) -> list[list[str]]:
        """The names of the runs of each population."""
        return [each.names for each in self.planned()]

    def populations(self, find: Callable[[str], Run]) -> list[list[Run]]:
        """The runs of each population, found by name, at the allocation that they train at."""
        return [[find(name)._replace(padded=padded) for name in names] for names, padded in self.planned()]

    def runs(self) -> list[Run]:
        """The runs of the experiment that the directory holds, from their own configs."""
        groups = self.populations(lambda name: Run(name, self.read_config(name)))
        return [run for group in groups for run in group]

    def held(self, name: str, *keys: str) -> dict[str, Any]:
        """A run's config as it was written down: its own, or that of the plan before it begins.

        Raises UserError, naming the file, if it is damaged or lacks a key.
        """
        path = self._config_file(name)
        if path.parent == self.run(name):
            return self.read(path, *keys)
        if self._latest[0] != path:
            self._latest = path, self.read(path, name)
        return with_keys(path, with_keys(path, self._latest[1], [name])[name], keys)

    def _config_file(self, name: str) -> Path:
        """Where a run's config is."""
        own = self.run(name) / "config.json"
        if own.exists():
            return own
        if name not in self._places:
            self._places = {each: index for index, names in enumerate(self.groups()) for each in names}
        planned = self.planned_configs(self._places.get(name, -1))
        return planned if planned.exists() else own

    def read_config(self, name: str) -> Config:
        """`held` as a Config. Raises UserError, naming the file, if it is damaged."""
        path = self._config_file(name)
        held = dict(self.held(name, *(field.name for field in dataclasses.fields(Config))))
        held.pop("dataset", None)
        try:
            return freeze(held)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error

    def dataset_of(self, name: str) -> dict[str, Any]:
        """What a run was trained on (sampling.facts); {} before it is."""
        path = self.run(name) / "config.json"
        held = self.read(path, "method", "train").get("dataset", {}) if path.exists() else {}
        if held and not (isinstance(held, dict) and held.keys() >= {*FACTS}):
            raise UserError(f"{path} is damaged: its dataset lacks one of {', '.join(FACTS)}.")
        return held

    def write_config(self, run: Run, dataset: Mapping[str, Any]) -> None:
        """A run's own config, as it begins."""
        held = {"dataset": dict(dataset)} if dataset else {}
        write_lines(self.run(run.name) / "config.json", thaw(run.config) | held)

    def claim(
        self,
        base: Mapping[str, Any],
        runs: Sequence[Run],
        extend: bool = False,
        shard: Shard = WHOLE,
        at_once: Callable[[Sequence[Run]], int] = plan.together,
    ) -> list[list[Run]]:
        """Takes the directory for these runs and returns them in their populations, those of other shards among them.

        In a new directory it writes down which runs train together, so that a resume on another machine finds its
        checkpoints. In an old one, runs that are there go on, to more steps if they ask for more, and new runs join in
        populations of their own. Shards that start at once take turns: the first one plans for all.

        Args:
          base: {"config": the base config, "sweep": names, "command": how it was started}, for the record; "begun" if
            what is copied into the directory was begun by another version.
          runs: all runs of the command.
          extend: whether runs may be lengthened whose schedule or stages then change.
          shard: whose runs are compared with what is there.
          at_once: how many runs of a program train at once.

        Raises UserError, saying what differs, if a run is there with another config, if a run that is there is missing
        among `runs`, or if the directory was begun with another number of shards or by another version of the code.
        """
        with self._lock(".lock-claim", shard, fcntl.LOCK_EX, wait=True):
            if not shard.whole:
                self._check_shards(shard)
            there, known = self.planned(), {run.name: run for run in runs}
            for folder in (self.root, self.root / "planned", self.root / "results", self.report):
                clear(folder)
            held = {name: None for each in there for name in each.names}
            if missing := [name for name in held if name not in known]:
                raise UserError(
                    f"workdir: {self.root} holds runs that this command lacks: {', '.join(missing[:5])}; keep their "
                    "values in the sweep, or take another workdir."
                )
            for _, each in shard.take(there):
                for name in each.names:
                    self.check_same(known[name], extend)
            new = list(enumerate(plan.populations([run for run in runs if run.name not in held], at_once), len(there)))
            with ThreadPoolExecutor(WRITERS) as writers:  # a file takes a network file system milliseconds
                list(writers.map(lambda each: self._plan_configs(*each), new))
            there += [Planned([run.name for run in group], group[0].padded) for _, group in new]
            write_sealed(self.config, {"begun": self.begun, **base, "shards": shard.count, **version.here()})
            write_lines(
                self.plan, {str(n): {"runs": names, "allocation": each} for n, (names, each) in enumerate(there)}
            )
        return self.populations(known.__getitem__)

    def _plan_configs(self, index: int, group: Sequence[Run]) -> None:
        write_lines(self.planned_configs(index), {run.name: thaw(run.config) for run in group})

    def _check_shards(self, shard: Shard) -> None:
        """Raises UserError if the directory was begun with another number of shards, or by shards of other code."""
        held = self.claimed() if self.config.exists() else {}
        if (count := held.get("shards", 1)) == 1:
            return
        if count != shard.count:
            raise UserError(
                f"workdir: {self.root} was begun with {count} shards, and --shard={shard} is one of {shard.count}; "
                f"give i/{count}, or go on without --shard."
            )
        there, here = (f"{found.get('version')} {found.get('commit')}".strip() for found in (held, version.here()))
        if there != here:
            raise UserError(
                f"workdir: the shards of {self.root} were begun by version {there}, and this is {here}; go on with "
                "that one, or without --shard."
            )

    def check_same(self, run: Run, extend: bool) -> None:
        """Raises UserError, saying what differs, if the run is there with another config (see `claim`)."""
        held, wanted = self.read_config(run.name), run.config
        longer = wanted.train.steps > held.train.steps
        differences = [
            f"{key} is {there!r} there and {here!r} here"
            for key, (there, here) in sorted(differing([held, wanted]).items())
            if not key.startswith(FREE) and not (key == "train.steps" and longer)
        ]
        if differences:
            raise UserError(f"workdir: {self.root} holds another run {run.name}: {'; '.join(differences)}.")
        changing = length_dependent(wanted) if longer else []
        if changing and not extend:
            steps = f"train.steps: from {held.train.steps} to {wanted.train.steps}"
            raise UserError(
                f"{steps}, {', '.join(changing)} of run {run.name} would change its course from where it stands; "
                "give --extend if that is wanted."
            )


def _is_folder(name: str) -> bool:
    """Whether a name is that of a folder right where it is looked for."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < length <= LONGEST and name not in (".", "..") and not {"/", "\0"} & {*name}


def _is_list(value: Any, of: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, of) for each in value)
