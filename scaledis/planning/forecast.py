"""The time, memory and disk that a sweep takes of accelerators that are not here, from a table of compiled programs.

Nothing is measured. A step of r runs on a chip takes at least

    max(flops(r) / F, touched(r) / W) seconds      (the roofline: Williams, Waterman and Patterson 2009)

where the arithmetic of products and convolutions, and the bytes that kernels read and write, are those of the compiled
program, F is the chip's peak at the precision of the products and W the bandwidth of its memory. The bound leaves out
the start of a kernel, an unfavorable tile or algorithm and the host, which make a step slower, and caches, which make
it faster. Every host of a pod trains its share of the populations (`--shard`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from scaledis.config import Config, Train
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.planning import hlo, programs, table
from scaledis.planning.sizes import sizes_of
from scaledis.planning.table import Cost, Key, Table
from scaledis.planning.targets import Devices, Target
from scaledis.sweeps import plan, starts
from scaledis.training import memory, steps
from scaledis.training.population import Population
from scaledis.training.program import spread
from scaledis.types import Run

WIDTHS = (1, 16)  # numbers of runs that are compiled for
NUMBER = 4  # bytes of a mean or a log variance in codes.npz, and of an index; a factor has twice as many
Share = Callable[[Train], float]  # the section `train` -> the mean share of its steps for which a run trains


class ProgramForecast(NamedTuple):
    """The forecast of the runs of one program.

    members: its runs.
    key: that of the program.
    row: the key whose rows of the table were taken; None if there are none, and then only the disk is known.
    widths: the numbers of runs that were compiled.
    fits: the most runs that a chip holds.
    populations: the number of runs of each population.
    chips: over how many chips each population is spread evenly.
    seconds: the least time of a step of each population.
    kernels: the number of kernels of a step of the first population.
    disk: bytes of checkpoints and codes.
    steps: the mean steps of a run, including those that rungs drop.
    """

    members: Sequence[Run]
    key: Key
    row: Key | None
    widths: Sequence[int]
    fits: int
    populations: Sequence[int]
    chips: Sequence[int]
    seconds: Sequence[float]
    kernels: int
    disk: float
    steps: float


class Forecast(NamedTuple):
    """The forecast of a sweep on some devices.

    hours: the least time until the last host is done, without the programs that the table lacks.
    nearest: the row nearest to each program that the table lacks.
    """

    devices: Devices
    programs: Sequence[ProgramForecast]
    hours: float
    nearest: dict[Key, Key | None]

    @property
    def chip_hours(self) -> float:
        """The hours of all devices, busy or not."""
        return self.hours * self.devices.chips

    @property
    def disk(self) -> float:
        return sum(each.disk for each in self.programs)


def forecast(runs: Sequence[Run], devices: Devices, rows: Table | None = None, share: Share = starts.share) -> Forecast:
    """Returns the forecast of the runs of a sweep on devices, by default from the tables of the package and the user.

    `share` gives the mean share of its steps for which a run trains, as in `dry_run.report`.

    Raises UserError for a run that no chip holds.

    >>> runs = engine.named([make_config("vlae", {"seed": seed}) for seed in range(5)])
    >>> forecast(runs, targets.parse("v5e:16")).chip_hours
    """
    rows = table.load() if rows is None else rows
    found = [_program(members, devices, rows, share) for members in plan.programs(runs)]
    seconds = [each.steps * step for each in found for step in each.seconds]
    hosts = [sum(seconds[host :: devices.hosts]) for host in range(devices.hosts)]
    lacking = {each.key: table.nearest(rows, each.key) for each in found if each.row is None}
    return Forecast(devices, found, max(hosts) / 3600, lacking)


def complete(runs: Sequence[Run], kind: str) -> None:
    """Compiles the programs of runs that the table lacks for a kind of device, and adds them to the user's rows.

    Raises UserError if the compiler is not installed.
    """
    for members in plan.programs(runs):
        config = members[0].config
        spec = sampling.spec_of(sampling.load_dataset(config.data), config.data)
        key = table.key_of(config, spec.shape, kind)
        if key not in table.load():
            costs = {size: cost(*programs.step(config, spec, kind, size)) for size in WIDTHS}
            table.add(table.OWN.expanduser(), key, costs)


def cost(population: Population, found: hlo.Program) -> Cost:
    """Returns the arithmetic, traffic, memory and kernels of a population's compiled step on one chip."""
    runs = len(population.configs)
    state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(population.shapes)) // runs
    return Cost(found.flops, found.touched, found.temporary + found.held, sum(found.kernels.values()), state)


def _program(members: Sequence[Run], devices: Devices, rows: Table, share: Share) -> ProgramForecast:
    config, target = members[0].config, devices.target
    taken = share(config.train) * config.train.steps
    dataset, state = sampling.load_dataset(config.data), sizes_of(members).state
    key = table.key_of(config, dataset.image_shape, devices.kind)
    found, disk = table.find(rows, key, state), len(members) * on_disk(config, dataset, state)
    if not found:
        return ProgramForecast(members, key, None, (), 0, (), (), (), 0, disk, taken)
    row, costs = found
    fits = table.fitting(costs, memory.ROOM * target.memory - on_device(config, dataset, target))
    if not fits:
        raise UserError(f"--device: {devices.kind} holds no run of {key.method}; take a smaller train.batch.")
    chips = min(devices.chips, target.host)
    most = config.train.parallel or plan.A_DEVICE * chips

    def together(left: Sequence[Run]) -> int:
        return memory.even(min(most, len(left)), fits, lambda size: size // spread(size, chips))

    populations = [len(group) for group in plan.filled(members, together)]
    over = [spread(size, chips) for size in populations]
    precision = precision_of(config, target)
    step_costs = [table.at(costs, size / count) for size, count in zip(populations, over, strict=True)]
    seconds = [least_seconds(each, target, precision) for each in step_costs]
    return ProgramForecast(
        members, key, row, sorted(costs), fits, populations, over, seconds, round(step_costs[0].kernels), disk, taken
    )


def precision_of(config: Config, target: Target) -> str:
    """Returns the precision of a network's products: a GPU takes bfloat16 only for arrays that have this format."""
    if config.train.activations == "bfloat16":
        return "bfloat16"
    wanted = config.train.matmul_precision
    return "tf32" if target.chip and wanted == "bfloat16" else wanted


def least_seconds(cost: Cost, target: Target, precision: str) -> float:
    """Returns the least time of a step: that of its arithmetic or of its traffic, whichever is longer."""
    return max(cost.flops / target.flops[precision], cost.touched / target.bandwidth)


def on_device(config: Config, dataset: Dataset, target: Target) -> int:
    """Returns the bytes of a data set on every chip; 0 if it stays on the host."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.source))
    fits = {"device": True, "host": False, "auto": size < steps.ROOM * target.memory}
    return int(size * fits[config.data.memory])


def on_disk(config: Config, dataset: Dataset, state: int) -> int:
    """Returns the bytes of the checkpoints and of the codes of a run."""
    train, evaluate = config.train, config.evaluate
    kept = min(train.keep, -(-train.steps // train.checkpoint_every)) + bool(train.keep_best)
    codes = min(evaluate.train_codes + evaluate.test_codes, dataset.size)
    numbers = 1 + 2 * sum(config.model.allocation) + 2 * len(dataset.factor_names)
    return kept * state + codes * numbers * NUMBER
