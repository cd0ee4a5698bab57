"""Scores of codes and of models by the metrics of a config, over all units and for each level."""

import inspect
import math
import sys
from collections.abc import Callable, Mapping

import numpy as np

from scaledis import metrics
from scaledis.config import Evaluate
from scaledis.core import registry, runtime
from scaledis.core.errors import UserError
from scaledis.core.progress import shown
from scaledis.datasets import Dataset
from scaledis.metrics import compute, of_models
from scaledis.metrics.shared.spec import Result
from scaledis.model import Model
from scaledis.objectives import gaussian
from scaledis.types import Codes

OF_LEVELS = "level"  # the metric that compares levels, and so needs all of them


def score_codes(
    codes: Codes,
    factors: np.ndarray,
    settings: Evaluate,
    train_codes: int,
    dataset: Dataset,
    *,
    stop: Callable[[], bool] = runtime.never,
) -> Result:
    """Returns all metrics, over all units under "all" and over each level under "level4" (top) to "level1" (bottom).

    A flat model has only "all". "skipped" has the reason for each score that cannot be computed, such as
    {"level1/dci": "..."}. `unit_kl_nats` is None for a unit of infinite KL, which has no noise, and for all units if
    codes are not finite or a log variance is NaN. Once `stop()` is True, the remaining metrics are left out.
    """
    depth = int(codes.levels.max()) + 1
    groups = {"all": np.ones(codes.levels.shape, bool)}
    groups |= {f"level{depth - level}": codes.levels == level for level in range(depth) if depth > 1}
    found: Result = {"unit_kl_nats": None, "skipped": {}, **{name: {} for name in groups}}
    if _is_finite(codes):
        nats = np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0)
        found["unit_kl_nats"] = [kl if math.isfinite(kl) else None for kl in nats.tolist()]
    if not dataset.factor_names:
        return found
    share, kinds = train_codes / len(codes.mean), kinds_of(settings, dataset)
    wanted = [each for each in settings.metrics if each in metrics.names()]
    # All units come last: a metric that was stopped before them counts as missing.
    jobs = [(metric, name) for metric in wanted for name in reversed(groups) if name == "all" or metric != OF_LEVELS]
    for metric, name in shown(jobs, "scores", len(jobs), name=lambda job: f"{job[0]} of {job[1]}"):
        if stop():
            break
        try:
            found[name] |= score_units(metric, codes, groups[name], factors, settings, share, kinds)
        except UserError as error:
            found["skipped"][f"{name}/{metric}"] = str(error)
            print(f"{name}: not scored by {metric}: {error}", file=sys.stderr)
    return found


def kinds_of(settings: Evaluate, dataset: Dataset) -> dict[int, str]:
    """Returns the kinds of `evaluate.kinds` by the number of the factor. Raises UserError for an unknown factor."""
    found = {}
    for each in settings.kinds:
        name, _, kind = each.partition("=")
        registry.check("evaluate.kinds", name, dataset.factor_names)
        found[dataset.factor_names.index(name)] = kind
    return found


def score_model(
    found: Result,
    model: Model,
    dataset: Dataset,
    index: np.ndarray,
    codes: Codes,
    settings: Evaluate,
    *,
    stop: Callable[[], bool] = runtime.never,
) -> Result:
    """Returns the scores that `score_codes` found, with those that need the model added under "all".

    They are of the images at `index`. Once `stop()` is True, the remaining metrics are left out.
    """
    every, skipped = dict(found["all"]), dict(found["skipped"])
    wanted = [each for each in settings.metrics if each in of_models.names()]
    for metric in shown(wanted, "scores of the model", len(wanted), name=str):
        if stop():
            break
        try:
            if found["unit_kl_nats"] is None:
                raise UserError("the codes are not finite")
            own = of_models.of_codes(metric, model, dataset, index, codes, settings.seed)
            warnings = f"{metric}/warnings"
            every |= own | {warnings: [*every.get(warnings, []), *own[warnings]]}
        except UserError as error:
            skipped[f"all/{metric}"] = str(error)
            print(f"all: not scored by {metric}: {error}", file=sys.stderr)
    return {**found, "all": every, "skipped": skipped}


def score_units(
    metric: str,
    codes: Codes,
    units: np.ndarray,
    factors: np.ndarray,
    settings: Evaluate,
    share: float,
    kinds: Mapping[int, str],
) -> Result:
    """Returns the scores of one metric over some units, bool [K].

    Rows are in random order; the first `share` of them train. Codes without posteriors have None as log variances.

    Raises UserError for codes that are not finite or the same for every image, and for what the metric refuses.
    """
    if not _is_finite(codes):
        raise UserError("the codes are not finite")
    if not np.ptp(codes.mean[:, units], axis=0).any():
        raise UserError("the codes are the same for every image")
    known = inspect.signature(registry.module("metrics", metrics, metric).compute).parameters
    options = {"backend": settings.dci_backend, "train_fraction": share}
    own = {metric: {key: value for key, value in options.items() if key in known}}
    log_variances = None if codes.log_variance is None else codes.log_variance[:, units]
    of_units = {"levels": codes.levels[units], "log_variances": log_variances}
    common = {"shuffle": False, "chance": settings.chance, "kinds": kinds, **of_units}
    return compute(metric, codes.mean[:, units], factors, settings.seed, own, **common)


def _is_finite(codes: Codes) -> bool:
    known = codes.log_variance is None or not np.isnan(codes.log_variance).any()
    return bool(known and np.isfinite(codes.mean).all())
