"""The declaration of a method: how it is built, its equation, its hyperparameters, its settings per data set."""

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scaledis.config import Config, no_check
from scaledis.core import UserError, kinds, registry
from scaledis.core.fields import is_float32
from scaledis.types import ImageSpec, Method

LADDER_WARMUP = 1500.0  # steps

# Settings that several methods share.
# The flat baselines of the disentanglement literature (Roth et al. 2023, and with them Meo et al. 2024): published,
# except for the initialization of the network.
FLAT: Mapping[str, object] = {
    "objective.likelihood": "bernoulli",
    "objective.kl_warmup": 0.0,
    "train.learning_rate": 1e-4,
    "train.batch": 64,
    "train.steps": 300_000,
    "train.gradient_clip": 0.0,
}
# Ladders: the paper states only a Gaussian likelihood; the rest is ours.
LADDER = {"train.steps": 300_000, "train.learning_rate": 1e-3}

# The names of what every run carries, or every step adds, beside a method's hyperparameters.
RESERVED = ("active", "sigma", "kl_warmup", "kl_weight", "learning_rate", "presence")


class Hyperparameter(NamedTuple):
    """A key of `config.method`.

    default: its value if the config has none.
    about: what it weighs or counts, one line.
    lowest, highest: the range of a number, both ends included.
    choices: the values of a hyperparameter that is a name.
    per_level: whether a tuple with one number per level is a value too; the array is then always [L].
    static: whether it shapes the program, so that runs that differ in it cannot train together.
    """

    default: Any
    about: str
    lowest: float = 0.0
    highest: float = math.inf
    choices: tuple[str, ...] = ()
    per_level: bool = False
    static: bool = False

    def check(self, key: str, value: object, levels: int) -> None:
        """Raises UserError for a value that the hyperparameter cannot have."""
        if self.choices:
            registry.check(key, value, self.choices)
            return
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) and not self.per_level:
            raise UserError(f"{key}: {registry.short(value)} must be one number.")
        if isinstance(value, tuple) and len(value) != levels:
            found = f"{registry.short(value)} has {len(value)} values"
            raise UserError(f"{key}: {found}, but model.allocation has {levels} levels.")
        for each in values:
            if not is_float32(each) or not self.lowest <= each <= self.highest:
                upper = "" if math.isinf(self.highest) else f" and at most {self.highest:g}"
                bound = f"a finite number of at least {self.lowest:g}{upper}"
                raise UserError(f"{key}: {registry.short(value)} must be {bound} that a float32 can hold.")


def no_arrays(config: Config) -> dict[str, np.ndarray]:
    """Returns no arrays: the `arrays` of a method whose hyperparameters are arrays already."""
    del config
    return {}


@dataclasses.dataclass(frozen=True, eq=False)  # each is one registration
class MethodSpec:
    """How a method is made from a config.

    Attributes:
      build: (config, ImageSpec) -> Method. The config lacks what each run carries as an array (`plan.shared`).
      equation: its terms, in the order of its code, and the paper; `scaledis describe` prints it.
      about: one line: what it adds to reconstruction + KL.
      hyperparameters: the keys of `config.method`.
      flat: whether all units form one level (`model.latents` of them) instead of a ladder (`model.allocation`).
      network: the network that an empty `model.network` stands for; "" for a method that takes none by name.
      estimator: whether its penalty reads `objective.estimator`; another one than the default is an error if not.
      arrays: config -> {name: array}, which `init` gets besides the hyperparameters; one of the same name replaces its
        hyperparameter. Raises UserError for values that do not fit together.
      check: raises UserError for a config that the method cannot run with.
      same_as: name of another method -> the values of its hyperparameters at which it equals this method; those that
        both methods have are the same.
      program: the method of `same_as` in whose program it trains, at these values; "" for a separate program.
      shares: the hyperparameters that, at 0, stand for a share of `train.steps`, which changes if a run is lengthened.
      widens: whether runs that differ in `model.parameters` train together, if their network pads (NetworkSpec).
      settings: name of a data set -> overrides by dotted key, beyond those under "", which hold for every data set.

    Raises UserError for an attribute of another kind, and for a hyperparameter with the name of something that every
    run carries.
    """

    build: Callable[[Config, ImageSpec], Method]
    equation: str
    about: str
    hyperparameters: Mapping[str, Hyperparameter] = dataclasses.field(default_factory=dict)
    flat: bool = True
    network: str = "ladder"
    estimator: bool = True
    arrays: Callable[[Config], dict[str, np.ndarray]] = no_arrays
    check: Callable[[Config], None] = no_check
    same_as: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    program: str = ""
    shares: tuple[str, ...] = ()
    widens: bool = False
    settings: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds.check_fields("", self)
        for name, hyperparameter in self.hyperparameters.items():
            kinds.check_fields(f"hyperparameters[{name!r}].", hyperparameter)
            if name in RESERVED or name == "name" or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise UserError(
                    f"hyperparameter: {name!r} cannot be the name of a method's own; it must be a lower-case word and "
                    f"none of {', '.join(RESERVED)}, which every run carries."
                )
        for name in self.shares:
            registry.check("shares", name, self.hyperparameters)
        if self.program:
            registry.check("program", self.program, self.same_as)

    def checked_arrays(self, config: Config) -> dict[str, np.ndarray]:
        """Returns all arrays of a run's hyperparameters. Raises UserError, naming the key, the value and choices."""
        given, levels = config.method.hyperparameters, len(config.model.allocation)
        found = {}
        for name, hyperparameter in self.hyperparameters.items():
            hyperparameter.check(f"method.{name}", given[name], levels)
            if not hyperparameter.static and not hyperparameter.choices:
                shape = (levels,) if hyperparameter.per_level else ()
                found[name] = np.broadcast_to(np.asarray(given[name], np.float32), shape).copy()
        own = self.arrays(config)
        kinds.check(f"arrays of {config.method.name}", own, Mapping[str, object])
        for name in own:
            if name in RESERVED:
                raise UserError(f"arrays: {name!r} of {config.method.name} is the name of what every run carries.")
        return {**found, **own}

    @property
    def identity(self) -> str:
        """`same_as` as a sentence; "" if it is empty."""
        each = [
            f"{name} at {', '.join(f'{key} = {value:g}' for key, value in values.items())}"
            for name, values in self.same_as.items()
        ]
        return f"It is {'; it is '.join(each)}." if each else ""

    @property
    def kl_warmup(self) -> float:
        """The default of `objective.kl_warmup`; it keeps the top level of a ladder, the deepest path, alive."""
        return 0.0 if self.flat else LADDER_WARMUP

    def settings_for(self, dataset: str) -> dict[str, object]:
        """Returns the overrides for a data set by dotted key."""
        return {**self.settings.get("", {}), **self.settings.get(dataset, {})}


def equation_of(function: Callable[..., object]) -> str:
    """Returns the docstring of the function that holds a method's terms."""
    return inspect.getdoc(function) or ""
