"""Scores of codes against known factors: plain numpy in, floats out, so codes may come from any framework.

A metric is a module here with `compute(codes [N, K], factors [N, F], seed, **options) -> {score: value}`, named by its
file; modules whose names start with "_" help. Its first score is its headline. It may list the scores that lie in
[0, 1] as `SCORES`, gets any of `protocol`, `information`, `levels`, `log_variances` and `groups` by naming a keyword
argument so, and needs no factors if their default is None. An array in its result has the factors on its last axis.

The chance level of a score, `<key>_chance`, is what the same codes score on average over permutations of the factors'
rows, with the deviation of one permutation under `<key>_chance_deviation`; its standard error is the deviation over the
root of `permutations`. Every score of `SCORES` has one; `CHANCE` adds others, as {score: None}, or gives the level in
closed form, as {score: level}. A metric with `FITS = True` fits models, and takes a quarter of the permutations. Scores
without factors have none.

Conventions of all metrics:
  - a factor with one value is left out and listed under `dropped`; where a score lists factors it is None, in a
    matrix 0;
  - a unit without variance has information 0 and importance 0, and is listed under `dropped`;
  - with one unit its gap is to 0 and completeness is 1; with one factor disentanglement is 1;
  - nothing is ever NaN: a score that does not exist is None, and `warnings` says why;
  - a score in `RATIOS` sees only proportions of information, and is None where no unit knows more than by chance: more
    than any unit does in 99 permutations of the factors' rows.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from scaledis.core import registry
from scaledis.core.errors import UserError
from scaledis.metrics.shared import arguments, encoding, scoring
from scaledis.metrics.shared.information import entropy, information
from scaledis.metrics.shared.protocols import PROTOCOLS, ROWS
from scaledis.metrics.shared.rows import checked
from scaledis.metrics.shared.scoring import PERMUTATIONS, Settings
from scaledis.metrics.shared.spec import Spec, spec_of

__all__ = ["PROTOCOLS", "ROWS", "checked", "compute", "entropy", "evaluate", "information", "names", "spec"]

BAR_AFTER = 5  # seconds


def names() -> list[str]:
    """Names of all metrics."""
    return registry.modules(sys.modules[__name__])


def spec(name: str) -> Spec:
    """What a metric declares about its scores. Raises UserError for an unknown metric."""
    return spec_of(registry.module("metrics", sys.modules[__name__], name))


def compute(
    names: str | Sequence[str],
    codes: Any,
    factors: Any,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    protocol: str | None = None,
    shuffle: bool = True,
    rows: int | None = None,
    n_bootstrap: int = 0,
    chance: int = PERMUTATIONS,
    groups: Sequence[Sequence[int]] | None = None,
    levels: Sequence[int] | np.ndarray | None = None,
    log_variances: np.ndarray | None = None,
) -> dict[str, Any]:
    """Scores of one or several metrics as one flat dictionary: `{"dci/disentanglement": .., "mig/mig": .., ..}`.

    Args:
        names: metrics to compute.
        codes: numbers [N, K], one row per image (usually posterior means), from numpy, JAX, torch, pandas or lists.
        factors: whole numbers, bools or strings [N, F], the class of each factor of the same images; None for metrics
            that need none. Numbers keep their values, which MCC, the r2 of SAP, the protocol `hfs`, and IRS under
            `library` read as amounts; strings and categories become ranks in their order, 2 before 10. Rows of two
            pandas objects are matched by their index.
        seed: fixes every number that a metric draws; from 0 to 2^32 - 1.
        options: keyword arguments per metric, such as `{"dci": {"backend": "sklearn"}}`, also those below.
        protocol: one of `PROTOCOLS`; None takes each metric's own default, which its result names.
        shuffle: bring the rows into random order, by `seed`, before a metric splits them.
        rows: see at most so many rows, but for metrics that see all under `protocol`; None: all rows.
        n_bootstrap: B > 0 adds `<key>_interval`, the 2.5th and 97.5th percentile of a score over B choices of N rows
            with replacement. A fit is not repeated: its test rows are drawn anew. What comes from the importances of a
            fit, or from nearest neighbors (a row drawn twice would be its own), has no interval.
        chance: permutations of the factors' rows behind the chance levels; metrics that fit models take a quarter of
            them, rounded up; 0: no chance levels.
        groups: columns of codes that are one unit together (slots, levels): their first principal component counts,
            or for DCI the sum of their importances.
        levels: the level of each unit, int [K].
        log_variances: float [N, K], of the posteriors whose means are `codes`.

    Returns:
        For every metric its scores; `<key>_chance` and `<key>_chance_deviation` for each of them that has a chance
        level; and `n`, the rows used; `permutations` behind the chance levels; `protocol`; `dropped`, {"factors": [..],
        "units": [..]} by their numbers; `warnings`, sentences; `backend` where there is a choice.

    Raises:
        UserError: an unknown metric, option or protocol, or one of another kind; codes or factors that `checked`
            refuses; no factor that varies, or none at all where a metric needs them; levels, groups or log variances
            that do not fit.
    """
    names, options = arguments.names_of(names), {} if options is None else options
    arguments.check_count("seed", seed, 0, arguments.LARGEST_SEED)
    arguments.check_mapping("options", options)
    package = sys.modules[__name__]
    metrics = {name: registry.module("metrics", package, name) for name in dict.fromkeys([*names, *options])}
    for name, given in options.items():
        scoring.check_options(name, metrics[name], given)
    common = Settings(protocol, shuffle, rows, n_bootstrap, chance, groups, levels, log_variances)
    samples = scoring.Samples(codes, factors, seed)
    scores: dict[str, Any] = {}
    for name in tqdm(names, "metrics", delay=BAR_AFTER, leave=False):
        given = dict(options.get(name, {}))
        settings = replace(common, **{key: given.pop(key) for key in scoring.COMMON if key in given})
        own = scoring.own_scores(name, metrics[name], samples, seed, settings, given)
        scores |= {f"{name}/{key}": value for key, value in own.items()}
    return scores


def evaluate(
    encode: Callable[[np.ndarray], Any],
    dataset: encoding.Images,
    names: str | Sequence[str],
    key: Any,
    levels: Sequence[int] | np.ndarray | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    protocol: str | None = None,
    codes: str = "mean",
    **settings: Any,
) -> dict[str, Any]:
    """Scores of anyone's encoder on a data set, on the rows of the protocol (at most 10,000 + 5,000 images).

    Args:
        encode: (images uint8 [n, H, W, C]) -> codes [n, K], or (mean, log_variance) of Gaussian posteriors; of numpy,
            JAX or torch.
        dataset: has `size`, `images(index)` and `factors(index)`, as those of `scaledis.datasets`.
        names: metrics to compute.
        key: an integer or a key of JAX; draws the images, the samples and whatever a metric draws.
        levels: the level of each unit, int [K].
        options, protocol, settings: as in `compute`.
        codes: "mean" scores posterior means, "sampled" one sample, mean + std * noise, of each posterior. They differ:
            a unit that has collapsed (std 1, mean 1e-6 * factor) has MIG 1 by its means and 0 by its samples.

    Returns:
        What `compute` returns.

    Raises:
        UserError: what `compute` raises; codes of an unknown kind; sampled codes without log variances.
    """
    registry.check("codes", codes, ("mean", "sampled"))
    seed = encoding.seed_of(key)
    rng = np.random.default_rng(seed)
    wanted = arguments.names_of(names)
    whole = protocol in PROTOCOLS and not PROTOCOLS[protocol].whole.isdisjoint(wanted)
    index = rng.permutation(dataset.size)[: None if whole else ROWS].astype(np.int32)
    means, log_variances = encoding.encoded(encode, dataset, index)
    if codes == "sampled":
        if log_variances is None:
            raise UserError("codes: 'sampled' needs an encoder that returns (mean, log_variance)")
        means, log_variances = encoding.sampled(means, log_variances, rng), None
    given = {"protocol": protocol, "rows": ROWS, "levels": levels, "log_variances": log_variances, "shuffle": False}
    factors = dataset.factors(index)
    known = factors if np.shape(factors)[1] else None
    return compute(wanted, means, known, seed, options, **(given | settings))
