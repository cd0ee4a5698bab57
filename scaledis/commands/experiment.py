"""Arguments that several commands share: the experiment with its runs, and the processes that train it together."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scaledis.config import Data, flatten, thaw, typed
from scaledis.core import hosts
from scaledis.core.command import Command, option, overrides, positional, whole
from scaledis.core.errors import UserError, sentences
from scaledis.sweeps import config_file
from scaledis.sweeps.config_file import ConfigFile
from scaledis.sweeps.configs import freeze, override
from scaledis.sweeps.expand import expand, literal
from scaledis.types import Run
from scaledis.workdir.layout import Workdir


@dataclass
class Experiment(Command):
    """An experiment: a config file with changes and sweeps, or the runs that a work directory has."""

    config: str | None = option("a config file, FILE or FILE:ARGUMENT; its keys can follow: --config.train.batch=32")
    overrides: Mapping[str, Any] = overrides()
    workdir: str | Path | None = option("the directory of all results; default: runs/<name of the config>")
    sweep: tuple[str, ...] = option("a sweep by name, seeds:5, or key=value,value; several: their product", ())
    data: str | None = option("the data set (data.name)")
    steps: int | None = option("the steps to train to (train.steps)", parse=whole)
    seeds: int | None = option("the number of seeds: --sweep=seeds:N", parse=whole)

    @property
    def file(self) -> str | None:
        """FILE or FILE:ARGUMENT of the config; None if the runs are those of the work directory."""
        return self.config

    @property
    def sweeps(self) -> list[str]:
        """The sweeps, one by one."""
        names = [name for words in self.sweep for name in ([words] if "=" in words else words.split(","))]
        return names + ([] if self.seeds is None else [f"seeds:{self.seeds}"])

    @cached_property
    def loaded(self) -> ConfigFile | None:
        """The config file with the changes of the command. Raises UserError for a config that cannot run."""
        if self.file is None:
            return None
        config, namespace = config_file.load(self.file)
        config = self.changed(config)
        freeze(config)
        return ConfigFile(config, namespace)

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The sweeps of the config file, and all else that it defines."""
        return self.loaded.namespace if self.loaded else {}

    @property
    def settings(self) -> Data:
        """The section `data` of the config, or its default."""
        return freeze(self.loaded.config).data if self.loaded else Data()

    @property
    def directory(self) -> Workdir:
        """The work directory. Raises UserError where neither it nor a config is given."""
        if self.workdir is None and self.file is None:
            raise UserError("--config: missing; name a config or a method, or give --workdir of an experiment.")
        return Workdir(self.workdir or Path("runs") / config_file.title(str(self.file)))

    def changed(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config with the keys that the command sets. Raises UserError for an unknown key."""
        values = flatten(config)
        changes = {
            key: literal(value) if isinstance(value, str) and not isinstance(values.get(key), str) else value
            for key, value in self.overrides.items()
        }
        flags = {"data.name": self.data, "train.steps": self.steps}
        changes |= {key: value for key, value in flags.items() if value is not None}
        return override(config, {key: typed(key, value) for key, value in changes.items()}, "--config")

    def runs(self) -> list[Run]:
        """The runs of the config with its sweeps; without a config, those of the work directory."""
        if self.loaded:
            return expand(self.loaded.config, self.sweeps, self.loaded.namespace)
        if self.sweeps:
            raise UserError("--sweep: it changes a config; give one by name or with --config.")
        self.directory.claimed()  # refuses a directory without an experiment, before anything is written there
        runs = self.directory.runs()
        if not (self.overrides or self.data or self.steps):
            return runs
        return [run._replace(config=freeze(self.changed(thaw(run.config)))) for run in runs]

    def record(self) -> Mapping[str, Any]:
        """The config, the sweeps and the command, which the work directory keeps."""
        if self.loaded:
            return {"config": self.loaded.config, "sweep": self.sweeps, "command": self.line()}
        return self.directory.claimed()


@dataclass
class Named(Experiment):
    """An experiment whose config may be given by its name."""

    name: str | None = positional("a config (quickstart, table1:paper, mine.py) or a method (scale_vlae)", default=None)

    @property
    def file(self) -> str | None:
        if self.name is None:
            return self.config
        if self.config is not None:
            raise UserError(f"--config: {self.config} and the name {self.name} are two configs; give one.")
        return config_file.find(self.name, self.data)


@dataclass
class Distributed(Command):
    """A command that one of several processes may run."""

    distributed: bool = option("join the processes that SLURM, Open MPI, Kubernetes or a TPU started", False)
    coordinator: str | None = option("host:port of the first process, where no cluster is detected")
    processes: int | None = option("the number of processes", parse=whole)
    process: int | None = option("the number of this process, from 0", parse=whole)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Joins the other processes; this one prints its error before it ends them."""
        address = self.coordinator, self.processes, self.process
        if not self.distributed and address == (None, None, None):
            yield
            return
        with hosts.joined(*address), sentences():
            yield
