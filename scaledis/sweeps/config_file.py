"""The file of --config, and how the command line reads the values of its keys."""

import contextlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from scaledis import methods
from scaledis.config import typed
from scaledis.core import kinds
from scaledis.core.errors import UserError
from scaledis.sweeps.configs import default

MODULE = "config_file"  # the name under which a config file is imported
EDITED = "get_config must return default(), edited"


class Raised(Exception):
    """A config file raised its __cause__, of which absl would make an error of the flag."""


class ConfigFile(flags.ArgumentParser):
    """Parser of FILE and FILE:ARGUMENT, which gives what get_config() and get_config(ARGUMENT) of the file return."""

    def parse(self, argument: str) -> Any:
        """The config, locked, with plain values. A ValueError or TypeError of the file's own code comes as Raised.

        Raises UserError for a file that cannot be read or is no Python, for one that has no get_config for these
        arguments or ends the process, and for a config that lacks a section or a key.
        """
        path, colon, rest = argument.partition(":")
        given = [rest] if colon else []
        try:
            get_config = getattr(_imported(path), "get_config", None)
            if not callable(get_config):
                raise UserError(f"--config: {path} defines no function get_config.")
            if not kinds.takes(get_config, *given):
                called = f"get_config({', '.join(map(repr, given))})"
                taken = inspect.signature(get_config)
                raise UserError(f"--config: {argument} calls {called}, but the file has get_config{taken}.")
            config = get_config(*given)
        except UserError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise Raised from error
        except SystemExit as end:
            raise UserError(f"--config: {path} calls sys.exit({end.code!r}); {EDITED}.") from end
        if not isinstance(config, Mapping | ConfigDict):
            return config  # `configs.freeze` refuses it
        config = ConfigDict(config)
        _check_complete(config)
        _make_plain(config)
        config.lock()
        return config


class Whole(flags.IntegerParser):
    """Parser of whole numbers: 5000, 5_000 and 5e3."""

    def convert(self, argument: int | str) -> int:
        with contextlib.suppress(ValueError):
            return super().convert(argument)
        with contextlib.suppress(ValueError, OverflowError):
            if (number := float(argument)).is_integer():
                return int(number)
        raise ValueError("it must be a whole number")


class TrueOrFalse(flags.BooleanParser):
    """absl's parser of flags, with a sentence for anything else."""

    def parse(self, argument: str | int) -> bool:
        try:
            return super().parse(argument)
        except (ValueError, TypeError):
            raise ValueError("it must be true or false") from None


def define(name: str, about: str) -> flags.FlagHolder:
    """The flag `name`, which takes a config file and, behind it, its keys: --<name>.train.steps=3e5."""
    for kind, parser in {int: Whole(), bool: TrueOrFalse()}.items():
        config_flags.register_flag_parser_for_type(kind, parser)
    holder = config_flags.DEFINE_config_file(name, None, about)
    flags.FLAGS[name].parser = ConfigFile()
    return holder


def _imported(path: str) -> ModuleType:
    """The module of the file. Raises UserError for one that cannot be read or is no Python."""
    loader = SourceFileLoader(MODULE, path)
    try:
        code = loader.source_to_code(loader.get_data(path), path)
    except OSError as error:
        near = ", ".join(sorted(map(str, Path("configs").glob("*.py")))) or "none in configs/"
        raise UserError(f"--config: {path} cannot be read; there are {near}.") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"--config: {path} is not a Python file: {' '.join(str(error).split())}.") from error
    module = importlib.util.module_from_spec(ModuleSpec(MODULE, loader, origin=path))
    module.__file__ = path
    sys.modules[MODULE] = module  # where its classes look for themselves
    exec(code, module.__dict__)
    return module


def _check_complete(config: ConfigDict) -> None:
    """Raises UserError for a section or key that is missing: its default would stand there without a word."""
    for section, keys in default().to_dict().items():
        if section not in config:
            raise UserError(f"config.{section}: is missing; {EDITED}.")
        held = config[section]
        if not isinstance(held, ConfigDict):
            continue  # seed, or what `configs.freeze` refuses
        if section == "method":
            name = held.get("name")
            keys = ["name", *(methods.choose(name, "config.method.name").hyperparameters if name else ())]
        for key in keys:
            if key not in held:
                raise UserError(f"config.{section}.{key}: is missing; {EDITED}.")


def _make_plain(config: ConfigDict) -> None:
    """Replaces what numpy, JAX or a path stands for by Python's values, whose types the flags of the keys know."""
    with config.ignore_type(), config.unlocked():
        for section, held in config.items():
            if isinstance(held, ConfigDict):
                for key, value in held.items():
                    held[key] = typed(f"{section}.{key}", value)
            else:
                config[section] = typed(section, held)
