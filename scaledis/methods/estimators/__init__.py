"""Estimators of the aggregate posterior, by name: `config.objective.estimator`.

A module here defines `ESTIMATORS`, name -> EstimatorSpec.
"""

import functools
import sys
from collections.abc import Mapping
from types import MappingProxyType

from scaledis.config import Config
from scaledis.core import registry
from scaledis.methods.estimators.spec import EstimatorSpec
from scaledis.types import Estimator, ImageSpec

KEY = "objective.estimator"


@functools.cache
def specs() -> Mapping[str, EstimatorSpec]:
    """All estimators by name."""
    return MappingProxyType(registry.collect(sys.modules[__name__], "ESTIMATORS"))


def choose(name: str) -> EstimatorSpec:
    """The estimator `name`. Raises UserError that lists the choices for an unknown name."""
    return registry.choose(KEY, name, specs())


def make(name: str, config: Config, images: ImageSpec) -> Estimator:
    """The estimator `name` of a config. Raises UserError for an unknown name."""
    return choose(name).make(config, images)
