"""Methods: what is trained. A module here defines one `Recipe` or more; their variable names are the methods' names."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import Array

from scaledis import choices

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


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a method is made from a config.

    Attributes:
      build: (config, dataset) -> Method, the program. Recipes with the same `build` can share a population.
      defaults: the method's hyperparameters, the keys of `config.method`.
      arrays: config -> {name: array}, the hyperparameters as `init` takes them; they may differ between the runs of a
        population. Raises ValueError for values that the method cannot have.
      about: one line: what it adds to reconstruction + KL, and its paper.
    """

    build: Callable[["Config", "Dataset"], Method]
    defaults: Mapping[str, Any]
    arrays: Callable[["Config"], dict[str, np.ndarray]]
    about: str


@functools.cache
def recipes() -> dict[str, Recipe]:
    """All methods by name."""
    package = sys.modules[__name__]
    found = {}
    for name in choices.modules(package):
        module = choices.module("method", package, name)
        found |= {key: value for key, value in vars(module).items() if isinstance(value, Recipe)}
    return found
