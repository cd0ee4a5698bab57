"""Sweeps: generators of overrides by dotted key, named in the config file (`def sweep_<name>()`) or here."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from scaledis import config as configs
from scaledis import population, registry
from scaledis.config import Config
from scaledis.errors import UserError

Override = dict[str, Any]


def sweep_seeds() -> Iterator[Override]:
    """Five seeds, as in both papers' tables."""
    for seed in range(5):
        yield {"seed": seed}


def sweep_allocations() -> Iterator[Override]:
    """The nine allocations of Beyond Flat Latent, Table 2."""
    for allocation in [
        *[(4, 6), (5, 5), (6, 4)],
        *[(2, 4, 4), (3, 3, 4), (4, 4, 2)],
        *[(4, 3, 2, 1), (4, 2, 2, 2), (3, 3, 2, 2)],
    ]:
        yield {"model.allocation": allocation}


def sweep_regularizers() -> Iterator[Override]:
    """The four regimes of Beyond Flat Latent, Figure 1: none, intra-level only, inter-level only, both."""
    yield {"method.name": "vlae"}
    yield {"method.name": "scale_vlae", "method.gamma": 0.0}
    yield {"method.name": "scale_vlae", "method.beta": 1.0}
    yield {"method.name": "scale_vlae"}


def sweep_granularities() -> Iterator[Override]:
    """beta-STCVAE with every block size that divides 10 units (Disentangling Granularity)."""
    for block in (1, 2, 5, 10):
        yield {"method.name": "beta_stcvae", "method.block": block}


def available(namespace: Mapping[str, Any]) -> dict[str, Callable[[], Iterator[Override]]]:
    """The sweeps of this file and those in the namespace of a config file, which win."""
    prefix = "sweep_"
    found = {**globals(), **namespace}
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


class Member(NamedTuple):
    """A run of a sweep: its name, which is its folder's, and its config."""

    name: str
    config: Config


def expand(
    base: Mapping[str, Any], sweeps: Sequence[str], namespace: Mapping[str, Any] = MappingProxyType({})
) -> list[Member]:
    """The product of the named sweeps over the base config; without sweeps, one run.

    Raises UserError for an unknown sweep or key, for a value that cannot run, and for two runs that are the same.
    """
    known = available(namespace)
    generators = [list(registry.choose("--sweep", name, known)()) for name in sweeps]
    members: dict[str, Member] = {}
    for overrides in itertools.product(*generators):
        override = {key: value for part in overrides for key, value in part.items()}
        name = run_name(override)
        if name in members:
            raise UserError(f"--sweep: {', '.join(sweeps)} gives the run {name} twice.")
        members[name] = Member(name, configs.freeze(applied(base, override)))
    return list(members.values())


def applied(base: Mapping[str, Any], override: Override) -> dict[str, Any]:
    """The base config with some dotted keys replaced. Raises UserError for a key that is not there."""
    config = json.loads(json.dumps(base))
    for key, value in override.items():
        *sections, last = key.split(".")
        section = config
        for name in sections:
            section = registry.choose("sweep key", name, section)
        if last not in section:
            raise registry.unknown("sweep key", key, configs.flatten(config))
        section[last] = value
    return config


def run_name(override: Override) -> str:
    """A folder name from the overrides: {"method.name": "vlae", "seed": 3} -> "vlae,seed=3"."""
    parts = []
    for key, value in override.items():
        text = "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        parts.append(text if key == "method.name" else f"{key.split('.')[-1]}={text}")
    return ",".join(parts) or "run"


def plan(members: Sequence[Member], parallel: int) -> list[list[str]]:
    """Which runs train together: those that share a program, at most `parallel` at once."""
    groups: dict[str, list[str]] = {}
    for member in members:
        program = json.dumps(configs.thaw(population.shared(member.config)))
        groups.setdefault(program, []).append(member.name)
    return [names[i : i + parallel] for names in groups.values() for i in range(0, len(names), parallel)]
