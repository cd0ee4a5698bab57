"""Arguments that several commands share: the config, the runs, and the processes that work together."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scaledis import methods
from scaledis.config import Data, flatten, thaw, typed
from scaledis.core import hosts
from scaledis.core.command import Command, option, overrides, positional, whole
from scaledis.core.errors import UserError, sentences
from scaledis.core.values import literal
from scaledis.sweeps import config_file
from scaledis.sweeps.config_file import ConfigFile
from scaledis.sweeps.configs import defaults, freeze, override
from scaledis.sweeps.expand import expand
from scaledis.types import Run
from scaledis.workdir.layout import Workdir


@dataclass
class Configured(Command):
    """A command with a config file and changes of its keys."""

    config: str | None = option(
        "a config file, FILE or FILE:ARGUMENT; --config.KEY=VALUE changes a key of `scaledis describe config`"
    )
    overrides: Mapping[str, Any] = overrides()

    @property
    def file(self) -> str | None:
        """FILE or FILE:ARGUMENT of the config; None if none is given."""
        return self.config

    @property
    def short(self) -> Mapping[str, object]:
        """The keys of the config that have a flag of their own, with the value of the flag; None if it is not given."""
        return {}

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
        """The names that the config file defines, such as its sweeps; {} without a file."""
        return self.loaded.namespace if self.loaded else {}

    @property
    def settings(self) -> Data:
        """The section `data` of the config, by default that of the schema, with the changes of the command."""
        return freeze(self.loaded.config if self.loaded else self.changed(defaults())).data

    def changed(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the config with the changes of the command.

        Raises UserError for an unknown key, and for one whose own flag has another value.
        """
        values = flatten(config)
        changes = {
            key: typed(
                key, literal(value) if isinstance(value, str) and not isinstance(values.get(key), str) else value
            )
            for key, value in self.overrides.items()
        }
        for key, value in self.short.items():
            if value is not None and changes.setdefault(key, value) != value:
                raise UserError(f"--config.{key}: {changes[key]!r} is not the {value!r} of its own flag; give one.")
        return override(config, changes, "--config")


@dataclass
class Experiment(Configured):
    """A command on the runs of a config with its sweeps or, without a config, on those of a work directory."""

    workdir: str | Path | None = option("the directory of all results (default: runs/NAME of the config)")
    sweep: tuple[str, ...] = option(
        "a sweep by its name, seeds:5, or key=value,value; given several times: the product of all", ()
    )
    data: str | None = option("the data set; short for --config.data.name")
    steps: int | None = option("the step to train to; short for --config.train.steps", parse=whole)
    seeds: int | None = option("the number of seeds; short for --sweep=seeds:N", parse=whole)

    @property
    def sweeps(self) -> list[str]:
        """The sweeps, one by one."""
        names = [name for words in self.sweep for name in ([words] if "=" in words else words.split(","))]
        return names + ([] if self.seeds is None else [f"seeds:{self.seeds}"])

    @property
    def short(self) -> Mapping[str, object]:
        return {"data.name": self.data, "train.steps": self.steps}

    @property
    def directory(self) -> Workdir:
        """The work directory. Raises UserError if neither it nor a config is given."""
        if self.workdir is None and self.file is None:
            raise UserError("--config: missing; name a config or a method, or give --workdir of an experiment.")
        return Workdir(self.workdir or Path("runs") / config_file.title(str(self.file)))

    def expanded(self, config: Mapping[str, Any]) -> list[Run]:
        """Returns the runs of a config with the sweeps of the command."""
        return expand(config, self.sweeps, self.namespace)

    def runs(self) -> list[Run]:
        """Returns the runs of the config with its sweeps; without a config, those of the work directory."""
        if self.loaded:
            return self.expanded(self.loaded.config)
        if self.sweeps:
            raise UserError("--sweep: it needs a config; give one by its name or with --config.")
        self.directory.claimed()  # raises UserError for a directory without an experiment, before anything is written
        runs = self.directory.runs()
        if not (self.overrides or self.data or self.steps):
            return runs
        return [run._replace(config=freeze(self.changed(thaw(run.config)))) for run in runs]

    def record(self) -> Mapping[str, Any]:
        """Returns what the work directory keeps of the command: the config, the sweeps and the command line."""
        if self.loaded:
            return {"config": self.loaded.config, "sweep": self.sweeps, "command": self.line()}
        return self.directory.claimed()


@dataclass
class Named(Experiment):
    """A command on an experiment whose config can be given by its name."""

    name: str | None = positional("a config (quickstart, table1:paper, mine.py) or a method (scale_vlae)", default=None)

    @property
    def file(self) -> str | None:
        if self.name is None:
            return self.config
        if self.config is not None:
            raise UserError(f"--config: {self.config} and the name {self.name} are two configs; give one.")
        return config_file.find(self.name, self.data or self.overrides.get("data.name"))

    def expanded(self, config: Mapping[str, Any]) -> list[Run]:
        """Returns the runs of a config with the sweeps of the command.

        Raises UserError for a sweep over data sets for which a method has different settings.
        """
        runs = super().expanded(config)
        if self.name in methods.specs():
            own, settings_for = self.settings.name, methods.choose(self.name).settings_for
            for name in {run.config.data.name: None for run in runs}:
                if settings_for(name) != settings_for(own):
                    found = f"{self.name} has other settings for {name} than for {own}"
                    raise UserError(f"--sweep: {found}; give --data={name} in a command of its own.")
        return runs


@dataclass
class Distributed(Command):
    """A command that several processes can run together."""

    distributed: bool = option("join the processes that SLURM, Open MPI, Kubernetes or a TPU pod has started", False)
    coordinator: str | None = option(
        "host:port of the first process; needed, with --processes and --process, if no cluster is detected"
    )
    processes: int | None = option("the number of processes", parse=whole)
    process: int | None = option("the number of this process, from 0", parse=whole)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Joins the other processes. An error is printed in this process before it ends all of them."""
        address = self.coordinator, self.processes, self.process
        if not self.distributed and address == (None, None, None):
            yield
            return
        with hosts.joined(*address), sentences():
            yield
