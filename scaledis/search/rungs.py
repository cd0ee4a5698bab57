"""Rungs: the decision which runs go on, and the new populations in which the survivors train.

A decision is written, with a checksum, before anything else happens at a rung. Then the survivors of several
populations are packed into new ones: first their checkpoints are written, and last the plan. If a process is killed in
between, the next one packs the survivors again, by the same decision.
"""

import contextlib
import functools
import operator
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax

from scaledis.core import UserError, hosts, runtime
from scaledis.datasets.base import sampling
from scaledis.model import Model
from scaledis.search import criteria
from scaledis.search.contests import Contest
from scaledis.search.criteria import Candidate
from scaledis.sweeps import plan, starts
from scaledis.sweeps.starts import Rung
from scaledis.training import best, memory
from scaledis.training.engine import Groups, Job, dataset_of
from scaledis.training.load import load_run
from scaledis.training.loop import train_population
from scaledis.training.population import Population
from scaledis.types import Run, RunState
from scaledis.workdir import decisions, score_files
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.decisions import Decision
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from scaledis.workdir.planned import Planned


def decide(job: Job, contests: Sequence[Contest], own: set[str]) -> None:
    """Takes and writes the next decision of every contest of the runs `own`, which have reached the rung.

    The first process decides, and the others wait. Raises UserError for a contest that other shards share.
    """
    if hosts.first():
        with job.workdir.locked_plan(job.shard):
            decided = decisions.read(job.workdir.rungs)
            taken = {each.name: _next(job, each, decided.get(each.name, []), own) for each in contests}
            new = {name: each for name, each in taken.items() if each}
            decisions.write(job.workdir.rungs, decided | {name: [*decided.get(name, []), *new[name]] for name in new})
        for line in _words(list(new.values())):
            print(line, file=sys.stderr)
    hosts.wait()


def _next(job: Job, contest: Contest, taken: Sequence[Decision], own: set[str]) -> list[Decision]:
    """Returns the decisions of a contest at its next step; [] if no rung is left, or if none of its runs is `own`."""
    rungs, going = contest.ahead(taken), contest.going(taken)
    if not rungs or own.isdisjoint(going):
        return []
    if not own.issuperset(going):
        raise UserError(f"--shard: {job.shard} has a part of the starts of {contest.name} only; go on without --shard.")
    known = {run.name: run for run in job.runs}
    found: list[Decision] = []
    for rung in rungs:
        found.append(decision(job, [known[name] for name in contest.going([*taken, *found])], rung))
    return found


def decision(job: Job, runs: Sequence[Run], rung: Rung) -> Decision:
    """Returns the decision which of the runs go on. A run without a number comes last; equal runs keep their order."""
    found = criteria.measured(rung.by, [candidate(job, run, rung.step) for run in runs])
    numbers = dict(zip([run.name for run in runs], found, strict=True))
    sign = -1 if rung.best == "max" else 1
    ranked = sorted(numbers, key=lambda name: (numbers[name] is None, sign * (numbers[name] or 0.0)))
    return Decision(rung.step, rung.by, rung.best, numbers, ranked[: rung.keep])


def candidate(job: Job, run: Run, step: int) -> Candidate:
    """Returns a run of a job as the candidate of a step, for a criterion to measure."""
    workdir = job.workdir
    records = read_records(workdir.run(run.name) / "metrics.jsonl", needs_seals=workdir.needs_seals)
    return Candidate(
        run,
        [record for record in records if record["step"] <= step],
        functools.partial(_load, workdir, run.name),
        functools.partial(dataset_of, job, [run]),
        lambda: score_files.at(workdir, run, step).get("all", {}),
    )


def _load(workdir: Workdir, name: str) -> Model:
    """Returns the model of a run at its rung. Raises UserError if the run is spread over several processes."""
    if not hosts.alone():
        raise UserError(
            "train.rungs: a criterion that loads a model cannot go with --distributed; take one of the log."
        )
    return load_run(workdir.root, name)


def _words(taken: Sequence[Sequence[Decision]]) -> list[str]:
    """Returns a line for each rung, over all contests."""
    rows: dict[tuple[int, str], list[int]] = {}
    for each in (each for several in taken for each in several):
        counts = rows.setdefault((each.step, each.by), [0, 0])
        counts[0] += len(each.go_on)
        counts[1] += len(each.numbers)
    return [f"Step {step:,}: {go:,} of {all_:,} runs go on, by {by}." for (step, by), (go, all_) in rows.items()]


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
