"""Several processes as one: the same command on every host, joined by JAX's own coordination service.

Each process advances the runs of its own devices, and the steps need no other. Numbers of all runs are fetched from
all; states are written by all, and everything else by the first. Alone, a process is the first of one.

As soon as JAX learns that another process is gone it aborts this one, with a trace of C++. `joined` makes one sentence
and one exit code of that.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from jax._src import distributed  # the client of the coordination service has no public name
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from scaledis.core.errors import UserError

JOINING = 60  # seconds until processes that have not met are given up
HEARTBEAT = 25  # seconds until a process that is silent is gone
LONGEST = 7 * 24 * 3600  # seconds that a process waits for others that are there
GONE = 6  # the exit code where another process is gone: that of the signal SIGABRT
ENDED = "scaledis/ended/"
LOOK = 0.5  # seconds between two looks at whether another process has ended
_waits = itertools.count()


@contextlib.contextmanager
def joined(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> Iterator[None]:
    """This process as one of several; without arguments, of those that SLURM, Open MPI, Kubernetes or a TPU started.

    An exit code other than 0, and an exception, end all of them with the same code.

    Args:
      coordinator: host:port of the first process.
      processes: how many there are.
      process: which one this is, from 0.

    Raises UserError where no cluster is found, and for arguments that cannot be.
    """
    _check(coordinator, processes, process)
    with _last_words(coordinator or "the first process"):
        jax.config.update("jax_enable_preemption_service", False)  # signals are ours, see runtime.stopping
        try:
            jax.distributed.initialize(
                coordinator, processes, process, initialization_timeout=JOINING, heartbeat_timeout_seconds=HEARTBEAT
            )
        except ValueError as error:
            raise UserError(
                f"--distributed: no cluster is found here ({error}); give --coordinator=host:port, --processes=n and "
                "--process=i."
            ) from error
        ended = threading.Event()
        threading.Thread(target=_follow, args=(ended,), daemon=True).start()
        try:
            yield
        except SystemExit as end:
            ended.set()
            _leave(end.code if isinstance(end.code, int) else 1)
        except jax.errors.JaxRuntimeError:
            time.sleep(1.5 * HEARTBEAT)  # if the reason is that another process is gone, JAX ends this one by then
            traceback.print_exc()
            _leave(1)
        except Exception:
            traceback.print_exc()
            _leave(1)
        wait()
        ended.set()
        jax.distributed.shutdown()


def alone() -> bool:
    """Whether there is no other process."""
    return jax.process_count() == 1


def first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def wait() -> None:
    """Waits until every process is here."""
    if not alone():
        _client().wait_at_barrier(f"scaledis/{next(_waits)}", LONGEST * 1000)


def fetch(tree: Any) -> Any:
    """Arrays that are spread over all processes, as numpy arrays in each of them."""
    if alone():
        return jax.device_get(tree)
    wait()  # a collective gives up on a process that is late
    return multihost_utils.process_allgather(tree, tiled=True)


def gathered(tree: Any) -> Any:
    """Arrays that are spread over all processes, so that each can compute with all of them alone."""
    return tree if alone() else fetch(tree)


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays that every process has, laid out over the devices of all."""
    if alone():
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(put, tree)


def any_process(value: bool) -> bool:
    """Whether it holds in any process; the same answer in all."""
    return value if alone() else bool(fetch(np.asarray([value])).any())


def first_process(value: bool) -> bool:
    """Whether it holds in the first process; the same answer in all."""
    return value if alone() else any_process(value and first())


def _client() -> Any:
    """Of JAX's coordination service."""
    assert distributed.global_state.client
    return distributed.global_state.client


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [flag for flag, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise UserError(f"{missing[0]}: missing; give --coordinator=host:port, --processes=n and --process=i, or none.")
    if coordinator is not None and not coordinator.rpartition(":")[2].isdecimal():
        raise UserError(f"--coordinator: {coordinator!r} must be host:port.")
    if processes is not None and process is not None and not 0 <= process < processes:
        raise UserError(f"--process: {process} must be from 0 to {processes - 1}, one less than --processes.")


@contextlib.contextmanager
def _last_words(coordinator: str) -> Iterator[None]:
    """Standard error passes through `last_words`, and an abort ends with the exit code `GONE`."""
    gone = "scaledis: another process of this command is gone; the same command goes on from the last checkpoint."
    not_met = f"scaledis: --coordinator: {coordinator} and all processes did not meet within {JOINING} seconds."
    script = str(Path(__file__).with_name("last_words.py"))
    sys.stderr.flush()
    own = os.dup(2)
    words = subprocess.Popen(
        [sys.executable, "-IS", script, gone, not_met], stdin=subprocess.PIPE, stderr=own, start_new_session=True
    )
    assert words.stdin
    os.dup2(words.stdin.fileno(), 2)
    words.stdin.close()
    libc = ctypes.CDLL(None)
    libc.signal(int(signal.SIGABRT), ctypes.cast(libc._exit, ctypes.c_void_p))
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(own, 2)
        os.close(own)
        words.wait()


def _follow(ended: threading.Event) -> None:
    """Ends this process once another one has ended."""
    own = jax.process_index()
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # the first process is gone: JAX ends this one
        while not ended.wait(LOOK):
            for _, value in _client().key_value_dir_get(ENDED):
                process, code = map(int, value.split())
                if process != own:
                    print(f"scaledis: process {process} has ended, and so does this one.", file=sys.stderr)
                    _exit(code)


def _leave(code: int) -> NoReturn:
    """Ends this process, and all others with the same code."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        index = jax.process_index()
        _client().key_value_set(f"{ENDED}{index}", f"{index} {code}")
        time.sleep(4 * LOOK)  # until the others have seen it
    _exit(code)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
