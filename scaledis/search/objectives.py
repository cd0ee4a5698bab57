"""Objectives: what a search looks for in the runs of a trial, a mean over them or the agreement between them."""

import statistics
from collections.abc import Callable, Sequence

import numpy as np

from scaledis.core import UserError
from scaledis.metrics.of_models.shared import coding
from scaledis.metrics.shared.agreement import udr
from scaledis.objectives import gaussian
from scaledis.search import contests, criteria, rungs
from scaledis.search.settings import Settings
from scaledis.training.engine import Job
from scaledis.training.evaluate import sample
from scaledis.types import Run


def measured(job: Job, by: str, runs: Sequence[Run]) -> float | None:
    """Returns the number of a trial, whose runs have ended; None if one of them diverged or has no such number."""
    candidates = [rungs.candidate(job, run, run.config.train.steps) for run in runs]
    if by in OF_SEVERAL:
        return OF_SEVERAL[by](candidates)
    numbers = [criteria.measured(by, each) for each in candidates]
    known = [number for number in numbers if number is not None]
    return statistics.fmean(known) if len(known) == len(numbers) else None


def check(job: Job, settings: Settings, runs: Sequence[Run]) -> None:
    """Raises UserError for an objective that the runs of a trial do not have."""
    seeds = len({run.config.seed for run in runs})
    for by, _ in settings.objectives:
        if by not in OF_SEVERAL:
            contests.check_number(job, runs[0], "--objective", by, OF_SEVERAL)
            criteria.warn("--objective", by, settings.space)
        elif seeds < 2:
            raise UserError(f"--objective: {by} compares seeds, and a trial has one; give several, as in --seeds=3.")


def _udr(candidates: Sequence[criteria.Candidate]) -> float | None:
    """Returns the mean of the runs' UDR by rank correlation (Duan et al. 2020), over the images that scores read."""
    if any("diverged" in record for each in candidates for record in each.records):
        return None
    dataset, config = candidates[0].dataset(), candidates[0].run.config
    index, _ = sample(dataset, config)
    codes = [coding.encode_images(each.load(), dataset, index) for each in candidates]
    nats = [np.asarray(gaussian.kl_to_standard(each.mean, each.log_variance)).mean(0) for each in codes]
    return float(np.mean(udr([each.mean for each in codes], nats)["spearman"]))


OF_SEVERAL: dict[str, Callable[[Sequence[criteria.Candidate]], float | None]] = {"udr": _udr}
