"""What a user can mend, apart from what is a bug; and how a command says it."""

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
    """A signal asked to stop; the state is in a checkpoint. The message says where, and nothing of how to go on."""


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """What a user can mend is said in one sentence instead of a traceback, and ends the process with 2.

    A stop ends it with 130, a reader that has seen enough, such as `head`, with 141. Letters that the terminal cannot
    show are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a file whose descriptor has become that of a pipe cannot seek
                stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except Stopped as stopped:
        print(f"{stopped}; the same command goes on from there.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except UserError as error:
        end(error)


def end(message: object) -> NoReturn:
    """Says a sentence, and ends the process with 2."""
    print(f"scaledis: {message}", file=sys.stderr)
    sys.exit(2)
