"""Packing: the new populations in which the survivors of a rung train.

The survivors of several populations are packed into new ones: first their checkpoints are written, and last the plan.
If a process is killed in between, the next one packs the survivors again, by the same decision (`rungs`).
"""

import contextlib
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax

from scaledis.core import hosts, runtime
from scaledis.datasets.base import sampling
from scaledis.sweeps import plan, starts
from scaledis.training import best, memory
from scaledis.training.engine import Groups, Job, dataset_of
from scaledis.training.loop import train_population
from scaledis.training.population import Population
from scaledis.types import Run, RunState
from scaledis.workdir import decisions
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.decisions import Decision
from scaledis.workdir.planned import Planned


class Survivor(NamedTuple):
    """A run that goes on from a rung, the number of the population in which it trained, and the step of its state."""

    run: Run
    population: int
    step: int


class Pack(NamedTuple):
    """A new population of survivors.

    members: its runs.
    part: its part of the plan.
    sources: number of a former population -> its runs, for all populations in which the members trained.
    """

    members: Sequence[Survivor]
    part: int
    sources: Mapping[int, Sequence[Run]]

    @property
    def runs(self) -> list[Run]:
        return [each.run for each in self.members]


Write = Callable[[Job, Mapping[int, Pack], Callable[[], bool]], None]


def repack(job: Job, groups: Groups, write: Write, stop: Callable[[], bool] = runtime.never) -> Groups:
    """Packs the survivors of populations that have lost runs into new populations, and returns all populations.

    A population stays as it is if all of its runs are dropped. It also stays if all of its runs go on, unless it has
    fewer runs than others of its program; then its runs help to fill the new populations. `write` writes the first
    checkpoints of the new populations, as the function `write` below does, and `repack` raises what `write` raises.
    """
    workdir, decided = job.workdir, decisions.read(job.workdir.rungs)
    dropped = decisions.dropped(decided)
    own = dict(job.shard.take(groups, workdir.parts()))
    split = {n for n, group in own.items() if 0 < sum(run.name in dropped for run in group) < len(group)}
    if not split:
        return groups
    last = {name: several[-1] for several in decided.values() for name in several[-1].go_on}
    order = {run.name: n for n, run in enumerate(job.runs)}  # in which the starts of a run follow each other
    found = []
    for n, group in own.items():
        going = [run for run in group if run.name in last]
        newest = Checkpoints(workdir.checkpoints(n)).newest if going else None
        here = [Survivor(run, n, _step(newest, run.name, last[run.name])) for run in going]
        found += [each for each in here if n in split or each.step == newest]  # others have trained further
    found.sort(key=lambda each: order[each.run.name])
    packs = packed(found, own, workdir.parts())
    moved = {run.name for pack in packs for run in pack.runs}
    with workdir.locked_plan(job.shard) if hosts.first() else contextlib.nullcontext():
        hosts.wait()  # until no shard changes the plan
        there = workdir.planned()
        write(job, dict(enumerate(packs, len(there))), stop)
        if hosts.first():
            left = [each._replace(names=[name for name in each.names if name not in moved]) for each in there]
            new = [Planned([run.name for run in pack.runs], pack.runs[0].padded, pack.part) for pack in packs]
            for n in {n for pack in packs for n in pack.sources}:
                workdir.results(n).unlink(missing_ok=True)  # it has rows of runs that go on elsewhere
            workdir.write_plan([*left, *new])
    hosts.wait()
    return workdir.populations(job.runs)


def _step(newest: int | None, name: str, last: Decision) -> int:
    """Returns the step of a survivor's state: that of the rung, or an earlier one if its population has diverged."""
    return last.step if newest is None or last.numbers[name] is not None else min(last.step, newest)


def packed(survivors: Sequence[Survivor], groups: Mapping[int, Sequence[Run]], parts: Sequence[int]) -> list[Pack]:
    """Returns new populations, all but the last of a program as large as the largest from which their runs come.

    So n survivors of populations of up to w runs train in ceil(n / w) populations, or in more if a device would
    otherwise have more runs than before.

    Args:
      survivors: in the order in which they fill the populations.
      groups: number of a former population -> its runs.
      parts: the part of every population of the plan.
    """
    alike: dict[object, list[Survivor]] = {}
    for each in survivors:
        alike.setdefault((plan.shared(each.run.config), each.run.padded, each.step), []).append(each)
    packs: list[Pack] = []
    for members in alike.values():
        left = Counter(each.population for each in members)
        width, split = max(len(groups[n]) for n in left), {n for n, count in left.items() if count < len(groups[n])}
        moved = [each for each in members if each.population in split or len(groups[each.population]) < width]

        def at_once(those: Sequence[Survivor], most: int = width) -> int:
            return memory.no_more(min(most, len(those)), most)

        for own in plan.filled(moved, at_once) if split else ():
            inside = packs and starts.same(packs[-1].runs[-1], own[0].run)
            part = packs[-1].part if inside else parts[own[0].population]
            packs.append(Pack(own, part, {n: groups[n] for n in sorted({each.population for each in own})}))
    return packs


def write(job: Job, packs: Mapping[int, Pack], stop: Callable[[], bool]) -> None:
    """Writes the first checkpoints of the packs, {number of the new population: its pack}.

    They hold the states of the runs in their former populations. Raises what `train_population` raises.
    """
    for number, pack in packs.items():
        _write(job, number, pack, stop)


def _write(job: Job, number: int, pack: Pack, stop: Callable[[], bool]) -> None:
    workdir, runs, step = job.workdir, pack.runs, pack.members[0].step
    states: dict[str, RunState] = {}
    bests: dict[str, best.Kept] = {}
    dataset, seconds = dataset_of(job, runs), 0.0
    for index, group in pack.sources.items():
        # It is there already, unless its newest checkpoint is damaged and it comes there again from the one before.
        trained = train_population(group, index, dataset, workdir, stop=stop, restart=job.restart, until=step)[1]
        host, held = hosts.fetch(trained), Checkpoints(workdir.checkpoints(index))
        rows = [jax.tree.map(operator.itemgetter(slot), host) for slot in range(len(group))]
        states |= {run.name: row for run, row in zip(group, rows, strict=True)}
        seconds = max(seconds, held.manifest(held.steps[-1]).get("seconds", 0.0))
        bests |= best.kept(workdir, index, runs[0].config)
    images = sampling.spec_of(dataset, runs[0].config.data)
    new = Population([run.config for run in runs], images, allocation=runs[0].padded)
    own = {run.name: states[run.name] for run in runs}
    facts = workdir.dataset_of(runs[0].name)
    about = {
        "runs": [run.name for run in runs],
        "dataset": facts,
        "diverged": [int(row.diverged) for row in own.values()],
        "seconds": seconds,
        **runtime.conditions(),
    }
    checkpoints = Checkpoints(workdir.checkpoints(number))
    if hosts.first():
        checkpoints.delete()  # what a killed process left may be of other runs
    hosts.wait()
    best.write(workdir, number, new, own, bests, facts)
    checkpoints.save(step, new.gather([*own.values()]), about)
