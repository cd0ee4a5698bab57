"""The sizes of the runs of a program, without compiling it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from scaledis.datasets.base import sampling
from scaledis.networks.sizing import count
from scaledis.training.population import Population
from scaledis.types import Run, State


class Sizes(NamedTuple):
    """The mean sizes of a run, padded as in its program.

    parameters: those of its networks; 0 if its method keeps no State.
    state: its bytes in a checkpoint.
    """

    parameters: int
    state: int


def sizes_of(members: Sequence[Run]) -> Sizes:
    """Returns the sizes of the runs of a program; nothing is computed."""
    different = {(run.config.model.allocation, run.config.model.parameters): run.config for run in members}
    data = members[0].config.data
    runs = Population(list(different.values()), sampling.spec_of(sampling.load_dataset(data), data)).shapes
    state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(runs)) // len(different)
    networks = count(runs.state.params) // len(different) if isinstance(runs.state, State) else 0
    return Sizes(networks, state)
