"""Criteria: what runs are compared by, by name: a number of the log, a score, or a function of one's own.

Rungs compare runs by them (`train.rungs`), and a search looks for the best of them (`--objective`).

A module here may define `CRITERIA`, name -> CriterionSpec. From outside the package a criterion comes in by
`register_criterion`, or by an entry point of the group "scaledis.criteria" that points at such a dictionary.
"""

import contextlib
import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scaledis import metrics
from scaledis.config import Evaluate
from scaledis.core import UserError, hosts, kinds
from scaledis.core.plugins import Registry
from scaledis.datasets import Dataset
from scaledis.metrics.of_models.shared import coding
from scaledis.model import Model
from scaledis.sweeps import starts
from scaledis.sweeps.aim import is_score
from scaledis.training.evaluate import sample
from scaledis.training.scores import kinds_of, score_units
from scaledis.types import Config, Run
from scaledis.workdir import log, score_files


class Candidate(NamedTuple):
    """A run that has reached a rung.

    run: its name and config.
    records: the lines of its log up to the rung, {"step": 100, "elbo_nats": -71.5, ...}; numbers of a diverged run are
      None.
    load: returns its model at the rung.
    dataset: returns the data set that it trains on.
    scores: returns the scores that it has already at the rung, {"dci/disentanglement": 0.53, ...}.
    """

    run: Run
    records: Sequence[Mapping[str, float | None]]
    load: Callable[[], Model]
    dataset: Callable[[], Dataset]
    scores: Callable[[], Mapping[str, Any]] = dict


ELBO = "elbo_nats"
LOG = ["train.log_every"]  # keys that change the numbers of a log, and those that change scores
SCORES = [f"evaluate.{each.name}" for each in dataclasses.fields(Evaluate) if each.name not in score_files.WHAT]


@dataclasses.dataclass(frozen=True)
class CriterionSpec:
    """A criterion.

    Attributes:
      measure: Candidate -> a number; None or NaN loses against every number.
      together: whether `measure` takes all candidates of a setting at once, and returns a list with the number of each.

    Raises UserError for an attribute of another kind.
    """

    measure: Callable[[Any], Any]
    together: bool = False

    def __post_init__(self) -> None:
        kinds.check_fields("", self)


REGISTRY = Registry("criterion", "train.rungs", CriterionSpec, __name__, "criteria")


@kinds.checked
def register_criterion(name: str, measure: Callable[[Any], Any], together: bool = False) -> None:
    """Makes your function a choice of `config.train.rungs`, in place of a number of the log.

    A second call replaces it.

    Args:
      name: a lower-case word.
      measure: a Candidate with `run`, `records` (its log) and `load()` (its model) -> a number; None or NaN loses.
      together: whether `measure` takes a list of Candidates instead, the two or more runs of a setting, which differ in
        their seeds or starts, and returns a list of their numbers, as `udr` does.

    Raises UserError for a name that this package has, or that is not a lower-case word, and for a `measure` that does
    not take one argument.

    >>> register_criterion("last_kl", lambda candidate: candidate.records[-1]["kl_nats"])
    >>> config = make_config("vlae", {"train.starts": 3, "train.rungs": ((0.2, 1, "last_kl", "max"),)})
    >>> config.train.rungs[0][2]
    'last_kl'
    """
    REGISTRY.register(name, CriterionSpec(measure, together))


def specs() -> dict[str, CriterionSpec]:
    """Returns all criteria by name; numbers of the log are none of them."""
    return REGISTRY.entries()


def scores() -> list[str]:
    """Returns the scores that runs can be compared by, such as "dci/disentanglement"."""
    return [f"{name}/{score}" for name in metrics.names() for score in metrics.spec(name).with_chance]


def choose(by: str) -> CriterionSpec:
    """Returns the criterion `by`; else the score of that name; else that number of the log, by `log.last_mean`."""
    return specs().get(by) or CriterionSpec(functools.partial(_of_scores if is_score(by) else _of_log, by))


def keys(by: str) -> list[str]:
    """Returns the keys on which the number `by` of a run depends, although its training does not."""
    own = by in specs()  # it may read the log, and scores
    return [*(() if is_score(by) else LOG), *(SCORES if own or is_score(by) else ())]


def warn(key: str, by: str, varying: Iterable[str]) -> None:
    """Prints a warning, that the ELBO cannot compare settings, if `by` is the ELBO and a key changes its terms."""
    others = sorted(each for each in varying if each.partition(".")[0] in ("method", "objective", "schedule"))
    if by == ELBO and others and hosts.first():
        better = "it tells the better of several seeds; a score or udr tells the better setting"
        found = f"{by} favors the lowest penalty across {', '.join(others)}"
        print(f"{key}: {found}; {better} (docs/settings.md).", file=sys.stderr)


def measured(by: str, candidates: Sequence[Candidate]) -> list[float | None]:
    """Returns the number of each run at a rung; None for a run that has diverged or whose number is not finite.

    A criterion of several runs has no number for the only run of a setting.
    """
    healthy = [each for each in candidates if each.records and not any("diverged" in line for line in each.records)]
    spec, found = choose(by), dict[str, Any]()
    if spec.together:
        settings: dict[Config, list[Candidate]] = {}
        for each in healthy:
            settings.setdefault(starts.setting(each.run.config), []).append(each)
        for several in settings.values():
            if len(several) > 1:
                found |= zip([each.run.name for each in several], spec.measure(several), strict=True)
    else:
        found = {each.run.name: spec.measure(each) for each in healthy}
    numbers = [found.get(each.run.name) for each in candidates]
    return [float(each) if each is not None and math.isfinite(each) else None for each in numbers]


def _of_scores(score: str, candidate: Candidate) -> float | None:
    """Returns a score over all units, as `evaluate` computes it; None if the metric is not defined for the codes."""
    known = candidate.scores().get(score)
    if known is None:
        dataset, config = candidate.dataset(), candidate.run.config
        index, train_codes = sample(dataset, config)
        codes, settings = coding.encode_images(candidate.load(), dataset, index), config.evaluate
        metric, units, factors = score.partition("/")[0], np.ones(len(codes.levels), bool), dataset.factors(index)
        plain, kinds_ = dataclasses.replace(settings, chance=0), kinds_of(settings, dataset)
        with contextlib.suppress(UserError):
            known = score_units(metric, codes, units, factors, plain, train_codes / len(index), kinds_).get(score)
    return known if isinstance(known, float) else None


def _of_log(term: str, candidate: Candidate) -> float | None:
    return log.last_mean(candidate.records, term)
