"""A search: proposes batches of trials, trains them as populations, and reports their values to the study.

A trial is begun, trained and told to the study; each of these steps is done wholly or not at all. After a kill, the
next process continues the trials that have begun, by their numbers, so that a search by one process ends as if it had
not been stopped.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaledis.config import flatten
from scaledis.core import hosts, runtime
from scaledis.core.errors import Stopped, UserError
from scaledis.core.values import plain
from scaledis.search import contests, criteria, objectives, settings, stages
from scaledis.search import space as spaces
from scaledis.search.settings import KEY, Settings
from scaledis.search.study import Study
from scaledis.sweeps import plan
from scaledis.training import engine
from scaledis.training.engine import Groups, Job
from scaledis.types import Run
from scaledis.workdir import decisions, trials
from scaledis.workdir.claims import FREE
from scaledis.workdir.trials import Trial, Trials

RunsOf = Callable[[Mapping[str, Any]], Sequence[Run]]  # params of a trial -> its runs, as a sweep names them
TrainAll = Callable[..., Groups]  # (job, stop=) -> all populations


def train_all(
    job: Job,
    wanted: Settings,
    runs_of: RunsOf,
    stop: Callable[[], bool] = runtime.never,
    train: TrainAll = stages.train_all,
) -> Groups:
    """Trains all trials of a search that have not been trained, and returns all populations.

    Args:
      job: without runs.
      wanted: the settings of the search. If `batch` is 0, it is that of the work directory, or else fills a population.
      runs_of: returns the runs of a trial; raises UserError for params that cannot run, and the trial then fails.
      stop: called while a batch trains, and after it.
      train: trains the runs of a job: `stages.train_all`, or that of another engine.

    Raises UserError if the middle of the space cannot run, for an objective that the runs do not have, and for another
    search than that of the directory; what `train` raises; Stopped once `stop()` is True.
    """
    job, found, groups = _begin(job, wanted, runs_of)
    study = Study(job.workdir, found, several=not job.shard.whole) if hosts.first() else None
    while batch := _batch(job, found, runs_of, study):
        own = {run.name: run for each in batch if each.runs for run in named(each.number, runs_of(each.params))}
        others = [run for group in groups for run in group if run.name not in own]
        now = job._replace(runs=[*others, *own.values()], only=own.keys())  # in the order of the trials
        groups = train(now, stop=stop)
        if study:
            _tell(now, found, study, batch)
        hosts.wait()
        if hosts.any_process(stop()):
            raise Stopped("Stopped between two batches of trials")
    return groups


def _begin(job: Job, wanted: Settings, runs_of: RunsOf) -> tuple[Job, Settings, Groups]:
    """Returns the job with the settings, the settings with their batch, and the populations of the work directory.

    It writes the settings into the work directory, so that they are there before the study begins.
    """
    spaces.check(wanted.space, runs_of)
    runs = runs_of(spaces.middle(wanted.space))
    engine.check([run.config for run in runs], job.dataset)
    objectives.check(job, wanted, runs)
    if halving := job.base.get(contests.HALVING):
        if len(wanted.objectives) > 1 or len(runs) > 1:
            raise UserError("--halving: a search prunes trials of one run, and for one objective only.")
        if "train.steps" in wanted.space:
            raise UserError(
                "--halving: trials of different train.steps cannot be compared at a rung; leave it out of the space."
            )
        criteria.warn("--halving", contests.parse(str(halving)).by, wanted.space)
    contests.check(job._replace(runs=runs, only=[run.name for run in runs]))
    begun = job.workdir.config.exists()
    held = job.workdir.claimed() if begun else {}
    there = held.get(KEY)
    width = max(1, plan.parallel(runs[0].config.train.parallel) // len(runs))
    found = wanted._replace(batch=wanted.batch or (there or {}).get("batch", width))
    if begun:
        settings.check_same(there, found)
        _check_config(job, found)
        if held.get("shards", 1) == 1 and not job.shard.whole:  # trials and populations are of no shard
            raise UserError(f"--shard: one process has searched in {job.workdir.root}; go on without --shard.")
    job = job._replace(base={**job.base, KEY: found.record()}, runs=(), only=frozenset())
    return job, found, engine.claim(job)


def _check_config(job: Job, found: Settings) -> None:
    """Raises UserError if the trials so far have another config or other sweeps than the command.

    Keys of `FREE` may differ, unless they change a number by which trials are compared.
    """
    there, here = (_of_base(each) for each in (job.workdir.claimed(), job.base))
    halving = job.base.get(contests.HALVING)
    numbers = [*(by for by, _ in found.objectives), *([contests.parse(str(halving)).by] if halving else [])]
    fixed = {key for by in numbers for key in criteria.keys(by)}
    kept = [key for key in there.keys() | here.keys() if key in fixed or not key.startswith(FREE)]
    other = sorted(key for key in kept if str(plain(there.get(key))) != str(plain(here.get(key))))
    if other:
        raise UserError(
            f"workdir: the trials of {job.workdir.root} have another {', '.join(other[:5])}; take another directory."
        )


def _of_base(base: Mapping[str, Any]) -> dict[str, Any]:
    return flatten(base["config"]) | {"--sweep": base["sweep"]}


def _batch(job: Job, found: Settings, runs_of: RunsOf, study: Study | None) -> list[Trial]:
    """Returns all trials of the first batch of this process with a trial that still runs; begins a batch if none has.

    The batch includes trials that ended before a kill, since rungs compare all trials of a batch. Returns [] if all
    trials of the search have ended.
    """
    if study:
        with job.workdir.locked_plan(job.shard):
            _ask(job, found, runs_of, study)
            _write(job, found, study)
    hosts.wait()
    every = trials.read(job.workdir.trials)
    running = [each for each in every.trials if each.state == "running" and _is_own(each, job)] if every else []
    return [each for each in every.trials if each.batch == running[0].batch] if every and running else []


def _ask(job: Job, found: Settings, runs_of: RunsOf, study: Study) -> None:
    """Begins trials until the batch of this process is full and one of it runs, or until the search has all trials."""
    size = found.batch
    while True:
        every = study.trials()
        own = [each for each in every if _is_own(each, job)]
        batch = own[-1].batch if own else 0
        left = study.size(batch) - sum(each.batch == batch for each in own) if own else 0
        if not left:
            size = min(found.batch, found.trials - len(every))
            if size < 1 or any(each.state == "running" for each in own):
                return
            left, batch = size, -1
        for _ in range(left):
            number, params = study.propose()
            batch = number if batch < 0 else batch
            trial = _begun(job, number, params, runs_of)._replace(batch=batch, shard=job.shard.index)
            study.begin(trial, size)
            if trial.state == "failed":
                print(f"Trial {number} cannot run: {trial.why}", file=sys.stderr)


def _begun(job: Job, number: int, params: Mapping[str, Any], runs_of: RunsOf) -> Trial:
    """Returns a trial that runs, or one that has failed because it cannot run."""
    try:
        runs = named(number, runs_of(params))
        engine.check([run.config for run in runs], job.dataset)
    except UserError as error:
        return Trial(number, "failed", params, why=str(error))
    return Trial(number, "running", params, [run.name for run in runs])


def named(number: int, runs: Sequence[Run]) -> list[Run]:
    """Returns the runs of a trial, named by its number and, if there are several, by their own names."""
    return [run._replace(name=f"trial={number}" + (f",{run.name}" if len(runs) > 1 else "")) for run in runs]


def _is_own(trial: Trial, job: Job) -> bool:
    return job.shard.whole or trial.shard == job.shard.index


def _tell(job: Job, found: Settings, study: Study, batch: Sequence[Trial]) -> None:
    """Ends the trials of a batch that has been trained, and prints how many trials are done and the best so far."""
    ended = [_ended(job, found, each) for each in batch if each.state == "running"]
    with job.workdir.locked_plan(job.shard):
        for each in ended:
            study.tell(each, _numbers(job, found, each) if each.state == "pruned" else ())
        every = _write(job, found, study)
    print(_words(found, every), file=sys.stderr)


def _ended(job: Job, found: Settings, trial: Trial) -> Trial:
    """Returns a trial with its state and values."""
    dropped = job.workdir.dropped()
    going = [run for run in job.current if run.name in trial.runs and run.name not in dropped]
    if not going:
        return trial._replace(state="pruned", why=f"dropped at step {max(dropped[name] for name in trial.runs):,}")
    values = {by: objectives.measured(job, by, going) for by, _ in found.objectives}
    numbers = [value for value in values.values() if value is not None]
    if len(numbers) == len(values):
        return trial._replace(state="complete", values=numbers)
    missing = next(by for by, value in values.items() if value is None)
    # A sampler learns from a pruned trial, not from a failed one; but with several objectives none can be pruned.
    state = "pruned" if len(values) == 1 else "failed"
    return trial._replace(state=state, why=f"a run diverged, or has no {missing}")


def _numbers(job: Job, found: Settings, trial: Trial) -> list[tuple[int, float]]:
    """Returns the step and the number of each rung at which a trial was compared with others.

    The sign of a number is changed if the rung maximizes and the objective minimizes, or the other way round, since the
    study orders all numbers as the objective does.
    """
    taken = [each for several in decisions.read(job.workdir.rungs).values() for each in several]
    [(_, best)] = found.objectives  # with several no trial is pruned
    passed = [(each, each.numbers[name]) for each in taken for name in trial.runs if name in each.numbers]
    return [(each.step, value if each.best == best else -value) for each, value in passed if value is not None]


def _write(job: Job, found: Settings, study: Study) -> list[Trial]:
    """Writes trials.json from the study, and returns all trials."""
    every = study.trials()
    texts = {key: str(each) for key, each in found.space.items()}
    trials.write(job.workdir.trials, Trials(found.objectives, texts, every, study.importance()))
    return every


def _words(found: Settings, every: Sequence[Trial]) -> str:
    """Returns a sentence on how many trials have ended, and on the best by the first objective."""
    by, best = found.objectives[0]
    ended = f"{sum(each.state != 'running' for each in every):,} of {found.trials:,} trials done"
    complete = [each for each in every if each.state == "complete"]
    if not complete:
        return f"{ended}."
    first = (max if best == "max" else min)(complete, key=lambda each: each.values[0])
    chosen = first.params.items()
    params = ", ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in chosen)
    return f"{ended}; the best {by} is {first.values[0]:.4g} (trial {first.number}: {params})."
