"""Several processes as one: the same command on every host, joined by JAX's coordination service.

Each process advances the runs of its own devices; a step needs no other process. All processes fetch the numbers of all
runs and write their own parts of a checkpoint; the first process writes everything else.

A process that fails ends alone. JAX aborts the others when its heartbeat is missed; the launcher may end them sooner
(docs/clusters.md).
"""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from scaledis.core import UserError

JOINING = 60  # seconds in which all processes must join
ADDRESSES = "--coordinator=host:port, --processes=n and --process=i"
HEARTBEAT = 25  # seconds of silence after which a process counts as dead
LONGEST = 7 * 24 * 3600  # seconds that a process waits for others that are alive
T = TypeVar("T")  # a pytree of arrays
GRACE = 1  # second in which processes that end with the first one do so by themselves; without it JAX aborts them


@contextlib.contextmanager
def joined(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> Iterator[None]:
    """Joins this process to the others of its command.

    Without arguments JAX finds the others by what SLURM, Open MPI, Kubernetes or a TPU pod sets.

    Args:
      coordinator: host:port of the first process.
      processes: the number of processes.
      process: the number of this one, from 0.

    An exception within ends this process alone, with the code of a SystemExit, else with 1.

    Raises UserError for impossible arguments, and if JAX finds no cluster.
    """
    _check(coordinator, processes, process)
    jax.config.update("jax_enable_preemption_service", False)  # runtime.stopping handles the signals
    try:
        jax.distributed.initialize(
            coordinator, processes, process, initialization_timeout=JOINING, heartbeat_timeout_seconds=HEARTBEAT
        )
    except ValueError as error:
        raise UserError(f"--distributed: JAX finds no cluster ({error}); give {ADDRESSES}.") from error
    try:
        yield
    except BaseException as error:
        _leave(error)
    wait()
    jax.distributed.shutdown()


def alone() -> bool:
    """Returns whether this is the only process."""
    return bool(jax.process_count() == 1)


def first() -> bool:
    """Returns whether this process writes logs, scores and results."""
    return jax.process_index() == 0


def wait() -> None:
    """Waits until every process calls it. Unlike a collective, it does not give up on a process that is late."""
    ocp.multihost.get_barrier_sync_fn()(key="scaledis", timeout_ms=LONGEST * 1000)


def fetch(tree: Any) -> Any:
    """Returns arrays that are spread over all processes as numpy arrays, in every process."""
    if alone():
        return jax.device_get(tree)
    wait()  # a collective gives up on a process that is late
    return multihost_utils.process_allgather(tree, tiled=True)


def gathered(tree: T) -> T:
    """Returns arrays that are spread over all processes so that each process can compute with them alone."""
    held: T = tree if alone() else fetch(tree)
    return held


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Lays out arrays that every process holds over the devices of all processes."""

    def put(leaf: jax.Array | np.ndarray) -> jax.Array:
        values = np.asarray(leaf)
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    return jax.device_put(tree, sharding) if alone() else jax.tree.map(put, tree)


def any_process(value: bool) -> bool:
    """Returns, in every process, whether `value` is True in any process."""
    return value if alone() else bool(fetch(np.asarray([value])).any())


def from_first(values: np.ndarray) -> np.ndarray:
    """Returns, in every process, the array of the first process; the arrays of all processes have one shape."""
    return values if alone() else fetch(values)[: len(values)]


def _leave(error: BaseException) -> NoReturn:
    """Ends this process with the exit code of its error; a normal exit would wait for the others, and then abort."""
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    if first():
        time.sleep(GRACE)
    os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    flags = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [flag for flag, value in flags.items() if value is None]
    if missing and len(missing) < len(flags):
        raise UserError(f"{missing[0]}: missing; give {ADDRESSES}, or none.")
    if coordinator is not None and not coordinator.rpartition(":")[2].isdecimal():
        raise UserError(f"--coordinator: {coordinator!r} must be host:port.")
    if processes is not None and process is not None and not 0 <= process < processes:
        raise UserError(f"--process: {process} must be from 0 to {processes - 1}, one less than --processes.")
