"""The errors that a user can correct, as opposed to bugs, and how a command prints them."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import NoReturn


class UserError(ValueError):
    """A wrong setting, file or input: its message is one sentence that names the key, the value and the choices.

    The command line shows the sentence alone; every other exception is a bug and keeps its traceback.
    """


class Stopped(Exception):
    """A signal asked to stop, and the state is in a checkpoint. The message says at which step, not how to resume."""


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Prints a UserError as one sentence instead of a traceback, and ends the process with 2.

    A stop ends the process with 130, and a closed pipe, such as that of `head`, with 141. Letters that the terminal
    cannot show are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a file whose descriptor has become that of a pipe cannot seek
                stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except Stopped as stopped:
        print(f"{stopped}; the same command resumes from there.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except UserError as error:
        end(error)


def end(message: object) -> NoReturn:
    """Prints a sentence on stderr, and ends the process with 2."""
    print(f"scaledis: {message}", file=sys.stderr)
    sys.exit(2)
