"""Stages: all populations of a job advance to their next rung, some runs are dropped, and the others go on.

This is synchronous successive halving: no run passes a rung before all runs that it is compared with have come there.
Where populations train one after another, each advances to the rung in its turn. A job without rungs has one stage.
"""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from scaledis.core import hosts, runtime
from scaledis.core.errors import Stopped
from scaledis.search import contests, packing, rungs
from scaledis.search.packing import Write
from scaledis.training import engine
from scaledis.training.engine import Groups, Job, Keep
from scaledis.types import Run
from scaledis.workdir import decisions


class Works(NamedTuple):
    """The work of an engine that needs devices.

    claim: makes the plan of a job, as `engine.claim` does.
    write: writes the first checkpoints of populations of survivors, as `packing.write` does.
    train: trains populations, each to its step, as `engine.train_groups` does.
    """

    claim: Callable[[Job], Groups]
    write: Write
    train: Callable[[Job, Sequence[tuple[int, Sequence[Run]]], Mapping[int, int], Callable[[], bool]], bool]


def train_all(job: Job, stop: Callable[[], bool] = runtime.never, keep: Keep = engine.ignore) -> Groups:
    """Trains a job as `train_on` does, on the devices of this process.

    `keep` gets each population of the shard once it is trained.
    """
    train = functools.partial(engine.train_groups, keep=keep)
    return train_on(Works(engine.claim, packing.write, train), job, stop)


def train_on(works: Works, job: Job, stop: Callable[[], bool]) -> Groups:
    """Trains the runs of a job in their populations, and returns all populations, including those of dropped runs.

    It prints a line if all runs had been trained before. Raises what `works`, `contests.check` and `contests.of_job`
    raise, and Stopped once `stop()` is True.
    """
    contests.check(job)
    workdir = job.workdir
    found = contests.of_job(job, decisions.read(workdir.rungs))
    groups, trained, began = works.claim(job), set(), False
    while True:
        groups = packing.repack(job, groups, works.write, stop)
        decided = decisions.read(workdir.rungs)
        dropped, ahead = decisions.dropped(decided), contests.following(found, decided)
        own = [
            (index, group)
            for index, group in job.shard.take(groups, workdir.parts())
            if index not in trained and not dropped.keys() >= {run.name for run in group}
            if job.only is None or any(run.name in job.only for run in group)
        ]
        stops = {index: [ahead[run.name] for run in group if run.name in ahead] for index, group in own}
        until = {index: min(steps) for index, steps in stops.items() if steps}
        began |= works.train(job, own, until, stop)
        trained |= {index for index, _ in own} - until.keys()
        if not until:
            break
        rungs.decide(job, found, {run.name for index, group in own if index in until for run in group})
        if hosts.any_process(stop()):
            raise Stopped("Stopped at a rung")
    count = sum(len(groups[index]) for index in trained)
    if count and hosts.first() and not began:
        runs = "the run is" if count == 1 else f"all {count:,} runs are"
        print(f"{workdir.root}: {runs} trained already; `{workdir.report_command}` shows the results.", file=sys.stderr)
    return groups
