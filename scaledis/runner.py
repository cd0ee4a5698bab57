"""An experiment from its runs to its scores: what the command line and the scripts of experiments/ have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaledis import input_pipeline, population, runtime
from scaledis.evaluate import evaluate_population, score_population
from scaledis.sweep import Run
from scaledis.training import train_population
from scaledis.workdir import Workdir

Groups = list[list[Run]]


def train_all(
    workdir: Workdir,
    base: Mapping[str, Any],
    runs: Sequence[Run],
    *,
    stop: Callable[[], bool] = runtime.never,
    extend: bool = False,
    restart: bool = False,
) -> Groups:
    """Trains all runs in their populations, each on its own data set, and returns the populations.

    The caller holds the workdir's lock. Raises what `Workdir.claim` and `train_population` raise.
    """
    groups = workdir.claim(base, runs, population.parallel(runs[0].config.train.parallel), extend)
    for index, group in enumerate(groups):
        dataset = input_pipeline.load_dataset(group[0].config.data)

        def score(step: int, trained: Any, states: Any, group: Any = group, dataset: Any = dataset) -> None:
            score_population(group, trained, states, dataset, workdir, step, stop=stop)

        train_population(group, index, dataset, workdir, stop=stop, restart=restart, on_evaluate=score)
    return groups


def evaluate_all(
    workdir: Workdir, groups: Groups, *, stop: Callable[[], bool] = runtime.never, step: int | None = None
) -> None:
    """Scores every run of the populations, each on its own data set. Raises what `evaluate_population` raises."""
    for index, group in enumerate(groups):
        dataset = input_pipeline.load_dataset(group[0].config.data)
        evaluate_population(group, index, dataset, workdir, stop=stop, step=step)
