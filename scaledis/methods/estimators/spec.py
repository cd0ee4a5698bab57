"""The declaration of an estimator: how it is made, and what it cannot run with."""

import dataclasses
from collections.abc import Callable

from scaledis.config import Config, no_check
from scaledis.core import kinds
from scaledis.types import Estimator, ImageSpec


@dataclasses.dataclass(frozen=True)
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
