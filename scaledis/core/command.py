"""Commands as dataclasses: each field is an argument of the command line and of the class in Python."""

import argparse
import contextlib
import dataclasses
import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

from scaledis.core import UserError, kinds, registry

UNITS = {"s": 1, "m": 60, "h": 3600}
OVERRIDE = "--config."
Field = dataclasses.Field[Any]


class Command:
    """A command: its fields are the arguments, its docstring is the help, and `execute` runs it.

    Attributes:
      word: the name of the command.
      computes: True for a command that needs JAX.
    """

    word: ClassVar[str]
    computes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field in _fields(type(self)):
            kinds.check(field.name, getattr(self, field.name), kinds.hints(type(self))[field.name])

    def execute(self) -> None:
        """Runs the command. Raises UserError for arguments that it cannot run with."""
        raise NotImplementedError

    def line(self) -> str:
        """Returns the command line of these arguments, without those at their defaults."""
        places: list[object] = []
        flags: list[object] = []
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, Mapping):
                flags += [f"{OVERRIDE}{key}={each}" for key, each in value.items()]
            elif value == field.default:
                continue
            elif field.metadata["positional"]:
                places += value if isinstance(value, list | tuple) else [value]
            elif isinstance(value, bool):
                flags.append(f"--{field.name}")
            elif isinstance(value, list | tuple) and not field.metadata["commas"]:
                flags += [f"--{field.name}={each}" for each in value]
            else:
                flags.append(f"--{field.name}={','.join(value) if isinstance(value, list | tuple) else value}")
        return shlex.join(map(str, ["scaledis", self.word, *places, *flags]))


Some = TypeVar("Some", bound=Command)


def positional(about: str, **options: Any) -> Any:
    """Returns a field that the command line gives by its place; `options` are those of dataclasses.field."""
    return dataclasses.field(metadata={"about": about, "positional": True}, **options)


def option(about: str, default: Any = None, parse: Callable[[str], Any] = str, commas: bool = False) -> Any:
    """Returns a field that the command line gives by its name, --name=value.

    A default of False makes a switch. A default that is a tuple takes several values: separated by commas, or with one
    flag each.
    """
    metadata = {"about": about, "positional": False, "parse": parse, "commas": commas}
    return dataclasses.field(default=default, kw_only=True, metadata=metadata)


def overrides() -> Any:
    """Returns the field of the overrides of a config, --config.key=value: {dotted key: value, or its text}."""
    return dataclasses.field(default_factory=dict, kw_only=True, metadata={"positional": False})


def whole(text: str) -> int:
    """Returns 5000 for "5000", "5_000" and "5e3". Raises ArgumentTypeError for anything but a whole number."""
    with contextlib.suppress(ValueError, OverflowError):
        return int(text)
    with contextlib.suppress(ValueError, OverflowError):
        if (number := float(text)).is_integer():
            return int(number)
    raise argparse.ArgumentTypeError(f"{text!r} must be a whole number.")


def names(text: str) -> tuple[str, ...]:
    """Returns ("dci", "mig") for "dci,mig"."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def seconds(key: str, text: str | None) -> float | None:
    """Returns "90s", "50m" or "1.5h" in seconds; None for None. Raises UserError, naming `key`, for anything else."""
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d+\.?\d*|\.\d+)([smh])", text)):
        raise UserError(f"{key}: {text!r} must be a number with its unit, such as 90s, 50m or 1.5h.")
    return float(match[1]) * UNITS[match[2]]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").rstrip(".")
        raise UserError(f"{message}; `{self.prog} --help` lists the arguments.")


def parse(command: type[Some], argv: Sequence[str], program: str = "") -> Some:
    """Returns the command with the arguments of the command line.

    Raises UserError for a value that cannot be read, and UnknownFlag for a flag that the command lacks.
    """
    places = [field for field in _fields(command) if field.metadata["positional"]]
    shown = [field.name if field.default is dataclasses.MISSING else f"[{field.name}]" for field in places]
    program = program or f"scaledis {command.word}"
    usage, lines_kept = " ".join([program, *shown, "[--flag=value ...]"]), argparse.RawDescriptionHelpFormatter
    parser = _Parser(program, usage, inspect.getdoc(command), formatter_class=lines_kept, allow_abbrev=False)
    for field in _fields(command):
        if "about" in field.metadata:
            name, options = _argument(field)
            parser.add_argument(name, help=_help(field), **options)
    keys, rest = _split(argv) if takes_keys(command) else ({}, list(argv))
    given, surplus = parser.parse_known_intermixed_args(rest)
    if flags := [word.partition("=")[0] for word in surplus if word.startswith("-")]:
        raise UnknownFlag(flags[0], flags_of(command))
    if surplus:
        parser.error(f"{surplus[0]!r} is one argument too many")
    values = {name: value for name, value in vars(given).items() if value is not None}
    return command(**values, **({"overrides": keys} if keys else {}))


def _help(field: Field) -> str:
    """Returns the help of a field: its meaning, and its default unless the meaning names it or there is none."""
    about, default = field.metadata["about"], field.default
    if default is False or default in (None, (), dataclasses.MISSING) or "default" in about:
        return str(about)
    return f"{about} (default: {','.join(default) if isinstance(default, tuple) else default})"


def _argument(field: Field) -> tuple[str, dict[str, Any]]:
    """Returns the name of a field's argument and its options for argparse."""
    about, default, many = field.metadata, field.default, isinstance(field.default, tuple)
    if about["positional"]:
        if default is dataclasses.MISSING:
            return field.name, {}
        return field.name, {"nargs": "*" if many else "?", "default": default}
    if default is False:
        return f"--{field.name}", {"action": "store_true"}
    if many and not about["commas"]:
        return f"--{field.name}", {"action": "append"}
    return f"--{field.name}", {"type": about["parse"], "default": default}


class UnknownFlag(UserError):
    """A flag that a command lacks."""

    def __init__(self, flag: str, choices: Iterable[str]):
        choices = list(choices)
        super().__init__(str(registry.unknown("flag", flag, choices)))
        self.flag, self.near = flag, registry.near(flag, choices)


def takes_keys(command: type[Command]) -> bool:
    """Returns whether a command takes the keys of a config."""
    return any("about" not in field.metadata for field in _fields(command))


def flags_of(command: type[Command]) -> set[str]:
    """Returns the flags of a command, such as --workdir."""
    return {f"--{field.name}" for field in _fields(command) if "parse" in field.metadata}


def _fields(command: type[Command]) -> list[Field]:
    return list(dataclasses.fields(command))  # type: ignore[arg-type]  # each command is a dataclass


def _split(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Returns the overrides of a config, --config.key=value or --config.key value, and the other words."""
    keys, rest, words = {}, [], iter(argv)
    for word in words:
        if not word.startswith(OVERRIDE):
            rest.append(word)
            continue
        key, equals, text = word.removeprefix(OVERRIDE).partition("=")
        value = text if equals else next(words, None)
        if value is None:
            raise UserError(f"{word}: the value is missing; give {word}=value.")
        keys[key] = value
    return keys, rest
