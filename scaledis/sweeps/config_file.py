"""Config files: found by name, or given by their path; each is imported once."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import scaledis
from scaledis import methods
from scaledis.config import typed
from scaledis.core import UserError, kinds, registry
from scaledis.sweeps.configs import default, is_section

MODULE = "config_file"  # the name under which a config file is imported
EDITED = "get_config must return default(), edited"
METHOD = "method"  # the config that has a method and a data set as its argument
_package = Path(scaledis.__file__).parent
CONFIGS = next(filter(Path.is_dir, (_package / "configs", _package.parent / "configs")), _package)  # wheel, checkout


class ConfigFile(NamedTuple):
    """A config file: `config` has the sections as nested dicts, `namespace` all names that the file defines."""

    config: dict[str, Any]
    namespace: Mapping[str, object]


def names() -> list[str]:
    """Returns the names of the configs of the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.py"))


def find(name: str, data: str | None = None) -> str:
    """Returns FILE or FILE:ARGUMENT for a config, CONFIG:ARGUMENT, a path, or a method, which trains on `data`.

    Raises UserError for a name that is neither a config nor a method.
    """
    stem, colon, argument = name.partition(":")
    if stem.endswith(".py"):
        return name
    if stem in names():
        return f"{CONFIGS / stem}.py{colon}{argument}"
    registry.check("name of a config or a method", name, {*names(), *methods.specs()})
    return f"{CONFIGS / METHOD}.py:{name}" + (f",{data}" if data else "")


def title(file: str) -> str:
    """Returns the name that FILE or FILE:ARGUMENT gives its work directory: the stem, or the method and data set."""
    path, _, argument = file.partition(":")
    stem = Path(path).stem
    return argument.replace(",", "-") if stem == METHOD and argument else stem


def load(file: str) -> ConfigFile:
    """Returns what get_config() of FILE, or get_config(ARGUMENT) of FILE:ARGUMENT, returns, with plain values.

    Raises UserError for a file that cannot be read or is not Python, for a file without a get_config for these
    arguments, and for a config that lacks a section or a key. Other exceptions of the file keep their traceback.
    """
    path, colon, argument = file.partition(":")
    arguments = [argument] if colon else []
    try:
        module = _imported(path)
        get_config = getattr(module, "get_config", None)
        if not callable(get_config):
            raise UserError(f"--config: {path} defines no function get_config.")
        if not kinds.takes(get_config, *arguments):
            called = f"get_config({', '.join(map(repr, arguments))})"
            found = f"get_config{inspect.signature(get_config)}"
            raise UserError(f"--config: {file} calls {called}, but the file has {found}.")
        config = get_config(*arguments)
    except SystemExit as end:
        raise UserError(f"--config: {path} calls sys.exit({end.code!r}); {EDITED}.") from end
    except (KeyError, AttributeError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if "ml_collections" not in frame.f_code.co_filename:
            raise  # a bug in the config file
        innermost = error.args[0] if isinstance(error.args[0], KeyError) else error
        raise UserError(f"--config: unknown key {' '.join(str(innermost.args[0]).split())}") from error
    if not is_section(config):
        raise UserError(f"config: {type(config).__name__} is not a config; {EDITED}.")
    return ConfigFile(_plain(dict(config) if isinstance(config, Mapping) else config.to_dict()), vars(module))


def _imported(path: str) -> ModuleType:
    """Imports the file. Raises UserError for a file that cannot be read or is not Python."""
    loader = SourceFileLoader(MODULE, path)
    try:
        code = loader.source_to_code(loader.get_data(path), path)
    except OSError as error:
        known = f"these configs can be given by name: {', '.join(names())}"
        raise UserError(f"--config: {path} cannot be read; {known}.") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"--config: {path} is not a Python file: {' '.join(str(error).split())}.") from error
    module = importlib.util.module_from_spec(ModuleSpec(MODULE, loader, origin=path))
    module.__file__ = path
    sys.modules[MODULE] = module  # where pickle and dataclasses look up its classes
    exec(code, module.__dict__)
    return module


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config with plain Python values in place of those of numpy and JAX.

    Raises UserError for a missing section or key, whose default would otherwise be used silently.
    """
    for section, keys in default().to_dict().items():
        if section not in config:
            raise UserError(f"config.{section}: is missing; {EDITED}.")
        values = config[section]
        if not isinstance(values, dict):
            config[section] = typed(section, values)  # seed, or a value that `configs.freeze` refuses
            continue
        if section == "method":
            name = values.get("name")
            keys = ["name", *(methods.choose(name, "config.method.name").hyperparameters if name else ())]
        for key in keys:
            if key not in values:
                raise UserError(f"config.{section}.{key}: is missing; {EDITED}.")
        config[section] = {key: typed(f"{section}.{key}", value) for key, value in values.items()}
    return config
