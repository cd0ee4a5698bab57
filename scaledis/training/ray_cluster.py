"""One sweep on a Ray cluster: each population is a task on a node with room for it. `pip install scaledis[ray]`.

Ray places the tasks, and restarts one whose worker or node was lost. The task goes on from its checkpoint, since all
nodes share the work directory. Ray's dashboard shows the tasks and keeps their output.
"""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import jax

from scaledis.core import hosts, runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.training import engine, memory
from scaledis.training.engine import Groups, Job
from scaledis.training.progress import SweepProgress
from scaledis.types import Run

RETRIES = 10  # restarts of a population whose worker was lost
PATIENCE = 1.0  # seconds between two looks at the signal that asks to stop


def leave_devices() -> None:
    """Keeps this process off the accelerators of its machine, which belong to the tasks. Call before JAX computes."""
    jax.config.update("jax_platforms", "cpu")


def train_all(job: Job, stop: Callable[[], bool] = runtime.never) -> Groups:
    """`stages.train_all` on the cluster at $RAY_ADDRESS, or on this machine, which is then a cluster of one node.

    A population takes one GPU where the cluster has any, else a core for each run that its node trains at once. The
    plan too is made by a task, on a device like those that train; this process needs none. A population that fails
    leaves the others alone; its error is raised when they have ended.

    Raises UserError if Ray is missing or cannot be reached, and for a shard; and what the populations raise.
    """
    if not job.shard.whole:
        raise UserError(f"--shard: {job.shard} cannot be one of several with --engine=ray, which spreads all of them.")
    if not hosts.alone():
        raise UserError("--distributed: cannot go with --engine=ray, whose tasks train alone.")
    if job.base.get("halving") or any(run.config.train.rungs for run in job.runs):
        raise UserError("--engine: ray trains each population to its end; runs with rungs need the local one.")
    ray = _connect()
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(max_calls=1, max_retries=RETRIES, retry_exceptions=[Stopped])  # a process a task
    planning = task(_plan).options(name="plan", num_gpus=gpus)
    plan: tuple[Groups, int] = _get(ray, planning.remote(os.getcwd(), job))
    groups, devices = plan
    numbers, failed = {}, []
    for index, group in enumerate(groups):
        needed = {"num_gpus": gpus} if gpus else {"num_cpus": min(len(group), devices)}
        training = task(_train).options(name=f"population {index}: {group[0].name}", **needed)
        numbers[training.remote(os.getcwd(), job, group, index, len(groups))] = index
    waiting = list(numbers)
    while waiting:
        done, waiting = ray.wait(waiting, timeout=PATIENCE)
        for each in done:
            try:
                diverged = _get(ray, each)
                ended = f"is done, {diverged} of its runs diverged" if diverged else "is done"
            except UserError as error:
                failed.append(error)
                ended = f"failed: {error}"
            print(f"population {numbers[each]} {ended}; {len(waiting)} of {len(groups)} are left", file=sys.stderr)
        if waiting and stop():
            for each in waiting:
                ray.cancel(each)  # as an interrupt: it writes a checkpoint
            ray.wait(waiting, num_returns=len(waiting))
            raise Stopped("Stopped with a checkpoint of every population")
    if failed:
        raise UserError(f"{len(failed)} of {len(groups)} populations failed, the others are done: {failed[0]}")
    return groups


def _connect() -> Any:
    """Returns Ray, connected to its cluster. Raises UserError if Ray is missing or no cluster can be reached."""
    try:
        import ray
    except ImportError as error:
        raise UserError("--engine: ray needs Ray; pip install scaledis[ray].") from error
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"os.fork\(\) was called", RuntimeWarning)  # only to start Ray
            ray.init(ignore_reinit_error=True, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError) as error:
        raise UserError(f"--engine: no Ray cluster can be reached: {error}") from error
    for number, handler in handlers.items():  # Ray's own would end this process before the tasks
        signal.signal(number, handler)
    return ray


def _get(ray: Any, task: Any) -> Any:
    """Returns what a task returned. Raises its UserError, or for any other error Ray's, with the task's traceback."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise
    except ray.exceptions.RayError as error:
        raise UserError(f"--engine: Ray gave a task up after {RETRIES} new starts: {error}") from error


def _plan(directory: str, job: Job) -> tuple[Groups, int]:
    """Returns which runs train together, by the devices of a worker, and how many devices it has."""
    _begin(directory)
    return job.workdir.claim(job.base, job.runs, job.extend, at_once=memory.together), jax.device_count()


def _train(directory: str, job: Job, group: list[Run], index: int, count: int) -> int:
    """Trains and scores a population in a worker, and returns how many of its runs diverged."""
    _begin(directory)
    progress = SweepProgress({index: (len(group), group[0].config.train.steps)})
    with job.workdir.locked_population(index, count), runtime.stopping() as stop:
        return engine.train_group(job, group, index, progress, stop)


def _begin(directory: str) -> None:
    """Brings a worker to the directory of the command, for relative paths. Raises UserError if its node lacks it."""
    runtime.prepare()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ray cancels by it; a parent under nohup ignored it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray's own handler would end it without a checkpoint
    try:
        os.chdir(directory)
    except OSError as error:
        raise UserError(f"--engine: a node of the cluster lacks {directory}; all nodes share one checkout.") from error
