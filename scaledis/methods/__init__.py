"""Methods by name: `config.method.name`.

A module here defines `METHODS`, name -> MethodSpec. From outside the package a method comes in by `register_method`, or
by an entry point of the group "scaledis.methods" that points at such a dictionary.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scaledis import networks
from scaledis.config import Objective
from scaledis.core import UserError, kinds, registry
from scaledis.core.plugins import Registry
from scaledis.methods import estimators
from scaledis.methods.base.spec import Hyperparameter as Hyperparameter  # for others too
from scaledis.methods.base.spec import MethodSpec
from scaledis.types import Config, ImageSpec, Method

REGISTRY = Registry("method", "method.name", MethodSpec, __name__)


def specs() -> dict[str, MethodSpec]:
    """Returns all methods by name."""
    return REGISTRY.entries()


def choose(name: str, key: str = "method.name") -> MethodSpec:
    """Returns the method `name`. Raises UserError, naming `key` and the choices, for an unknown name."""
    return REGISTRY.choose(name, key)


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
    """Makes your method a choice of `config.method.name`, like those of this package.

    A second call replaces your method, as when a notebook's cell runs twice. Register it before `load_run` loads a run
    of it.

    Args:
      name: a lower-case word.
      build: (config, ImageSpec) -> Method; methods/base/elbo.py and penalty.py have what most methods need.
      equation: its terms and the paper.
      hyperparameters: the keys of `config.method`.
      flat: whether all units form one level instead of a ladder.
      more: further attributes of MethodSpec, such as `arrays` and `settings`, and `about`, the line that
        `scaledis list` shows; by default the first line of `equation`.

    Raises UserError for a name that this package has, or that is not a lower-case word, for a `build` that does not
    take two arguments, for an attribute that MethodSpec lacks, for an unknown method in `same_as`, and for a
    hyperparameter of a reserved name.

    >>> from scaledis.methods import Hyperparameter, register_method
    >>> from scaledis.methods.beta_vae import build
    >>> register_method("twice", build, equation="R = 2 KL", hyperparameters={
    ...     "beta": Hyperparameter(2.0, "weight of the KL"), "gamma": Hyperparameter(0.0, "not used"),
    ...     "capacity": Hyperparameter(0.0, "not used")})
    """
    for key in more:
        registry.check("register_method", key, [field.name for field in dataclasses.fields(MethodSpec)])
    about = more.pop("about", equation.strip().partition("\n")[0])
    spec = MethodSpec(build, equation, about=about, hyperparameters=hyperparameters or {}, flat=flat, **more)
    for other, values in spec.same_as.items():
        for key in values:
            registry.check(f"same_as[{other!r}]", key, choose(other, "same_as").hyperparameters)
    REGISTRY.register(name, spec)


def arrays(config: Config) -> dict[str, np.ndarray]:
    """Returns the arrays of a run's hyperparameters, as the method in whose program it trains takes them.

    Raises UserError, naming the key, the value and the choices, for a value that the method cannot have.
    """
    spec = choose(config.method.name)
    if not spec.program:
        return spec.checked_arrays(config)
    general = choose(spec.program)
    values = {key: hyperparameter.default for key, hyperparameter in general.hyperparameters.items()}
    values |= {**config.method.hyperparameters, **spec.same_as[spec.program]}
    method = dataclasses.replace(config.method, name=spec.program, hyperparameters=values)
    return general.checked_arrays(dataclasses.replace(config, method=method))


def network_name(config: Config) -> str:
    """Returns the name of the network of a config, by default its method's; "" for a method that takes none."""
    return config.model.network or choose(config.method.name).network


def check_network(config: Config) -> None:
    """Raises UserError for a network that is unknown, that its method does not take, or that refuses the config."""
    given, method = config.model.network, config.method.name
    if given and not choose(method).network:
        raise UserError(f"model.network: {registry.short(given)} has no use; {method} has a network of its own.")
    if name := network_name(config):
        networks.choose(name).check(config)


def check_estimator(config: Config) -> None:
    """Raises UserError for an estimator other than the default one if the method of the config reads none."""
    given, default, method = config.objective.estimator, Objective().estimator, config.method.name
    if given != default and not choose(method).estimator:
        found = f"{registry.short(given)} has no use"
        raise UserError(f"objective.estimator: {found}; {method} reads no estimator, so leave it at {default}.")


def chosen(config: Config) -> tuple[object, ...]:
    """Returns the specs that the names of a config stand for: of its method's program, its estimator, its network.

    Each registration makes a new one, which no program that was compiled before it has.
    """
    network, spec = network_name(config), choose(config.method.name)
    found = [choose(spec.program) if spec.program else spec, estimators.choose(config.objective.estimator)]
    return (*found, networks.choose(network)) if network else tuple(found)


def build(config: Config, images: ImageSpec) -> Method:
    """Builds the Method of a config. Raises UserError for an unknown name, and if `build` gives no Method.

    The `build` of a method gets a config that names its network.
    """
    name = choose(config.method.name).program or config.method.name
    model = dataclasses.replace(config.model, network=network_name(config))
    made = choose(name).build(dataclasses.replace(config, model=model), images)
    kinds.check(f"build of {name}", made, Method)
    kinds.check_fields(f"build of {name}: ", made)
    return made
