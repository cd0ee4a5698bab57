"""Estimators of the aggregate posterior, by name: `config.objective.estimator`.

A module here defines `ESTIMATORS`, name -> (Setting) -> Estimator. The first line of each function says what it is.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from scaledis.core import registry
from scaledis.methods.estimators.setting import Setting
from scaledis.types import Estimator


@functools.cache
def makers() -> Mapping[str, Callable[[Setting], Estimator]]:
    """All estimators by name."""
    return MappingProxyType(registry.collect(sys.modules[__name__], "ESTIMATORS"))


def make(name: str, setting: Setting) -> Estimator:
    """The estimator `name`. Raises UserError for an unknown name."""
    return registry.choose("objective.estimator", name, makers())(setting)
