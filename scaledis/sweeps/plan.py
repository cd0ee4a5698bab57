"""Which runs share a program, and which of them train at once."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

import jax
import numpy as np

from scaledis import methods, networks
from scaledis.core import runtime
from scaledis.networks import sizing
from scaledis.types import Config, Run

Each = TypeVar("Each")
MOST_WASTE = 1 / 3  # of a program's arithmetic that may be on zeros
A_DEVICE = 64  # runs that an accelerator trains at once, at most
USUAL_SIDE, COLORS = 64, 3  # of images where the config leaves their size to the data set


class Carried:
    """In place of a number that each run carries as an array; optax would take None as a learning rate."""


CARRIED = Carried()


def shared(config: Config) -> Config:
    """Returns the config without the values that each run carries as arrays: it is equal for runs of one program.

    In their place it has CARRIED: a `build` that computes with it fails, instead of taking the number of another run.
    """
    spec, model = methods.choose(config.method.name), config.model
    name = spec.program or config.method.name
    given = config.method.hyperparameters
    static = {key: given[key] for key, hyperparameter in spec.hyperparameters.items() if hyperparameter.static}
    network = methods.network_name(config)
    pads = not network or networks.choose(network).pads
    allocation = (1,) * len(model.allocation) if pads else model.allocation
    capacity = 1 if model.parameters and pads and methods.choose(name).widens else model.parameters
    return dataclasses.replace(
        _without(config, "seed"),
        method=dataclasses.replace(config.method, name=name, hyperparameters=static),
        model=dataclasses.replace(_without(model, "latents"), allocation=allocation, parameters=capacity),
        objective=_without(config.objective, "sigma", "kl_warmup"),
        train=_without(config.train, "learning_rate", "start"),
    )


def _without(section: Each, *keys: str) -> Each:
    """Returns a section with CARRIED in place of some keys."""
    return dataclasses.replace(section, **dict.fromkeys(keys, CARRIED))  # type: ignore[type-var]


def common_allocation(configs: Sequence[Config]) -> tuple[int, ...]:
    """Returns the smallest allocation that holds those of all runs."""
    return tuple(int(units) for units in np.max([config.model.allocation for config in configs], axis=0))


def parallel(wanted: int) -> int:
    """Returns how many runs train at once: `wanted`, or for 0 one per core on a CPU, and A_DEVICE per accelerator."""
    return wanted or (jax.device_count() if runtime.platform() == "cpu" else A_DEVICE * jax.device_count())


def programs(runs: Iterable[Run]) -> list[list[Run]]:
    """Returns the runs of each program; they differ only in numbers that a run carries, and in padding (`shared`).

    Runs of different capacity share the program of the widest, unless padding wastes more than a third of its
    arithmetic.
    """
    alike: dict[Config, list[Run]] = {}
    for run in runs:
        alike.setdefault(shared(run.config), []).append(run)
    return [program for members in alike.values() for program in _by_capacity(members)]


def together(members: Sequence[Run]) -> int:
    """Returns how many runs of a program train at once by their `train.parallel`."""
    return parallel(members[0].config.train.parallel)


def cut(members: Sequence[Each], count: int) -> list[list[Each]]:
    """Returns the runs of a program in populations of at most `count`."""
    return [list(members[i : i + count]) for i in range(0, len(members), count)]


def filled(members: Sequence[Each], at_once: Callable[[Sequence[Each]], int]) -> list[list[Each]]:
    """Returns the runs of a program in populations; `at_once` gives the size of the next ones, for the runs left."""
    if not members:
        return []
    count = min(at_once(members), len(members))
    whole = len(members) - len(members) % count
    return cut(members[:whole], count) + filled(members[whole:], at_once)


def populations(runs: Iterable[Run], at_once: Callable[[Sequence[Run]], int] = together) -> list[list[Run]]:
    """Returns the runs of every population; `at_once` gives how many runs of a program one population holds.

    All populations of a program are padded to one allocation, so that they share what is compiled.
    """
    return [group for members in programs(runs) for group in filled(padded(members), at_once)]


def padded(members: Sequence[Run]) -> list[Run]:
    """Returns the runs of a program, each with the allocation that holds those of all."""
    allocation = common_allocation([run.config for run in members])
    return [run._replace(padded=allocation) for run in members]


def _by_capacity(runs: Sequence[Run]) -> list[list[Run]]:
    """Returns the runs in groups, the largest capacity first; each group is as large as its waste allows."""
    if len({run.config.model.parameters for run in runs}) == 1:
        return [list(runs)]
    ordered = sorted(runs, key=lambda run: run.config.model.parameters, reverse=True)
    groups: list[list[Run]] = []
    widest = useful = 0.0
    for _, each in groupby(ordered, lambda run: run.config.model.parameters):
        equal = list(each)
        config = equal[0].config
        side = config.data.resolution or USUAL_SIDE
        cost = sizing.arithmetic(config.model, (side, side, COLORS))
        joined = useful + cost * len(equal)
        if groups and joined >= (1 - MOST_WASTE) * widest * (len(groups[-1]) + len(equal)):
            groups[-1] += equal
            useful = joined
        else:
            groups.append(equal)
            widest, useful = cost, cost * len(equal)
    return groups
