"""Errors of the storage below orbax, in one line and printed once."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from absl import logging


def first_line(error: Exception) -> str:
    """Returns the operating system's message, without the paths and settings that the storage adds to it."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def errors_once() -> Iterator[None]:
    """Silences the threads of orbax, which print the error of a failed write although it is raised.

    Writes that end after the first error report to a closed event loop. That complaint stays silent once a write has
    failed, since some of it comes after the error is raised.
    """
    logger, hook = logging.get_absl_logger(), sys.unraisablehook

    def without_closed_loops(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    disabled, logger.disabled, sys.unraisablehook = logger.disabled, True, without_closed_loops
    try:
        yield
        sys.unraisablehook = hook
    finally:
        logger.disabled = disabled
