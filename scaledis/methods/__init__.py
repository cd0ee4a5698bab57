"""Methods: what is trained, by name.

A module here defines `METHODS`, name -> MethodSpec. From outside the package a method comes in by `register_method`, or
by an entry point of the group "scaledis.methods" that points at such a dictionary.
"""

import dataclasses
import functools
import importlib.metadata
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scaledis.config import Config
from scaledis.core import kinds, registry
from scaledis.core.errors import UserError
from scaledis.methods.base.spec import Hyperparameter, MethodSpec
from scaledis.types import ImageSpec, Method

GROUP = "scaledis.methods"
_registered: dict[str, MethodSpec] = {}


@functools.cache
def _installed() -> dict[str, MethodSpec]:
    """The methods of this package and of every package that has an entry point."""
    found = registry.collect(sys.modules[__name__], "METHODS")
    for entry in importlib.metadata.entry_points(group=GROUP):
        loaded = entry.load()
        kinds.check(f"entry point {entry.value}", loaded, Mapping[str, MethodSpec])
        for name, spec in loaded.items():
            if name in found:
                raise UserError(f"method.name: {name!r} of the entry point {entry.value} is taken.")
            found[name] = spec
    return found


def specs() -> dict[str, MethodSpec]:
    """All methods by name."""
    return {**_installed(), **_registered}


def choose(name: str, key: str = "method.name") -> MethodSpec:
    """The method `name`. Raises UserError, naming `key` and the choices, for an unknown one."""
    return registry.choose(key, name, specs())


@kinds.checked
def register_method(
    name: str,
    build: Callable[[Config, ImageSpec], Method],
    *,
    equation: str,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    flat: bool = True,
    **more: Any,
) -> None:
    """Makes a method of your own a choice of `config.method.name`, as those of this package are.

    Call it again to replace a method of your own, as a notebook's cell does when it is run twice. `load_run` needs the
    method registered too.

    Args:
      name: a lower-case word.
      build: (config, ImageSpec) -> Method; methods/elbo.py and methods/penalty.py have what most methods need.
      equation: its terms and the paper; the first line is what `--list` shows.
      hyperparameters: the keys of `config.method`.
      flat: whether all units form one level instead of a ladder.
      more: further attributes of MethodSpec, such as `arrays` and `settings`.

    Raises UserError for a name that this package has, or that is not a lower-case word, for a `build` that does not
    take two arguments, for an attribute that MethodSpec lacks, for an unknown program, and for a hyperparameter of a
    reserved name.

    >>> from scaledis.methods import Hyperparameter, register_method
    >>> from scaledis.methods.beta_vae import build
    >>> register_method("twice", build, equation="R = 2 KL", hyperparameters={
    ...     "beta": Hyperparameter(2.0, "weight of the KL"), "gamma": Hyperparameter(0.0, "not used"),
    ...     "capacity": Hyperparameter(0.0, "not used")})
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"name: {name!r} must be a lower-case word, such as sparse_vae.")
    if name in _installed():
        raise UserError(f"name: {name!r} is a method of scaledis or of an installed package; choose another.")
    for key in more:
        registry.check("register_method", key, [field.name for field in dataclasses.fields(MethodSpec)])
    about = more.pop("about", equation.strip().partition("\n")[0])
    spec = MethodSpec(build, equation, about=about, hyperparameters=hyperparameters or {}, flat=flat, **more)
    for other, values in spec.same_as.items():
        for key in values:
            registry.check(f"same_as[{other!r}]", key, choose(other, "same_as").hyperparameters)
    _registered[name] = spec


def arrays(config: Config) -> dict[str, np.ndarray]:
    """Returns the arrays of a run's hyperparameters, those of the method whose program it trains in.

    Raises UserError that names the key, the value and the choices for a value that the method cannot have.
    """
    method = config.method
    if program := choose(method.name).program:
        general = choose(program)
        values = {key: each.default for key, each in general.hyperparameters.items()}
        values |= {**method.hyperparameters, **choose(method.name).same_as[program]}
        config = dataclasses.replace(config, method=dataclasses.replace(method, name=program, hyperparameters=values))
    return choose(config.method.name).checked_arrays(config)


def build(config: Config, images: ImageSpec) -> Method:
    """The Method of a config. Raises UserError for an unknown name, and if its `build` gives no Method."""
    name = choose(config.method.name).program or config.method.name
    made = choose(name).build(config, images)
    kinds.check(f"build of {name}", made, Method)
    kinds.check_fields(f"build of {name}: ", made)
    return made
