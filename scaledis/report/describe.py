"""The names to choose from, and the contents of a config, in words."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import jax

from scaledis import datasets, methods, metrics, networks
from scaledis.config import SECTIONS
from scaledis.core import registry
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.methods import Hyperparameter, estimators
from scaledis.methods.base.spec import MethodSpec
from scaledis.metrics import of_models
from scaledis.networks.sizing import count
from scaledis.search import criteria
from scaledis.sweeps.expand import available
from scaledis.training import model
from scaledis.types import Config, State

NETWORK, CONFIG = "network", "config"  # words that describe what has no name


class Key(NamedTuple):
    """A key of a config: its default, the values that it takes, and its meaning, in words."""

    name: str
    default: str
    bounds: str
    about: str


def keys() -> list[Key]:
    """All keys of a config, without the hyperparameters of its method."""
    return [
        Key(prefix + field.name, _value(field.default), field.metadata["bounds"], field.metadata["about"])
        for prefix, section in SECTIONS.items()
        for field in dataclasses.fields(section)
        if "about" in field.metadata
    ]


def hyperparameters(spec: MethodSpec) -> list[Key]:
    """The keys of a method."""
    return [
        Key(f"method.{name}", _value(each.default), _range(each), each.about)
        for name, each in spec.hyperparameters.items()
    ]


def config() -> str:
    """All keys of a config, one line each."""
    hint = "`scaledis describe METHOD` prints the other keys of the section method, and METHOD's own defaults."
    return "\n".join([*map(_line, keys()), "", hint])


def _value(default: object) -> str:
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _line(key: Key) -> str:
    return f"  --config.{key.name:<28} {key.default or 'empty':<19} {key.about} ({key.bounds})"


def everything(namespace: Mapping[str, Any]) -> str:
    """All methods, data sets, metrics, networks, estimators, criteria and sweeps by name, one line each.

    `namespace` is that of a config file, whose sweeps are listed too.
    """
    kinds = {
        "Methods (--config.method.name)": {name: spec.about for name, spec in methods.specs().items()},
        "Data sets (--config.data.name)": _modules(datasets),
        "Metrics (--config.evaluate.metrics)": {**_modules(of_models), **_modules(metrics)},
        "Networks (--config.model.network)": {n: _summary(s.make) for n, s in networks.specs().items()},
        "Estimators (--config.objective.estimator)": {n: _summary(s.make) for n, s in estimators.specs().items()},
        "Criteria (train.rungs, --halving, --objective)": {n: _summary(s.measure) for n, s in criteria.specs().items()},
        "Sweeps (--sweep)": {name: _summary(make) for name, make in available(namespace).items()},
    }
    lines = []
    for title, found in kinds.items():
        lines += [title, *(f"  {name:<22}{about}" for name, about in sorted(found.items())), ""]
    hint = "scaledis describe NAME prints more of each: equation and hyperparameters, options, or a contact sheet."
    return "\n".join([*lines, hint])


def _modules(package: ModuleType) -> dict[str, str]:
    return {name: _summary(registry.module("name", package, name)) for name in registry.modules(package)}


def _summary(described: Any) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]


def anything(name: str, namespace: Mapping[str, Any]) -> str:
    """A method, metric, network, estimator, criterion or sweep in words, or all keys; UserError for an unknown name."""
    kinds: dict[str, list[Any]] = {each: [make] for each, make in available(namespace).items()}
    for specs in (networks.specs(), estimators.specs()):
        kinds |= {each: [spec.make] for each, spec in specs.items()}
    kinds |= {each: [spec.measure] for each, spec in criteria.specs().items()}
    kinds |= _metrics()
    if name == CONFIG:
        return config()
    if name in methods.specs():
        return method(name)
    others: dict[str, list[Any]] = dict.fromkeys([*methods.specs(), NETWORK, CONFIG, *datasets.names()], [])
    described = registry.choose("describe", name, others | kinds)
    return f"{name}: " + "\n\n".join(inspect.getdoc(each) or "" for each in described)


def _metrics() -> dict[str, list[Any]]:
    """Each metric's modules, whose first line has the paper, with their functions: of codes, of models, or both."""
    found: dict[str, list[Any]] = {}
    for package in (metrics, of_models):
        for name in registry.modules(package):
            module = registry.module("metric", package, name)
            found.setdefault(name, []).extend([module, module.compute])
    return found


def method(name: str) -> str:
    """A method's equation, paper, hyperparameters and settings. Raises UserError for an unknown method."""
    spec = methods.choose(name, "describe")
    network = "flat: model.latents units in one level" if spec.flat else "a ladder: model.allocation units per level"
    lines = [f"{name}: {spec.about}", "", spec.equation, "", f"Network: {network}. {spec.identity}".rstrip(), ""]
    lines += ["Hyperparameters:" if spec.hyperparameters else "No hyperparameters."]
    lines += map(_line, hyperparameters(spec))
    for dataset, values in spec.settings.items():
        settings = ", ".join(f"{key}={value}" for key, value in values.items())
        lines += ["", f"Settings{f' on {dataset}' if dataset else ''}: {settings}"]
    return "\n".join(lines)


def dataset(found: Dataset) -> str:
    """A data set's name, size and factors."""
    lines = [f"{found.name}: {found.extent}"]
    kind = "a full grid" if found.table is None else "a table: combinations may be missing or occur several times"
    lines.append(f"factors: {kind}" if found.factor_names else "no factors: metrics of factors do not apply")
    factors = zip(found.factor_names, found.factor_sizes, strict=True)
    return "\n".join([*lines, *(f"  {name:<24}{size:>6,} values" for name, size in factors)])


def _range(parameter: Hyperparameter) -> str:
    if parameter.choices:
        return " or ".join(parameter.choices)
    upper = "" if math.isinf(parameter.highest) else f" to {parameter.highest:g}"
    per_level = ", or one for each level" if parameter.per_level else ""
    return f"{parameter.lowest:g}{upper or ' or more'}{per_level}"


def tree(config: Config, dataset: Dataset) -> str:
    """The parameters of a run as an indented tree with shapes and counts, those of discriminators apart."""
    state = state_shapes(config, dataset)
    title = f"{config.method.name} {config.model.allocation} on {dataset.name}"
    lines = [f"{title}: {count(state.params):,} parameters", *_lines(state.params, "  ")]
    if beside := discriminator_params(state):
        lines += [f"discriminator: {count(beside):,} parameters", *_lines(beside, "  ")]
    return "\n".join(lines)


def state_shapes(config: Config, dataset: Dataset) -> State:
    """The state of a run as shapes; nothing is computed."""
    method = methods.build(config, sampling.spec_of(dataset, config.data))
    return jax.eval_shape(method.init, jax.random.key(0), model.hyperparameters(config, config.model.allocation))


def discriminator_params(state: State) -> Any:
    """The parameters of the discriminator of a state; {} if it has none."""
    return getattr(getattr(state.extra, "adversary", state.extra), "params", {}).get("params", {})


def _lines(params: Any, indent: str) -> list[str]:
    lines = []
    for name, child in params.items():
        shape = "" if isinstance(child, dict) else " x ".join(map(str, child.shape))
        lines.append(f"{indent + name:<32}{count(child):>12,}  {shape}".rstrip())
        lines += _lines(child, indent + "  ") if isinstance(child, dict) else []
    return lines
