"""Scores trained runs: encodes images, then computes every metric, over all units and for each level."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scaledis.config import Config
from scaledis.core import hosts, runtime, version
from scaledis.core.errors import Stopped, UserError
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.metrics import compute
from scaledis.metrics.of_models.shared import coding
from scaledis.metrics.shared.scoring import PERMUTATIONS
from scaledis.metrics.shared.spec import Result
from scaledis.training.baselines import Task, score_baselines
from scaledis.training.load import check_data
from scaledis.training.population import Population
from scaledis.training.restore import NoCheckpoint, Step, place, restore
from scaledis.training.scores import score_codes, score_model
from scaledis.types import NEVER, Run, RunState
from scaledis.workdir import score_files
from scaledis.workdir.layout import Workdir

NO_FACTORS = " the codes only: the data set has no factors, so that no metric applies"
FEWEST = 10  # images that make a training and a test part


def evaluate_population(
    runs: Sequence[Run],
    index: int,
    dataset: Dataset,
    workdir: Workdir,
    *,
    stop: Callable[[], bool] = runtime.never,
    step: Step = None,
) -> bool:
    """Scores every run of population `index` as its config asks, at its newest step or at `step`.

    "best" is the best step of each run by `train.keep_best`; a run that has none is reported on stderr and left out.

    Returns whether any run was scored. Scores of different splits, backends, numbers of codes and steps are kept side
    by side in runs/<run>/scores/, and no metric is computed twice. runs/<run>/scores.json and codes.npz hold the newest
    scores and their codes. Nothing else is written. A population without such a checkpoint is reported on stderr and
    left out.

    Raises UserError if the data have changed, or if the checkpoint is damaged; Stopped once `stop()` is True.
    """
    names = [run.name for run in runs]
    try:
        found = place(workdir, index, step)
    except NoCheckpoint as missing:
        print(f"{', '.join(names)}: not scored: {missing}", file=sys.stderr)
        return False
    steps, best_by = found.steps(names), found.best and found.best.by
    if without := [name for name, at in zip(names, steps, strict=True) if at is None]:
        print(f"{', '.join(without)}: not scored: never had a number {best_by}", file=sys.stderr)

    def done(run: Run, at: int | None) -> bool:
        return at is None or score_files.is_scored(workdir, run, at, dataset, best_by)

    if hosts.any_process(hosts.first() and all(map(done, runs, steps))):
        return False
    check_data(workdir, runs, dataset)
    population, states, reached = restore(workdir, index, step)
    states, steps = hosts.gathered(states), found.steps(names, reached)
    if hosts.first():
        with contextlib.suppress(OSError):  # a directory that cannot be written is said where scores are
            workdir.results(index).unlink()  # its rows have older scores
        score_population(runs, population, states, dataset, workdir, steps, stop=stop, best_by=best_by)
    hosts.wait()
    return True


@runtime.pinned()
def score_population(
    runs: Sequence[Run],
    population: Population,
    states: RunState,
    dataset: Dataset,
    workdir: Workdir,
    steps: Sequence[int | None],
    *,
    stop: Callable[[], bool] = runtime.never,
    best_by: str | None = None,
) -> None:
    """Writes the scores and codes of every run that lacks them at its step [R]; a run without a step is left out.

    `best_by` is the criterion by which the steps are the best ones, and is written into the scores. Raises Stopped
    between two scores once `stop()` is True, after it has written the scores so far.
    """
    for slot, (run, step) in enumerate(zip(runs, steps, strict=True)):
        if stop():
            raise Stopped(f"Stopped before {run.name} was scored")
        if step is None or score_files.is_scored(workdir, run, step, dataset, best_by):
            continue
        settings, diverged = run.config.evaluate, int(states.diverged[slot])
        print(f"{run.name}: scoring{'' if score_files.applying(settings, dataset) else NO_FACTORS}", file=sys.stderr)
        held = score_files.kept(workdir, run, step)
        model = population.model(states, slot)
        index, train_codes = sample(dataset, run.config)
        codes = coding.encode_images(model, dataset, index)
        factors = dataset.factors(index)
        data = run.config.data
        scores: Result = {
            "run": run.name,
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            "split": settings.split,
            "held_out": sampling.share(dataset, data),
            "held_out_by": data.held_out_by,
            "train_codes": train_codes,
            "test_codes": len(index) - train_codes,
            "dci_backend": settings.dci_backend,
            "step": step,
            "best_by": best_by,
            "diverged": None if diverged == NEVER else diverged,
            **version.here(),
        }
        wanted = dataclasses.replace(settings, metrics=tuple(score_files.missing(held, settings, dataset)))
        scores |= score_codes(codes, factors, wanted, train_codes, dataset, stop=stop)
        scores |= score_model(scores, model, dataset, index, codes, wanted, stop=stop)
        scores = score_files.merged(held, scores)
        task = Task(model, dataset, index, factors, train_codes, codes.levels, settings)
        scores = score_files.merged(scores, score_baselines(scores, task, stop=stop))
        score_files.write(workdir, run, scores, codes, index, factors)
        if score_files.is_incomplete(scores, settings, dataset):
            raise Stopped(f"Stopped between the scores of {run.name}")


def sample(dataset: Dataset, config: Config) -> tuple[np.ndarray, int]:
    """Draws the indices of the train codes, then of the test codes, and returns them with the number of train codes.

    No index is drawn twice, and the draw does not depend on which images are held out. If the split has fewer images
    than asked for, all are taken, in the same proportion.

    Raises UserError for fewer than ten images, and if the number of train or of test codes rounds to 0.
    """
    settings = config.evaluate
    among = sampling.split(dataset, config.data, settings.split)
    wanted = settings.train_codes + settings.test_codes
    if dataset.factor_names and len(among) < FEWEST:
        found = f"{settings.split!r} of {dataset.name} has {len(among)} images"
        raise UserError(f"evaluate.split: {found}; {FEWEST} are needed.")
    taken = min(wanted, len(among))
    train_codes = round(taken * settings.train_codes / wanted)
    if dataset.factor_names and train_codes in (0, taken):
        raise UserError(
            f"evaluate.train_codes: {settings.train_codes} beside evaluate.test_codes={settings.test_codes} leaves "
            f"{train_codes} of {len(among)} images of {dataset.name} to train on; both parts need one."
        )
    rng = np.random.default_rng([settings.seed, *b"codes"])  # not the numbers that `sampling.split` draws
    return rng.permutation(among)[:taken], train_codes


def score(
    codes: object,
    factors: object,
    metrics: str | Sequence[str] = ("dci", "mig"),
    *,
    seed: int = 0,
    protocol: str | None = None,
    rows: int | None = None,
    n_bootstrap: int = 0,
    chance: int = PERMUTATIONS,
    groups: Sequence[Sequence[int]] | None = None,
    levels: object = None,
    log_variances: object = None,
    kinds: Sequence[str | None] | Mapping[int, str] | None = None,
    missing: object = None,
    **options: Mapping[str, object],
) -> Result:
    """Returns the scores of codes [N, K] of any model against factors [N, F], such as {"mig/mig": 0.56, ...}.

    Args:
      codes: one row per image, usually posterior means; of numpy, JAX, torch, pandas or lists.
      factors: the label of every factor of the same images: whole numbers, bools, strings or floats, where None and NaN
        are missing labels; None for metrics that need none. Rows of two pandas objects are matched by their index.
      metrics: one name or several, see `scaledis list`.
      seed: seeds every random number of the metrics.
      protocol, rows, n_bootstrap, groups, levels, log_variances: as in `scaledis.metrics.compute`.
      chance: permutations of the factors' rows behind the chance level of each score, "mig/mig_chance"; metrics that
        fit models take a quarter of them; 0: no chance levels.
      kinds: "category", "number" or "angle" (in radians, or "angle:360") for each factor, or {column: kind} for some;
        by default a factor that has a value with a fraction is a number, any other a category.
      missing: a value that stands for a missing label, such as -1.
      options: the options of a metric, by its name: `dci={"backend": "sklearn"}`.

    Raises UserError for an unknown metric or option, and for codes and factors that do not fit together.

    >>> codes = np.repeat(np.arange(3.0), 50)[:, None]
    >>> score(codes, codes.astype(int), ["mig"])["mig/mig"]
    1.0
    """
    common: Result = {"protocol": protocol, "rows": rows, "n_bootstrap": n_bootstrap, "chance": chance}
    common |= {"groups": groups, "levels": levels, "log_variances": log_variances, "kinds": kinds, "missing": missing}
    return compute(metrics, codes, factors, seed, options, **common)
