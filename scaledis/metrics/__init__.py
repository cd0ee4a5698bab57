"""Scores of codes against known factors: arrays of any framework in, numbers out. JAX is not imported.

A metric is a module here with `compute(codes, factors, seed, **options) -> {score: value}`, named by its file; its
first score is its headline, and its `SPEC` declares the properties of its scores (shared/spec.py). A metric that names
any of the keyword arguments `protocol`, `information`, `labels`, `levels`, `log_variances` and `groups` receives it. A
metric whose `factors` default to None needs no factors. An array in a result has the factors on its last axis.

Several metrics share these arguments and results:

  - `codes`: float [N, K], one row per image; `factors`: int [N, F], the class of every factor of the same images.
  - `labels`: the same factors as categories, numbers and angles (shared/labels.py); None: all are categories.
  - `seed`: seeds every random number; ignored by a metric that draws none.
  - `protocol`: the published setting; the docstring of a metric says what it changes.
  - `bins`, `binning`: each unit is cut into `bins` bins, of equal width over its range ("equal_width") or between its
    quantiles ("quantile"), which outliers cannot empty. Factors are not cut.
  - `train_fraction`: the share of the rows, the first ones, that train models; the others test them.
  - `levels`: int [K], the level of each unit.
  - `log_variances`: float [N, K], of the posteriors whose means are the codes.
  - `information`: the tables of codes and factors, if they are already computed.
  - `warnings`: sentences about bins that outliers empty, classes with few training rows, and scores that do not exist.

Every metric raises UserError for codes, factors and options that it cannot use.

The chance level of a score, `<key>_chance`, is the mean score of the same codes over permutations of the factors' rows;
a missing label stays where it is. `<key>_chance_deviation` is the standard deviation over permutations; divided by the
root of `permutations` it is the standard error of the level. Every score in [0, 1] of a metric of factors has a chance
level.

The interval of a score, `<key>_interval`, comes from the bootstrap. A score without a fit is computed again from N rows
drawn with replacement. A score of a fitted model is computed again from its predictions at test rows, or test votes,
drawn with replacement; the model is not fitted again, so the interval omits the variance of training. A draw of rows
without any label of a factor is left out. Scores from importances and from nearest neighbors (a row drawn twice would
be its own) have no interval.

Conventions:

  - A factor with one value in the rows used is left out and listed under `dropped`; it is None in a list of factors, 0
    in a matrix.
  - A unit without variance has information 0 and importance 0, and is listed under `dropped`.
  - With a single unit, the gap is its whole score, and completeness is 1; with a single factor, disentanglement is 1.
  - No score is NaN: a score that does not exist is None, and `warnings` says why.
  - A ratio of information is None if no unit knows more than any unit does in 99 permutations of the factors' rows.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from scaledis.core import UserError, kinds, registry
from scaledis.core.progress import shown
from scaledis.metrics.shared import arguments, encoding, scoring
from scaledis.metrics.shared.mutual import entropy, information
from scaledis.metrics.shared.protocols import PROTOCOLS, ROWS
from scaledis.metrics.shared.rows import checked
from scaledis.metrics.shared.spec import Options, Result, Results, Spec, spec_of

__all__ = ["PROTOCOLS", "ROWS", "checked", "compute", "entropy", "evaluate", "information", "names", "spec"]


def names() -> list[str]:
    """Returns the names of all metrics."""
    return registry.modules(sys.modules[__name__])


def spec(name: str) -> Spec:
    """Returns what a metric declares about its scores. Raises UserError for an unknown metric."""
    return spec_of(registry.module("metrics", sys.modules[__name__], name))


def compute(
    names: str | Sequence[str],
    codes: object,
    factors: object,
    seed: int = 0,
    options: Options | None = None,
    **settings: Any,
) -> Result:
    """Returns the scores of one or several metrics as {"dci/disentanglement": .., "mig/mig": .., ..}.

    Args:
        names: metrics to compute.
        codes: numbers [N, K], a row per image (usually posterior means), of numpy, JAX, torch, pandas or lists.
        factors: whole numbers, bools, strings or floats [N, F], the label of each factor of the same images; None for
            metrics that need none. Whole numbers keep their values, which MCC, the r2 of SAP, the protocol `hfs`, and
            IRS under `library` take as amounts; strings and categories become ranks in their order, 2 before 10. None
            and NaN are missing labels: each factor is scored on the images that have its label. Rows of two pandas
            objects are matched by their index.
        seed: seeds every random number of the metrics; from 0 to 2^32 - 1.
        options: keyword arguments per metric, such as `{"dci": {"backend": "sklearn"}}`, and its own settings.
        settings: for all metrics, by the names below.
        protocol: one of `PROTOCOLS`; None, the default, takes each metric's own, which its result names.
        shuffle: whether rows are brought into random order before a metric splits them; default True.
        rows: the most rows that a metric uses, except metrics that take all under `protocol`; None, the default: all.
        n_bootstrap: B > 0 adds `<key>_interval`, the 2.5th and 97.5th percentile of a score over B resamples; default
            0.
        chance: permutations of the factors' rows behind the chance levels; metrics that fit models take a quarter of
            them, rounded up; 0 omits the levels; default 20.
        groups: lists of columns of codes (slots, levels) that count as one unit each, for metrics that take groups: by
            their first principal component, or for DCI by the sum of their importances; None, the default: no groups.
        levels: the level of each unit, int [K]; default None.
        log_variances: float [N, K], of the posteriors whose means are `codes`; default None.
        kinds: the kind of each factor, or {number: kind} of some: "category", "number", "angle" in radians, or
            "angle:360" with another period; None, the default: a factor with a number that is not whole is a number,
            any other a category. A metric leaves out factors of a kind that it is not defined for, and says so.
        missing: a value that stands for a missing label, such as -1; default None.

    Returns:
        For every metric its scores, their intervals and chance levels; `n`, the rows used; `permutations` behind the
        chance levels; `protocol`; `dropped`, {"factors": [..], "units": [..]} by their numbers; `warnings`, sentences.
        Unless all factors are categories without a missing label also `kinds`, that of each factor, and `labeled`, the
        rows with a label of each.

    Raises:
        UserError: an unknown metric, option or protocol, or one of another kind; codes or factors that `checked`
            refuses; no factor that varies, or no factors where a metric needs them; levels, groups or log variances
            that do not fit the codes; groups for a metric that takes none.
    """
    arguments.check("seed", seed, int, 0, arguments.LARGEST_SEED)
    jobs, samples, scores = _jobs(names, options, settings), scoring.Samples(codes, factors, seed), Results()
    for name, metric, own, given in shown(jobs, "metrics", len(jobs), name=lambda job: job[0]):
        found = scoring.own_scores(name, metric, samples, seed, own, given)
        scores |= {f"{name}/{key}": value for key, value in found.items()}
    return scores


def _jobs(
    names: str | Sequence[str], options: Options | None, settings: Mapping[str, Any]
) -> list[tuple[str, ModuleType, scoring.Settings, dict[str, Any]]]:
    """Each metric with its name, settings and options. Raises UserError for any of them that is unknown or unfit."""
    package, wanted, options = sys.modules[__name__], arguments.names_of(names), {} if options is None else options
    kinds.check("options", options, Mapping[str, object])
    metrics = {name: registry.module("metrics", package, name) for name in dict.fromkeys([*wanted, *options])}
    for name, given in options.items():
        arguments.check_options(name, metrics[name].compute, given, scoring.COMMON)
    for key in settings:
        registry.check("metrics setting", key, scoring.COMMON)
    common, jobs = scoring.Settings(**settings), []
    for name in wanted:
        given = dict(options.get(name, {}))
        own = replace(common, **{key: given.pop(key) for key in scoring.COMMON if key in given})
        if own.groups is not None and spec(name).groups is None:
            takers = ", ".join(each for each in registry.modules(package) if spec(each).groups)
            raise UserError(f"groups: the metric {name!r} takes none. Metrics that take groups: {takers}.")
        jobs.append((name, metrics[name], own, given))
    return jobs


def evaluate(
    encode: Callable[[np.ndarray], object],
    dataset: encoding.Images,
    names: str | Sequence[str],
    key: object,
    levels: Sequence[int] | np.ndarray | None = None,
    options: Options | None = None,
    *,
    protocol: str | None = None,
    codes: str = "mean",
    **settings: Any,
) -> Result:
    """Returns the scores of an encoder on a data set, on at most 10,000 + 5,000 images unless the protocol takes all.

    Args:
        encode: (images uint8 [n, H, W, C]) -> codes [n, K], or (mean, log_variance) of Gaussian posteriors; of numpy,
            JAX or torch.
        dataset: has `size`, `images(index)` and `factors(index)`, as those of `scaledis.datasets`.
        names: metrics to compute.
        key: an integer or a key of JAX; seeds the images, the samples and the metrics.
        levels: the level of each unit, int [K].
        options, protocol, settings: as in `compute`.
        codes: "mean" scores posterior means, "sampled" one sample of each posterior, mean + std * noise. They differ: a
            collapsed unit (std 1, mean 1e-6 * factor) has MIG 1 by its means and 0 by its samples.

    Returns:
        What `compute` returns.

    Raises:
        UserError: what `compute` raises; codes of an unknown kind; sampled codes without log variances.
    """
    registry.check("codes", codes, ("mean", "sampled"))
    seed, jobs = encoding.seed_of(key), _jobs(names, options, {"protocol": protocol, **settings})
    rng = np.random.default_rng(seed)
    whole = any(own.protocol and name in PROTOCOLS[own.protocol].whole for name, _, own, _ in jobs)
    index = rng.permutation(dataset.size)[: None if whole else ROWS].astype(np.int32)
    means, log_variances = encoding.encoded(encode, dataset, index)
    if codes == "sampled":
        if log_variances is None:
            raise UserError("codes: 'sampled' needs an encoder that returns (mean, log_variance).")
        means, log_variances = encoding.sampled(means, log_variances, rng), None
    given = {"protocol": protocol, "rows": ROWS, "levels": levels, "log_variances": log_variances, "shuffle": False}
    factors = dataset.factors(index)
    known = factors if np.shape(factors)[1] else None
    return compute(names, means, known, seed, options, **(given | settings))
