"""What there is to choose from, and what a config builds, in words."""

import inspect
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax

from scaledis import datasets, estimators, methods, metrics, population, registry, sweep
from scaledis.config import Config
from scaledis.datasets import Dataset

NETWORK = "network"


def everything(namespace: Mapping[str, Any]) -> str:
    """All methods, data sets, metrics, estimators and sweeps by name, one line each.

    `namespace` is that of a config file, whose sweeps are listed too.
    """
    kinds = {
        "Methods (--config.method.name)": {name: recipe.about for name, recipe in methods.recipes().items()},
        "Data sets (--config.data.name)": _modules(datasets),
        "Metrics (--config.evaluate.metrics)": _modules(metrics),
        "Estimators (--config.objective.estimator)": {
            name: _summary(make) for name, make in estimators.ESTIMATORS.items()
        },
        "Sweeps (--sweep)": {name: _summary(make) for name, make in sweep.available(namespace).items()},
    }
    lines = []
    for title, found in kinds.items():
        lines += [title, *(f"  {name:<22}{about}" for name, about in sorted(found.items())), ""]
    hint = "--describe=<method> prints its equation and hyperparameters, --describe=<data set> draws a contact sheet."
    return "\n".join([*lines, hint])


def _modules(package: ModuleType) -> dict[str, str]:
    return {name: _summary(registry.module("name", package, name)) for name in registry.modules(package)}


def _summary(described: Any) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]


def method(name: str) -> str:
    """A method's equation, paper and hyperparameters. Raises UserError for an unknown method."""
    recipes = methods.recipes()
    registry.check("--describe", name, [*recipes, NETWORK, *datasets.names()])
    recipe = recipes[name]
    network = "flat: model.latents units in one level" if recipe.flat else "a ladder: model.allocation units per level"
    lines = [f"{name}: {recipe.about}", "", recipe.equation, "", f"Network: {network}.", ""]
    lines += ["Hyperparameters:" if recipe.hyperparameters else "No hyperparameters of its own."]
    for key, parameter in recipe.hyperparameters.items():
        lines.append(f"  --config.method.{key:<18}{parameter.default!s:<8}{parameter.about} ({_range(parameter)})")
    return "\n".join(lines)


def dataset(found: Dataset) -> str:
    """A data set's name, size and factors."""
    height, width, channels = found.image_shape
    lines = [f"{found.name}: {found.size:,} images of {height}x{width}x{channels}"]
    kind = "a full grid" if found.table is None else "a table: combinations may be missing or stand several times"
    lines.append(f"factors: {kind}" if found.factor_names else "no factors: no metric applies")
    lines += [
        f"  {name:<24}{size:>6,} values" for name, size in zip(found.factor_names, found.factor_sizes, strict=True)
    ]
    return "\n".join(lines)


def _range(parameter: methods.Hyperparameter) -> str:
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
    adversary = getattr(state.memory, "adversary", state.memory)
    if hasattr(adversary, "params"):
        lines += [f"discriminator: {count(adversary.params):,} parameters", *_lines(adversary.params["params"], "  ")]
    return "\n".join(lines)


def state_shapes(config: Config, dataset: Dataset) -> Any:
    """The state of a run as shapes; nothing is computed."""
    method = population.build([config], dataset)
    return jax.eval_shape(method.init, jax.random.key(0), population.hyperparameters(config, config.model.allocation))


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def _lines(params, indent: str) -> list[str]:
    lines = []
    for name, child in params.items():
        shape = "" if isinstance(child, dict) else " x ".join(map(str, child.shape))
        lines.append(f"{indent + name:<32}{count(child):>12,}  {shape}".rstrip())
        lines += _lines(child, indent + "  ") if isinstance(child, dict) else []
    return lines
