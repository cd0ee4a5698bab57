"""Methods: what is trained. A module here defines one `Recipe` or more; their variable names are the methods' names."""

import dataclasses
import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import Array

from scaledis import registry
from scaledis.errors import UserError

if TYPE_CHECKING:
    from scaledis.config import Config
    from scaledis.datasets import Dataset


class Codes(NamedTuple):
    """What every metric sees, concatenated from the top level to the bottom one.

    mean, log_variance: [B, K], the posterior of each unit.
    levels: int [K], the level of each unit, 0 at the top.
    """

    mean: Array
    log_variance: Array
    levels: np.ndarray


class Method(NamedTuple):
    """A method as pure functions on one run; a population is their `vmap`.

    init: (key, hyperparameters) -> state; params, optimiser states, counters and hyperparameters in one pytree.
    update: (state, images uint8 [B, H, W, C], key) -> (state, terms); one step. `terms` are scalars by name, those in
      nats per image end in `_nats`; a run whose terms are not all finite is frozen. Consumes `key`.
    encode: (state, images uint8 [B, H, W, C]) -> Codes.
    decode: (state, codes [B, K]) -> expected images float [B, H, W, C] in [0, 1].
    """

    init: Callable[[Array, dict[str, Array]], Any]
    update: Callable[[Any, Array, Array], tuple[Any, dict[str, Array]]]
    encode: Callable[[Any, Array], Codes]
    decode: Callable[[Any, Array], Array]


class Hyperparameter(NamedTuple):
    """A key of `config.method`.

    default: its value where the config has none.
    about: what it weighs or counts, one line.
    lowest, highest: the range of a number, both ends included.
    choices: of a name.
    per_level: whether a tuple of one number per level will do as well; the array is then always [L].
    static: whether it shapes the program, so that runs that differ in it cannot train together.
    """

    default: Any
    about: str
    lowest: float = 0.0
    highest: float = math.inf
    choices: tuple[str, ...] = ()
    per_level: bool = False
    static: bool = False

    def check(self, key: str, value: Any, levels: int) -> None:
        """Raises UserError for a value that it cannot have."""
        if self.choices:
            registry.check(key, value, self.choices)
            return
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) and not self.per_level:
            raise UserError(f"{key}: {value} must be one number.")
        if isinstance(value, tuple) and len(value) != levels:
            raise UserError(f"{key}: {value} has {len(value)} values, but model.allocation has {levels} levels.")
        for each in values:
            number = isinstance(each, int | float) and not isinstance(each, bool)
            if not number or not math.isfinite(each) or not self.lowest <= each <= self.highest:
                upper = "" if math.isinf(self.highest) else f" and at most {self.highest:g}"
                raise UserError(f"{key}: {value} must be a finite number of at least {self.lowest:g}{upper}.")


def no_more(config: "Config") -> dict[str, np.ndarray]:
    """The `arrays` of a method whose hyperparameters need no translation."""
    del config
    return {}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a method is made from a config.

    Attributes:
      build: (config, dataset) -> Method, the program. Recipes with the same `build` can share a population.
      objective: the function that holds the method's own terms; its docstring is the equation, in the order of its
        code, and the paper. `--describe` prints it.
      about: one line: what it adds to reconstruction + KL.
      hyperparameters: the keys of `config.method`.
      flat: whether all units form one level (`model.latents` of them) instead of a ladder (`model.allocation`).
      arrays: config -> {name: array} of what `init` takes besides the hyperparameters themselves, or instead of
        them. Raises UserError for values that do not go together.
    """

    build: Callable[["Config", "Dataset"], Method]
    objective: Callable
    about: str
    hyperparameters: Mapping[str, Hyperparameter] = dataclasses.field(default_factory=dict)
    flat: bool = True
    arrays: Callable[["Config"], dict[str, np.ndarray]] = no_more

    @property
    def equation(self) -> str:
        return inspect.cleandoc(self.objective.__doc__)

    def checked_arrays(self, config: "Config") -> dict[str, np.ndarray]:
        """All arrays of a run's hyperparameters. Raises UserError that names the key, the value and what it can be."""
        given, levels = config.method.hyperparameters, len(config.model.allocation)
        found = {}
        for name, hyperparameter in self.hyperparameters.items():
            hyperparameter.check(f"method.{name}", given[name], levels)
            if not hyperparameter.static and not hyperparameter.choices:
                shape = (levels,) if hyperparameter.per_level else ()
                found[name] = np.broadcast_to(np.asarray(given[name], np.float32), shape).copy()
        return found | self.arrays(config)


@functools.cache
def recipes() -> dict[str, Recipe]:
    """All methods by name."""
    package = sys.modules[__name__]
    found = {}
    for name in registry.modules(package):
        module = registry.module("method", package, name)
        found |= {key: value for key, value in vars(module).items() if isinstance(value, Recipe)}
    return found
