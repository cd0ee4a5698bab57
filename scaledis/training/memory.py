"""How many runs a device holds, by XLA's analysis of the compiled step, before anything is computed."""

from collections.abc import Callable, Sequence

from scaledis.core import UserError, runtime
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.sweeps import plan
from scaledis.training.population import Population
from scaledis.training.program import make_mesh, one_device
from scaledis.types import Run

ROOM = 0.9  # the share of a device's memory that a step may take; evaluation and checkpoints need the rest


def together(members: Sequence[Run], dataset: Dataset | None = None) -> int:
    """Returns how many runs of a program train at once: as many as `train.parallel` asks for, if the devices hold them.

    Programs that it compiles stay in the cache; on a CPU it compiles none. Raises UserError if a device cannot hold a
    single run.
    """
    wanted, limit = min(plan.together(members), len(members)), runtime.device_memory()
    if limit is None:
        return wanted
    sizes = {run.name: (run.config.model.parameters, sum(run.config.model.allocation)) for run in members}
    largest = [run.config for run in sorted(members, key=lambda run: sizes[run.name], reverse=True)]
    images = dataset or sampling.load_dataset(largest[0].data)
    spec, device = sampling.spec_of(images, largest[0].data), one_device()
    allocation = members[0].padded or plan.common_allocation(largest)

    def needed(runs: int) -> int:
        return Population(largest[:runs], spec, device, allocation=allocation).memory(images)

    return even(wanted, fitting(needed, on_each(wanted), int(ROOM * limit)), on_each)


def on_each(runs: int) -> int:
    """Returns how many runs each device has in a population of `runs` runs."""
    return runs // int(make_mesh(runs).shape["runs"])


def no_more(most: int, width: int) -> int:
    """Returns the most runs, up to `most`, with which no device has more runs than with a population of `width` runs.

    On a CPU, whose cores share their memory, it is `most`.
    """
    return most if runtime.device_memory() is None else even(most, on_each(width), on_each)


def even(most: int, fits: int, on_each: Callable[[int], int]) -> int:
    """Returns the most runs, up to `most`, with which no device has more than `fits` runs.

    `on_each` is (runs of a population) -> runs on each device.
    """
    return next(runs for runs in range(most, 0, -1) if on_each(runs) <= fits)


def fitting(needed: Callable[[int], int], wanted: int, limit: int) -> int:
    """Returns the most runs, from 1 to `wanted`, that a device of `limit` bytes holds.

    `needed` is runs -> bytes. It compiles, so it is called seldom: for all runs, for one, and near the point where the
    line through both crosses the limit. Raises UserError if one run needs more than the limit.
    """
    most = needed(wanted)
    if most <= limit:
        return wanted
    least = needed(1) if wanted > 1 else most
    if least > limit:
        raise UserError(
            f"train.batch: one run needs {least / 1e9:.3g} GB and a device has {limit / 1e9:.3g} GB for it; take a "
            "smaller batch, or data.memory=host."
        )
    runs = 1 + (limit - least) * (wanted - 1) // (most - least)
    while needed(runs) > limit:
        runs -= 1
    return runs
