"""Contests: which runs are compared with each other, and at which rungs.

The starts of one run are a contest (`train.starts`, `train.rungs`). With --halving all runs of a sweep are one.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scaledis.config import Train, differing
from scaledis.core import UserError, registry
from scaledis.datasets.base import sampling
from scaledis.search import criteria
from scaledis.sweeps import plan, starts
from scaledis.sweeps.aim import is_score
from scaledis.sweeps.starts import BEST, Rung
from scaledis.training.engine import Job, dataset_of
from scaledis.training.population import Population
from scaledis.types import Config, Run
from scaledis.workdir.decisions import EVERY, Decision, Decisions

HALVING = "halving"  # the key of config.json that keeps it


class Contest(NamedTuple):
    """Runs that are compared at rungs.

    name: the key of its decisions in rungs.json.
    runs: all runs that were, or will be, compared at its first rung.
    rungs: in the order of their steps.
    """

    name: str
    runs: Sequence[str]
    rungs: Sequence[Rung]

    def ahead(self, taken: Sequence[Decision]) -> list[Rung]:
        """Returns the rungs of the next step after the decisions that were taken; [] after the last rung."""
        left = self.rungs[len(taken) :]
        return [rung for rung in left if rung.step <= left[0].step]

    def going(self, taken: Sequence[Decision]) -> Sequence[str]:
        """Returns the runs that go on after the decisions that were taken."""
        return taken[-1].go_on if taken else self.runs


class Halving(NamedTuple):
    """Successive halving: at each of `rungs` rungs the best 1 / `eta` of the runs go on, to `eta` times the steps."""

    eta: int
    rungs: int
    by: str
    best: str

    def at(self, count: int, steps: int) -> list[Rung]:
        """Returns the rungs for `count` runs of `steps` steps, until one run is left."""
        found = []
        for power in range(self.rungs, 0, -1):
            if count > 1:
                count = math.ceil(count / self.eta)
                found.append(Rung(max(1, round(steps / self.eta**power)), count, self.by, self.best))
        return found


def parse(text: str) -> Halving:
    """Returns the Halving of "eta:3,rungs:4,by:elbo_nats", with best:max unless it says best:min.

    Raises UserError for anything else.
    """
    found = re.fullmatch(r"eta:(\d{1,3}),rungs:(\d{1,2}),by:([^,:]+)(?:,best:(\w+))?", text, re.ASCII)
    if not found or int(found[1]) < 2 or int(found[2]) < 1 or (found[4] or BEST[0]) not in BEST:
        raise UserError(
            f"--halving: {registry.short(text)} must be eta:3,rungs:4,by:elbo_nats, with an eta of 2 or more, and "
            "best:min behind it where the least is the best."
        )
    return Halving(int(found[1]), int(found[2]), found[3], found[4] or BEST[0])


def share(text: str, count: int, train: Train) -> float:
    """Returns the mean share of the steps that `count` runs train for under --halving=`text`."""
    return starts.share_of(count, parse(text).at(count, train.steps), train.steps)


def of_job(job: Job, decided: Decisions) -> list[Contest]:
    """Returns the contests of a job. A contest that has begun has the runs that its first decision has compared.

    Raises UserError for --halving with a shard, with starts, or with runs of different length, for a halved sweep that
    has grown, and if some of the starts of a run are missing.
    """
    if text := job.base.get(HALVING):
        return _of_sweep(job, parse(str(text)), decided)
    known = {run.name: run.config for run in job.current}
    begun = [
        _of_starts(name, list(taken[0].numbers), known[taken[-1].go_on[0]])
        for name, taken in decided.items()
        if known.keys() >= taken[0].numbers.keys()  # else the directory is of other runs, which `claim` says
    ]
    members: dict[Config, list[Run]] = {}
    over = {name for contest in begun for name in contest.runs}
    for run in job.current:
        if run.config.train.rungs and run.name not in over:
            members.setdefault(starts.contest(run.config), []).append(run)
    for config, runs in members.items():
        if len(runs) != config.train.starts:
            found = f"{len(runs)} of the {config.train.starts} starts beside {runs[0].name} have its config"
            raise UserError(f"train.starts: {found}; repeat the command that began them.")
    return begun + [_of_starts(runs[0].name, [run.name for run in runs], config) for config, runs in members.items()]


def check(job: Job) -> None:
    """Raises UserError for a rung by a number that is neither a criterion nor a score nor in the log of its runs.

    Also for a work directory that was begun with another --halving, or with one of both alone.
    """
    halving = parse(str(job.base[HALVING])) if job.base.get(HALVING) else None
    if job.workdir.config.exists():
        there, here = (held.get(HALVING) or "none" for held in (job.workdir.claimed(), job.base))
        if there != here:
            raise UserError(f"--halving: {job.workdir.root} was begun with {there}, and this is {here}.")
    key = "--halving" if halving else "train.rungs"
    if halving and job.only is None:
        criteria.warn(key, halving.by, differing(run.config for run in job.current))
    if halving and halving.rungs > 1 and criteria.choose(halving.by).together:
        raise UserError(f"{key}: {halving.by} compares seeds, of which a rung may leave one a setting; take rungs:1.")
    programs: dict[Config, list[Run]] = {}
    for run in job.current:
        programs.setdefault(plan.shared(run.config), []).append(run)
    for runs in programs.values():
        for by in sorted({halving.by} if halving else {by for run in runs for _, _, by, _ in run.config.train.rungs}):
            check_number(job, runs, key, by)


def check_number(job: Job, runs: Sequence[Run], key: str, by: str) -> None:
    """Raises UserError, naming `key`, unless runs of one program of the job have the number `by`."""
    if spec := criteria.specs().get(by):
        if spec.together and min(Counter(starts.setting(run.config) for run in runs).values()) < 2:
            raise UserError(f"{key}: {by} compares seeds, and a setting has one; give several, as in --seeds=3.")
        return
    config, dataset = runs[0].config, dataset_of(job, runs[:1])
    if is_score(by):
        registry.check(key, by, criteria.scores())
        if not dataset.factor_names:
            raise UserError(f"{key}: {by} is a score, and {dataset.name} has no factors to score by.")
        return
    terms = Population([config], sampling.spec_of(dataset, config.data)).terms
    registry.check(key, by, {*terms, *criteria.specs(), *criteria.scores()})


def following(contests: Sequence[Contest], decided: Decisions) -> Mapping[str, int]:
    """Returns the step of the next rung of each run that has one ahead."""
    found: dict[str, int] = {}
    for contest in contests:
        taken = decided.get(contest.name, [])
        if rungs := contest.ahead(taken):
            found |= dict.fromkeys(contest.going(taken), rungs[0].step)
    return found


def _of_starts(name: str, runs: Sequence[str], config: Config) -> Contest:
    return Contest(name, runs, starts.rungs_of(config.train))


def _of_sweep(job: Job, halving: Halving, decided: Decisions) -> list[Contest]:
    names = [run.name for run in job.current]
    name = EVERY if job.only is None else names[0]  # of a search each batch is compared
    if not job.shard.whole and job.only is None:
        raise UserError(f"--shard: {job.shard} cannot go with --halving, which compares all runs of the sweep.")
    if any(run.config.train.rungs for run in job.current):
        raise UserError("--halving: runs with train.starts choose among their own starts; take one of both.")
    taken = decided.get(name, [])
    if taken and set(taken[0].numbers) != set(names):
        then, now = len(taken[0].numbers), len(names)
        raise UserError(f"--halving: it has compared {then} runs already, and the sweep now gives {now}.")
    going = taken[-1].go_on if taken else names  # the others keep the steps that they were dropped with
    steps = {run.config.train.steps for run in job.current if run.name in going}
    if len(steps) > 1:
        raise UserError(f"--halving: runs of {', '.join(map(str, sorted(steps)))} steps cannot be compared at a rung.")
    return [Contest(name, names, halving.at(len(names), *steps))]
