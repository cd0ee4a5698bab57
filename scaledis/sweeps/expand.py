"""Sweeps: generators of overrides by dotted key, named in the config file (`def sweep_<name>()`), here, or ad hoc."""

import itertools
import math
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scaledis import config as config_schema
from scaledis.core import UserError, registry
from scaledis.core.values import literals
from scaledis.sweeps import starts
from scaledis.sweeps.configs import freeze, override
from scaledis.types import Run

Override = Mapping[str, object]  # dotted key -> value
PREFIX = "sweep_"
MOST_RUNS = 100_000  # where an endless generator is stopped
MANY_RUNS = 10_000  # from here on a command asks for --yes
LONGEST_NAME = 200  # bytes of a run's name, which is a folder's: file systems take 255


def sweep_seeds() -> Iterator[Override]:
    """Five seeds, as in both papers' tables. `seeds:3` takes three."""
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
    """beta-STCVAE of 8 units with every block size that divides them (Disentangling Granularity)."""
    for block in (1, 2, 4, 8):
        yield {"method.name": "beta_stcvae", "model.latents": 8, "method.block": block}


def available(namespace: Mapping[str, object] = MappingProxyType({})) -> dict[str, Callable[[], Iterable[Override]]]:
    """Returns the sweeps of this file and of the namespace of a config file, whose sweeps win."""
    found: dict[str, Any] = {**globals(), **namespace}
    sweeps = {name: make for name, make in found.items() if name.startswith(PREFIX) and callable(make)}
    return {name.removeprefix(PREFIX): make for name, make in sweeps.items()}


def expand(
    base: Mapping[str, object], sweeps: Sequence[str], namespace: Mapping[str, object] = MappingProxyType({})
) -> list[Run]:
    """Returns the runs of the product of the sweeps over the base config; without sweeps, one run, or its starts.

    A sweep is a name, `seeds:n`, or `key=value,value,...`.

    Raises UserError for an unknown sweep or key, for a sweep that yields anything but overrides, for two sweeps that
    set one key, for a value that cannot run, for two runs that are the same, and for too many of them.
    """
    steps = [_overrides(each, namespace) for each in sweeps]
    setters: dict[str, str] = {}
    for each, overrides in zip(sweeps, steps, strict=True):
        keys = dict.fromkeys(key for override in overrides for key in override)
        if twice := [key for key in keys if key in setters]:
            raise UserError(f"--sweep: {setters[twice[0]]} and {each} both set {twice[0]}.")
        setters |= dict.fromkeys(keys, each)
    if (number := math.prod(map(len, steps))) > MOST_RUNS:
        raise UserError(f"--sweep: {', '.join(sweeps)} gives {number:,} runs; at most {MOST_RUNS:,} are possible.")
    runs: dict[str, Run] = {}
    names: dict[tuple[object, ...], str] = {}  # by content
    for parts in itertools.product(*steps):
        changed = {key: config_schema.typed(key, value) for part in parts for key, value in part.items()}
        for start, frozen in starts.each(freeze(override(base, changed, "sweep key"))):
            name = run_name({**changed, **start}, runs)
            same = names.setdefault(tuple(config_schema.flatten(config_schema.thaw(frozen)).values()), name)
            if same != name:
                raise UserError(f"--sweep: {', '.join(sweeps)} gives the same run twice, as {same} and as {name}.")
            runs[name.casefold()] = Run(name, frozen)
    return list(runs.values())


def _overrides(sweep: str, namespace: Mapping[str, object]) -> list[Override]:
    """Returns the overrides of one sweep, named or ad hoc."""
    name, given, values = sweep.partition("=")
    if given:
        return [{name.strip(): value} for value in _values(name.strip(), values)]
    name, given, count = sweep.partition(":")
    if given and name == "seeds":
        if not count.isdecimal() or not 0 < int(count) <= MOST_RUNS:
            raise UserError(f"--sweep: {sweep!r} must be seeds and a number of them, such as seeds:5.")
        return [{"seed": seed} for seed in range(int(count))]
    made = registry.choose("--sweep", sweep, available(namespace))()
    if not isinstance(made, Iterable) or isinstance(made, str | Mapping):
        raise UserError(f"--sweep: {sweep} gives {type(made).__name__}; it must yield overrides, {{key: value}}.")
    overrides = list(itertools.islice(made, MOST_RUNS + 1))
    for each in overrides:
        if not isinstance(each, Mapping) or not all(isinstance(key, str) for key in each):
            raise UserError(f"--sweep: {sweep} yields {registry.short(each)}; it must yield overrides, {{key: value}}.")
    if not overrides or len(overrides) > MOST_RUNS:
        number = f"more than {MOST_RUNS:,}" if overrides else "no"
        raise UserError(f"--sweep: {sweep} yields {number} overrides.")
    return [dict(each) for each in overrides]


def _values(key: str, text: str) -> list[object]:
    """Returns the values of key=value,value,... Raises UserError for an empty one."""
    values = literals(text)
    if "" in values:
        raise UserError(f"--sweep: {key}={text} has an empty value; give {key}=value,value,...")
    return values


def run_name(override: Override, taken: Container[str] = ()) -> str:
    """Returns a folder name from the overrides: {"method.name": "vlae", "seed": 3} -> "vlae,seed=3".

    Letters that a file system might refuse become "-", and a long name is cut. A number is added to a name in `taken`,
    which holds casefolded names, since some file systems ignore case. Nothing is ever read back from a name.
    """
    parts = []
    for key, value in override.items():
        text = "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        parts.append(text if key == "method.name" else f"{key.split('.')[-1]}={text}")
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(parts)).strip(".-") or "run"
    name = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    numbered = itertools.chain([name], (f"{name}~{n}" for n in itertools.count(2)))
    return next(each for each in numbered if each.casefold() not in taken)
