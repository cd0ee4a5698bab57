"""The door `scaledis.tune`: a search, for Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame

from scaledis.config import Config, thaw, typed
from scaledis.core import kinds
from scaledis.datasets import Dataset, Examples
from scaledis.datasets.base import sampling
from scaledis.search import batches, contests, settings
from scaledis.search import space as spaces
from scaledis.search.space import Range
from scaledis.search.train import writing
from scaledis.sweeps.configs import override, refreeze
from scaledis.sweeps.expand import expand
from scaledis.training.engine import Job
from scaledis.training.load import load_results
from scaledis.types import Run


@kinds.checked
def tune(
    config: Config,
    space: Mapping[str, Range | str],
    objective: str | Sequence[str],
    trials: int = 50,
    *,
    seeds: int = 1,
    dataset: Dataset | Examples | None = None,
    workdir: str | Path | None = None,
    sampler: str = "tpe",
    seed: int = 0,
    batch: int = 0,
    halving: str | None = None,
) -> DataFrame:
    """Searches a space for the best setting, and returns the table of `load_results` with one row per run.

    The sampler proposes trials in batches that fill a population. The column `trial` has the number of each run's
    trial. With a `workdir`, the same call resumes an earlier one that was stopped; without it, nothing stays on the
    disk.

    Args:
      config: from `make_config`; each trial sets the keys of the space in it.
      space: the range of each key, such as {"method.beta": "log:1..64"}, or a range of `scaledis.search.space`.
      objective: one or several numbers to maximize: a score such as "dci/disentanglement", "udr", or a number of the
        log; "reconstruction_nats:min" is minimized.
      trials: how many settings are tried.
      seeds: the number of runs of a trial, with seeds from 0 on; the value of a trial is the mean over its runs.
      dataset: the data set of all runs, as in `train`.
      workdir: where states, logs, results and the study are written.
      sampler: "tpe", "random" or "quasi".
      seed: the seed of the sampler.
      batch: the number of trials that are proposed at once; 0 for as many as fill a population.
      halving: rungs that prune trials, such as "eta:3,rungs:2,by:dci/disentanglement".

    Raises UserError for an invalid space, objective or option, and for a workdir of another search;
    KeyboardInterrupt, after a checkpoint, if it was interrupted.

    >>> config = make_config("scale_vlae", {"train.steps": 5000})
    >>> table = tune(config, {"method.beta": "log:1..64"}, "dci/disentanglement", 4, workdir="runs/beta")
    """
    config = refreeze(config)
    sampling.load_dataset.cache_clear()  # a file may have changed since the last call
    images = sampling.prepared(dataset, config.data)
    ranges = {key: spaces.parse([f"{key}={each}"])[key] for key, each in space.items()}
    objectives = [objective] if isinstance(objective, str) else objective
    wanted = settings.make(trials, objectives, ranges, sampler, seed, batch)
    sweeps = [f"seeds:{seeds}"] if seeds != 1 else []
    base: dict[str, Any] = {"config": thaw(config), "sweep": sweeps, "command": "scaledis.tune"}
    base |= {contests.HALVING: halving} if halving else {}

    def runs_of(params: Mapping[str, Any]) -> list[Run]:
        return expand(override(thaw(config), {key: typed(key, each) for key, each in params.items()}, "space"), sweeps)

    with writing(workdir) as (directory, stop):
        batches.train_all(Job(directory, base, (), images, evaluate=True), wanted, runs_of, stop)
        return load_results(directory.root)
