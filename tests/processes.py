"""Commands in processes of their own, which can be killed. They are forks of one that has imported everything."""

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import jax

from scaledis.core import hosts
from tests import linear


def start(*arguments: str, output: Path, heartbeat: float = 25, devices: int = 1) -> BaseProcess:
    """Starts the command line of `tests.linear` on `devices` devices; what it says goes to the end of `output`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.processes"])
    process = context.Process(target=_run, args=(arguments, output, heartbeat, devices))
    process.start()
    return process


def _run(arguments: tuple[str, ...], output: Path, heartbeat: float, devices: int) -> None:
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    jax.config.update("jax_num_cpu_devices", devices)
    with open(output, "a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    hosts.HEARTBEAT = heartbeat
    sys.argv = ["scaledis", "--config=tests/tiny_config.py", "--config.method.name=linear", *arguments]
    linear.run()
