"""A job on a Ray cluster: each population is a task on a node with room for it. `pip install scaledis[ray]`.

Ray places the tasks, and restarts one whose worker or node was lost. The task goes on from its checkpoint, since all
nodes share the work directory. Ray's dashboard shows the tasks and keeps their output.
"""

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from scaledis.core import hosts, runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.search import packing, stages
from scaledis.search.packing import Pack
from scaledis.search.stages import Works
from scaledis.training import engine
from scaledis.training.engine import Groups, Job
from scaledis.training.progress import SweepProgress
from scaledis.types import Run

RETRIES = 10  # restarts of a population whose worker was lost
PATIENCE = 1.0  # seconds between two looks at the signal that asks to stop


def leave_devices() -> None:
    """Keeps this process off the accelerators of its machine, which belong to the tasks. Call before JAX computes."""
    jax.config.update("jax_platforms", "cpu")


def train_all(job: Job, stop: Callable[[], bool] = runtime.never) -> Groups:
    """Trains a job as `stages.train_on` does, on the cluster at $RAY_ADDRESS; without it, this machine is the cluster.

    A population takes one GPU if the cluster has any, else a core for each run that its node trains at once. Tasks also
    make the plan, and the first checkpoints after a rung, on devices like those that train. This process needs no
    device; it decides which runs go on. If a population fails, its error is raised once the others have reached their
    rung or their end.

    Raises UserError if Ray is missing or cannot be reached, and for a shard; and what the populations raise.
    """
    if not job.shard.whole:
        raise UserError(f"--shard: {job.shard} cannot be one of several with --engine=ray, which spreads all of them.")
    if not hosts.alone():
        raise UserError("--distributed: cannot go with --engine=ray, whose tasks train alone.")
    cluster = Cluster(_connect())
    return stages.train_on(Works(cluster.claim, cluster.write, cluster.train), job, stop)


class Task(NamedTuple):
    """A call of `function(job, *arguments)` in a worker, that advances so many runs; `name` is for Ray's dashboard."""

    name: str
    runs: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class Cluster:
    """The works of an engine (`stages.Works`) as tasks of a cluster."""

    def __init__(self, ray: Any):
        self._ray, self._devices = ray, 1
        self._gpus = 1 if ray.cluster_resources().get("GPU") else 0
        self._call = ray.remote(max_calls=1, max_retries=RETRIES, retry_exceptions=[Stopped])(_call)  # a process a task

    def claim(self, job: Job) -> Groups:
        """Returns the populations, by the devices of a worker."""
        [(_, planned)] = self._ended(job, {0: Task("plan", 1, _claim)}, runtime.never)
        groups: Groups = planned[0]
        self._devices = planned[1]
        return groups

    def write(self, job: Job, packs: Mapping[int, Pack], stop: Callable[[], bool]) -> None:
        """`packing.write`, each population by a task."""
        count = 1 + max(packs)
        named = {number: f"population {number}: {pack.runs[0].name}, packed" for number, pack in packs.items()}
        tasks = {n: Task(named[n], len(pack.runs), _write, (n, pack, count)) for n, pack in packs.items()}
        for _ in self._ended(job, tasks, stop):
            pass

    def train(
        self,
        job: Job,
        groups: Sequence[tuple[int, Sequence[Run]]],
        until: Mapping[int, int],
        stop: Callable[[], bool],
    ) -> bool:
        """`engine.train_groups`, each population by a task; prints a line when one has ended."""
        count, began = 1 + max((index for index, _ in groups), default=0), False
        tasks = {
            index: Task(
                f"population {index}: {group[0].name}", len(group), _train, (group, index, count, until.get(index))
            )
            for index, group in groups
        }
        left = len(tasks)
        for index, (diverged, went_on) in self._ended(job, tasks, stop):
            began, left = began or went_on, left - 1
            ended = f"is at step {until[index]:,}" if index in until else "is done"
            also = f", {diverged} of its runs diverged" if diverged else ""
            print(f"population {index} {ended}{also}; {left} of {len(tasks)} are left", file=sys.stderr)
        return began

    def _ended(self, job: Job, tasks: Mapping[int, Task], stop: Callable[[], bool]) -> Iterator[tuple[int, Any]]:
        """Yields the number of each task that has ended, with what it returned.

        Raises Stopped once `stop()` is True and all tasks have written a checkpoint, and UserError after the last task
        if some have failed.
        """
        numbers, failed, job_there = {}, [], self._ray.put(job)
        for number, task in tasks.items():
            needed = {"num_gpus": 1} if self._gpus else {"num_cpus": min(task.runs, self._devices)}
            call = self._call.options(name=task.name, **needed)
            numbers[call.remote(os.getcwd(), task.function, job_there, *task.arguments)] = number
        waiting = list(numbers)
        while waiting:
            done, waiting = self._ray.wait(waiting, timeout=PATIENCE)
            for each in done:
                try:
                    yield numbers[each], _get(self._ray, each)
                except UserError as error:
                    failed.append(error)
                    print(f"{tasks[numbers[each]].name} failed: {error}", file=sys.stderr)
            if waiting and stop():
                for each in waiting:
                    self._ray.cancel(each)  # as an interrupt: it writes a checkpoint
                self._ray.wait(waiting, num_returns=len(waiting))
                raise Stopped("Stopped with a checkpoint of every population")
        if failed and len(tasks) > 1:
            raise UserError(f"{len(failed)} of {len(tasks)} populations failed, the others are done: {failed[0]}")
        if failed:
            raise failed[0]


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


def _call(directory: str, function: Callable[..., Any], job: Job, *arguments: Any) -> Any:
    """Calls a function of a task in a worker, in the directory of the command."""
    _begin(directory)
    return function(job, *arguments)


def _claim(job: Job) -> tuple[Groups, int]:
    """Returns which runs train together, by the devices of a worker, and how many devices it has."""
    return engine.claim(job), jax.device_count()


def _write(job: Job, number: int, pack: Pack, count: int) -> None:
    """Writes the first checkpoint of a population; no other task reads or writes where its runs come from meanwhile."""
    with contextlib.ExitStack() as held:
        for index in (*pack.sources, number):  # ascending, so that no two wait for each other
            held.enter_context(job.workdir.locked_population(index, count, wait=True))
        packing.write(job, {number: pack}, held.enter_context(runtime.stopping()))


def _train(job: Job, group: Sequence[Run], index: int, count: int, until: int | None) -> tuple[int, bool]:
    """Trains a population, and scores it at its end.

    Returns how many of its runs diverged, and whether any went on.
    """
    progress = SweepProgress({index: (len(group), until or group[0].config.train.steps)})
    with job.workdir.locked_population(index, count), runtime.stopping() as stop:
        return engine.train_group(job, group, index, progress, stop, until=until), progress.began


def _begin(directory: str) -> None:
    """Brings a worker to the directory of the command, for relative paths. Raises UserError if its node lacks it."""
    runtime.prepare_jax()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ray cancels by it; a parent under nohup ignored it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray's own handler would end it without a checkpoint
    try:
        os.chdir(directory)
    except OSError as error:
        raise UserError(f"--engine: a node of the cluster lacks {directory}; all nodes share one checkout.") from error
