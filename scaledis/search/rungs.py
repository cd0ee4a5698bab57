"""Rungs: the decision which runs go on. It is written, with a checksum, before anything else happens at a rung."""

import functools
import sys
from collections.abc import Sequence

from scaledis.core import UserError, hosts
from scaledis.model import Model
from scaledis.search import criteria
from scaledis.search.contests import Contest
from scaledis.search.criteria import Candidate
from scaledis.sweeps.starts import Rung
from scaledis.training.engine import Job, dataset_of
from scaledis.training.load import load_run
from scaledis.types import Run
from scaledis.workdir import decisions, score_files
from scaledis.workdir.decisions import Decision
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records


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
