"""Scores of trained runs: encode images by their posterior means, then every metric, per level and over all units."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scaledis import input_pipeline, version
from scaledis.checkpoint import Checkpoints
from scaledis.config import Config, Evaluate
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.metrics import compute
from scaledis.objectives import gaussian
from scaledis.population import NEVER, Model, Population, RunState
from scaledis.runtime import Stopped, never
from scaledis.sweep import Run
from scaledis.types import Codes
from scaledis.workdir import Workdir, read_json, write_arrays, write_json

CHUNK = 500  # images encoded at once
NO_FACTORS = " the codes only: the data set has no factors, so that no metric applies"
FEWEST = 10  # images that make a training and a test part


def evaluate_population(
    runs: Sequence[Run],
    index: int,
    dataset: Dataset,
    workdir: Workdir,
    *,
    stop: Callable[[], bool] = never,
    step: int | None = None,
) -> None:
    """Scores every run of population `index` as its config asks, at its newest step or at `step`.

    Scores of another split, backend, number of codes or step stand side by side in runs/<run>/scores/; metrics that are
    there already are not computed again. It writes nothing else.

    Raises UserError if the data have changed, or if there is no checkpoint of `step`; Stopped once `stop()`.
    """
    checkpoints = Checkpoints(workdir.checkpoints(index))
    if step is not None and step not in checkpoints.steps:
        raise UserError(f"--step: there is no checkpoint of step {step}; there are {checkpoints.steps}.")
    wanted = checkpoints.newest if step is None else step
    if wanted is None or all(_is_scored(workdir, run, wanted, dataset) for run in runs):
        return
    population = Population([run.config for run in runs], input_pipeline.spec_of(dataset, runs[0].config.data))
    facts = input_pipeline.facts(dataset, population.config.data)
    for run in runs:
        input_pipeline.check_same(workdir.dataset_of(run.name), facts, run.name)
    found = checkpoints.restore_newest(population.shapes) if step is None else None
    states = found[1] if found else checkpoints.restore(population.shapes, wanted)
    score_population(runs, population, states, dataset, workdir, found[0] if found else wanted, stop=stop)


def score_population(
    runs: Sequence[Run],
    population: Population,
    states: RunState,
    dataset: Dataset,
    workdir: Workdir,
    step: int,
    *,
    stop: Callable[[], bool] = never,
) -> None:
    """Writes the scores and codes of every run that lacks them at `step`."""
    for slot, run in enumerate(runs):
        if stop():
            raise Stopped("Stopped between evaluations; the same command goes on from there.")
        if _is_scored(workdir, run, step, dataset):
            continue
        print(f"{run.name}: scoring{'' if dataset.factor_names else NO_FACTORS}", file=sys.stderr)
        model = population.model(states, slot)
        diverged = int(states.diverged[slot])
        index, train_codes = sample(dataset, run.config)
        codes = encode_images(model, dataset, index)
        scores = {
            "run": run.name,
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            "split": run.config.evaluate.split,
            "held_out": run.config.data.held_out,
            "train_codes": train_codes,
            "test_codes": len(index) - train_codes,
            "step": step,
            "diverged": None if diverged == NEVER else diverged,
            "version": version.VERSION,
            "commit": version.commit(),
            **score_codes(codes, dataset.factors(index), run.config.evaluate, train_codes, dataset),
        }
        path = workdir.run(run.name) / "scores" / scores_name(run.config.evaluate, step)
        if path.exists():
            scores = _merged(read_json(path), scores)
        write_arrays(
            workdir.run(run.name) / "codes.npz",
            index=index,
            mean=codes.mean,
            log_variance=codes.log_variance,
            levels=codes.levels,
            factors=dataset.factors(index),
        )
        write_json(path, scores)
        write_json(workdir.run(run.name) / "scores.json", scores)


def scores_name(settings: Evaluate, step: int) -> str:
    """The file of the scores that these settings make at a step; metrics are merged in it."""
    codes = f"{settings.train_codes}+{settings.test_codes}"
    return f"step={step},split={settings.split},codes={codes},seed={settings.seed},dci={settings.dci_backend}.json"


def sample(dataset: Dataset, config: Config) -> tuple[np.ndarray, int]:
    """Indices of the train codes, then of the test codes, and how many train; disjoint, drawn without replacement.

    Where the split has fewer images than asked for, all of them are taken, in the same proportion.

    Raises UserError for fewer than ten images.
    """
    settings = config.evaluate
    among = input_pipeline.split(dataset, config.data, settings.split)
    wanted = settings.train_codes + settings.test_codes
    if dataset.factor_names and len(among) < FEWEST:
        raise UserError(
            f"evaluate.split: {settings.split!r} of {dataset.name} has {len(among)} images; {FEWEST} are needed."
        )
    taken = min(wanted, len(among))
    train_codes = round(taken * settings.train_codes / wanted)
    return np.random.default_rng(settings.seed).permutation(among)[:taken], train_codes


def encode_images(model: Model, dataset: Dataset, index: np.ndarray) -> Codes:
    """Codes of the images at `index` [n]: mean and log_variance [n, K] as numpy arrays."""
    chunks = [index[start : start + CHUNK] for start in range(0, len(index), CHUNK)]
    parts = [model.encode(dataset.images(np.resize(chunk, CHUNK))) for chunk in chunks]  # one shape, one compilation
    mean, log_variance = (
        np.concatenate([np.asarray(getattr(part, name)) for part in parts])[: len(index)]
        for name in ("mean", "log_variance")
    )
    return Codes(mean, log_variance, parts[0].levels)


def score_codes(
    codes: Codes, factors: np.ndarray, settings: Evaluate, train_codes: int, dataset: Dataset
) -> dict[str, Any]:
    """All metrics over all units under "all", and over each level's own under "level4" (top) to "level1" (bottom).

    A flat model has "all" alone. What cannot be scored is listed under "skipped" with its reason, and keeps nothing
    else from being scored.
    """
    finite = bool(np.isfinite(codes.mean).all() and np.isfinite(codes.log_variance).all())
    kl = np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0) if finite else None
    found: dict[str, Any] = {"unit_kl_nats": kl.tolist() if finite else None, "all": {}, "skipped": {}}
    if not finite:
        return found | {"skipped": {"all": "the codes are not finite"}}
    if not dataset.factor_names:
        return found
    share = train_codes / len(codes.mean)
    options = {"dci": {"backend": settings.dci_backend, "train_fraction": share}}
    options = {name: option for name, option in options.items() if name in settings.metrics}
    depth = int(codes.levels.max()) + 1
    groups = {"all": np.ones(codes.levels.shape, bool)}
    groups |= {f"level{depth - level}": codes.levels == level for level in range(depth) if depth > 1}
    for name, units in groups.items():
        try:
            found[name] = compute(settings.metrics, codes.mean[:, units], factors, settings.seed, options)
        except UserError as error:
            found["skipped"][name] = str(error)
            print(f"{name}: not scored: {error}", file=sys.stderr)
    return found


def _is_scored(workdir: Workdir, run: Run, step: int, dataset: Dataset) -> bool:
    """Whether the run has all scores that its config asks for, at a step; a file that is damaged is made again."""
    path = workdir.run(run.name) / "scores" / scores_name(run.config.evaluate, step)
    if not path.exists() or not (workdir.run(run.name) / "codes.npz").exists():
        return False
    try:
        scores = read_json(path, "all", "step", "dataset", "skipped")
    except UserError as error:
        print(f"{error} It is made again.", file=sys.stderr)
        path.unlink()
        return False
    there = {key.partition("/")[0] for key in scores["all"]}
    return not dataset.factor_names or "all" in scores["skipped"] or set(run.config.evaluate.metrics) <= there


def _merged(held: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The newer scores with those of metrics that only the older ones have."""
    groups = {
        key: held[key] | new[key] for key in new if isinstance(new[key], dict) and isinstance(held.get(key), dict)
    }
    return new | groups


def score(
    codes: Any, factors: Any, metrics: Sequence[str] = ("dci", "mig"), *, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Scores of codes [N, K] of any model against factors [N, F], such as {"mig/mig": 0.56, ...}.

    Args:
      codes: one row per image, usually posterior means.
      factors: the class of every factor of the same images.
      metrics: their names, see `scaledis list`.
      seed: fixes every number that a metric draws.
      options: of a metric by its name: `dci={"backend": "sklearn"}`.

    Raises UserError for an unknown metric or option, and for codes and factors that do not fit together.

    >>> codes = np.repeat(np.arange(3.0), 50)[:, None]
    >>> score(codes, codes.astype(int), ["mig"])["mig/mig"]
    1.0
    """
    return compute(
        [metrics] if isinstance(metrics, str) else metrics, np.asarray(codes), np.asarray(factors), seed, options
    )
