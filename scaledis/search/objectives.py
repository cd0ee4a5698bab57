"""Objectives: what a search maximizes or minimizes, as the mean of a number over the runs of a trial."""

import statistics
from collections.abc import Sequence

from scaledis.search import contests, criteria, rungs
from scaledis.search.settings import OBJECTIVE, Settings
from scaledis.sweeps import starts
from scaledis.training.engine import Job
from scaledis.types import Run


def measured(job: Job, by: str, runs: Sequence[Run]) -> float | None:
    """Returns the number of a trial, whose runs have ended; None if one of them diverged or has no such number."""
    numbers = criteria.measured(by, [rungs.candidate(job, run, run.config.train.steps) for run in runs])
    known = [number for number in numbers if number is not None]
    return statistics.fmean(known) if len(known) == len(numbers) else None


def check(job: Job, settings: Settings, runs: Sequence[Run]) -> None:
    """Raises UserError for an objective that the runs of a trial do not have."""
    ended = {starts.contest(run.config): run for run in runs}  # of the starts of a seed one comes to its end
    for by, _ in settings.objectives:
        contests.check_number(job, [*ended.values()], OBJECTIVE, by)
        criteria.warn(OBJECTIVE, by, settings.space)
