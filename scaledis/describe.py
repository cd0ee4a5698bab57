"""What a config builds, in words."""

import math

import jax

from scaledis import population
from scaledis.config import Config
from scaledis.datasets import Dataset


def tree(config: Config, dataset: Dataset) -> str:
    """The parameters of a run as an indented tree, with shapes and counts; nothing is computed."""
    method = population.build([config], dataset)
    hyperparameters = population.hyperparameters(config, config.model.allocation)
    params = jax.eval_shape(method.init, jax.random.key(0), hyperparameters).params
    title = f"{config.method.name} {config.model.allocation} on {dataset.name}"
    return "\n".join([f"{title}: {_count(params):,} parameters", *_lines(params, "  ")])


def _count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def _lines(params, indent: str) -> list[str]:
    lines = []
    for name, child in params.items():
        shape = "" if isinstance(child, dict) else " x ".join(map(str, child.shape))
        lines.append(f"{indent + name:<32}{_count(child):>12,}  {shape}".rstrip())
        lines += _lines(child, indent + "  ") if isinstance(child, dict) else []
    return lines
