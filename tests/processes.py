"""Commands in processes of their own, which can be killed. They are forks of one that has imported everything."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType

from tests import linear


def start(*arguments: str, output: Path, environment: Mapping[str, str] = MappingProxyType({})) -> BaseProcess:
    """Starts the command line of `tests.linear`; what it says goes to the end of the file `output`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.processes"])
    process = context.Process(target=_run, args=(arguments, output, dict(environment)))
    process.start()
    return process


def _run(arguments: tuple[str, ...], output: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with open(output, "a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.argv = ["scaledis", "--config=tests/tiny_config.py", "--config.method.name=linear", *arguments]
    linear.run()
