"""Criteria: what runs are compared by at a rung, by name: a number of the log, or a function of one's own.

A module here may define `CRITERIA`, name -> CriterionSpec. From outside the package a criterion comes in by
`register_criterion`, or by an entry point of the group "scaledis.criteria" that points at such a dictionary.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from scaledis.core import kinds
from scaledis.core.plugins import Registry
from scaledis.types import Model, Run
from scaledis.workdir import log


class Candidate(NamedTuple):
    """A run that stands at a rung.

    run: its name and config.
    records: the lines of its log up to there, {"step": 100, "elbo_nats": -71.5, ...}; None where it had diverged.
    load: returns its model at the rung.
    """

    run: Run
    records: Sequence[Mapping[str, float | None]]
    load: Callable[[], Model]


Criterion = Callable[[Candidate], float | None]


@dataclasses.dataclass(frozen=True)
class CriterionSpec:
    """A criterion of one's own.

    Attributes:
      measure: Candidate -> a number; None or NaN loses against every number.

    Raises UserError for an attribute of another kind.
    """

    measure: Criterion

    def __post_init__(self) -> None:
        kinds.check_fields("", self)


REGISTRY = Registry("criterion", "train.rungs", CriterionSpec, __name__, "criteria")


@kinds.checked
def register_criterion(name: str, measure: Callable[[Candidate], float | None]) -> None:
    """Makes your function a choice of `config.train.rungs`, in place of a number of the log.

    A second call replaces it.

    Args:
      name: a lower-case word.
      measure: a Candidate with `run`, `records` (its log) and `load()` (its model) -> a number; None or NaN loses.

    Raises UserError for a name that this package has, or that is not a lower-case word, and for a `measure` that does
    not take one argument.

    >>> register_criterion("last_kl", lambda candidate: candidate.records[-1]["kl_nats"])
    >>> config = make_config("vlae", {"train.starts": 3, "train.rungs": ((0.2, 1, "last_kl", "max"),)})
    >>> config.train.rungs[0][2]
    'last_kl'
    """
    REGISTRY.register(name, CriterionSpec(measure))


def specs() -> dict[str, CriterionSpec]:
    """Returns all criteria by name; numbers of the log are none of them."""
    return REGISTRY.entries()


def choose(by: str) -> Criterion:
    """Returns the criterion `by`, or else the mean of that number over the last log lines (`log.last_mean`)."""
    own = specs().get(by)
    return own.measure if own else functools.partial(_of_log, by)


def measured(by: str, candidate: Candidate) -> float | None:
    """Returns the number of a run at a rung; None where it diverged, or where the number is not finite."""
    if not candidate.records or any("diverged" in record for record in candidate.records):
        return None
    number = choose(by)(candidate)
    return float(number) if number is not None and math.isfinite(number) else None


def _of_log(term: str, candidate: Candidate) -> float | None:
    return log.last_mean(candidate.records, term)
