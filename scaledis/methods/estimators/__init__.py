"""Estimators of the aggregate posterior, by name: `config.objective.estimator`.

A module here defines `ESTIMATORS`, name -> EstimatorSpec. From outside the package an estimator comes in by
`register_estimator`, or by an entry point of the group "scaledis.estimators" that points at such a dictionary.
"""

import dataclasses
from collections.abc import Callable

from scaledis.config import Config, no_check
from scaledis.core import kinds
from scaledis.core.plugins import Registry
from scaledis.types import Estimator, ImageSpec


@dataclasses.dataclass(frozen=True, eq=False)  # each is one registration
class EstimatorSpec:
    """How an estimator is made from a config.

    Attributes:
      make: (config, ImageSpec) -> Estimator. The first line of its docstring is what `scaledis list` shows.
      check: raises UserError for a config that the estimator cannot run with.

    Raises UserError for an attribute of another kind.
    """

    make: Callable[[Config, ImageSpec], Estimator]
    check: Callable[[Config], None] = no_check

    def __post_init__(self) -> None:
        kinds.check_fields("", self)


REGISTRY = Registry("estimator", "objective.estimator", EstimatorSpec, __name__)


def specs() -> dict[str, EstimatorSpec]:
    """Returns all estimators by name."""
    return REGISTRY.entries()


def choose(name: str) -> EstimatorSpec:
    """Returns the estimator `name`. Raises UserError, which lists the choices, for an unknown name."""
    return REGISTRY.choose(name)


@kinds.checked
def register_estimator(
    name: str, make: Callable[[Config, ImageSpec], Estimator], *, check: Callable[[Config], None] = no_check
) -> None:
    """Makes your estimator a choice of `config.objective.estimator`, like those of this package.

    A second call replaces your estimator. Register it before `load_run` loads a run with it.

    Args:
      name: a lower-case word.
      make: (config, ImageSpec) -> Estimator. The first line of its docstring is what `scaledis list` shows.
      check: raises UserError for a config that the estimator cannot run with.

    Raises UserError for a name that this package has, or that is not a lower-case word, and for a `make` that does not
    take two arguments.

    >>> from scaledis.methods.estimators.minibatch import make_weighted
    >>> register_estimator("mine", make_weighted)
    >>> make_config("scale_vlae", {"objective.estimator": "mine"}).objective.estimator
    'mine'
    """
    REGISTRY.register(name, EstimatorSpec(make, check))


def make(name: str, config: Config, images: ImageSpec) -> Estimator:
    """Makes the estimator `name`. Raises UserError for an unknown name, and if its `make` gives no Estimator."""
    made = choose(name).make(config, images)
    kinds.check(f"make of {name}", made, Estimator)
    kinds.check_fields(f"make of {name}: ", made)
    return made
