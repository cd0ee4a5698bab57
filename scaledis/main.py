"""The command line: `scaledis COMMAND`, or `python -m scaledis.main COMMAND`; without a command it is `train`."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from scaledis import commands
from scaledis.core import registry
from scaledis.core.command import OVERRIDE, Command, UnknownFlag, flags_of, parse, takes_keys
from scaledis.core.errors import UserError, sentences


class Entry(NamedTuple):
    """A command: the name of its class in scaledis.commands, and one line about it."""

    name: str
    about: str


COMMANDS = {
    "train": Entry("Train", "train, score and report runs; the same command resumes"),
    "sweep": Entry("Sweep", "train many runs: the product of sweeps over a config"),
    "demo": Entry("Demo", "train VLAE and the scale-aware ladder side by side, and compare them"),
    "evaluate": Entry("Evaluate", "score trained runs on any split, metric or step"),
    "report": Entry("Report", "write the page of an experiment and print its scores"),
    "extract": Entry("Extract", "copy one run into a new work directory"),
    "list": Entry("List", "print the names of methods, data sets, metrics, networks, criteria, sweeps and others"),
    "describe": Entry("Describe", "explain one name: a method, a metric, a data set, or all keys of a config"),
    "prepare": Entry("Prepare", "download, verify and convert a published data set"),
    "score": Entry("Score", "compute metrics of a file of codes from any framework"),
    "explore": Entry("Explore", "open a page that moves the units of a trained model"),
}
FORMER = {f"--{word}": word for word in ("list", "describe", "prepare", "extract")}  # flags of version 0.2


def run(argv: Sequence[str]) -> None:
    """Runs the command of a command line. Raises UserError for an unknown command, flag or value."""
    word, *rest = argv or ["help"]
    if word in ("help", "--help", "-h"):
        if not rest:
            lines = [f"  scaledis {word:<10}{entry.about}" for word, entry in COMMANDS.items()]
            hint = "`scaledis COMMAND --help` has the arguments and examples of each."
            print("\n".join(["commands:", *lines, "", hint]))
            return
        word, rest = rest[0], ["--help"]
    if word.startswith("-"):
        word, rest = "train", list(argv)
    entry = registry.choose("command", word, COMMANDS)
    command = _parsed(word, getattr(commands, entry.name), rest)
    if command.computes:
        from absl import logging

        from scaledis.core import runtime

        runtime.prepare_jax()
        logging.set_verbosity(logging.WARNING)  # orbax reports every file that it opens
    command.execute()


def _parsed(word: str, command: type[Command], argv: Sequence[str]) -> Command:
    """Returns the command with its arguments. The error for an unknown flag names the command or key that has it."""
    try:
        return parse(command, argv)
    except UnknownFlag as error:
        if error.flag in FORMER:
            raise UserError(f"{error.flag}: is a command now, see `scaledis {FORMER[error.flag]} --help`.") from None
        others = [name for name, entry in COMMANDS.items() if error.flag in flags_of(getattr(commands, entry.name))]
        if not others:
            raise _spelled(error, command) from None
        *most, last = (f"`scaledis {name}`" for name in others)
        right = f"{', '.join(most)} and {last}" if most else last
        raise UserError(f"{error.flag}: `scaledis {word}` has no such flag; it belongs to {right}.") from None


def _spelled(error: UnknownFlag, command: type[Command]) -> UserError:
    """Returns the error for an unknown flag; if it resembles a key of the config, with the spelling of that key."""
    from scaledis.config import flatten
    from scaledis.sweeps import configs

    keys, word = flatten(configs.defaults()), error.flag.lstrip("-")
    meant = registry.ending(word, keys) or ([] if error.near and "." not in word else registry.near(word, keys))
    if not meant or not takes_keys(command):
        return error
    spelled = " or ".join(f"{OVERRIDE}{key}=VALUE" for key in meant)
    return UserError(f"{error.flag}: a key of the config is spelled {spelled}. {configs.ALL_KEYS}")


def console() -> None:
    """Runs the command of the process. A UserError becomes one sentence; any other exception keeps its traceback."""
    with sentences():
        run(sys.argv[1:])


if __name__ == "__main__":
    console()
