"""The table of programs that were compiled for other devices: programs.csv, a row for each program and number of runs.

A plan reads it, so that it needs no compiler. `--compile` adds rows to a file of the user's own, which are preferred.
"""

import bisect
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scaledis import methods
from scaledis.config import Config, flatten, thaw
from scaledis.core import files
from scaledis.core.version import VERSION
from scaledis.planning.targets import targets

FILE = Path(__file__).with_name("programs.csv")
OWN = Path("~/.cache/scaledis/programs.csv")
SHAPING = (  # the keys that decide a program's size, beside the method, the images and the levels
    *("model.parameters", "model.channels", "model.ladder_channels", "model.injection", "model.network"),
    *("objective.estimator", "discriminator.features", "discriminator.layers", "train.batch", "train.activations"),
)
ON_TPU = ("train.matmul_precision",)  # a GPU's kernels move and multiply the same at every precision
WEIGHTS = 256  # bytes of a state that beta and its like take
MOST = 1_000_000  # runs of a chip that are looked at


class Key(NamedTuple):
    """What a program was compiled for.

    device: a kind of targets.json.
    method: whose program the runs share.
    images: "64x64x3".
    levels: of the allocation.
    settings: the keys of SHAPING that differ from their defaults: "model.injection=map train.batch=32".
    """

    device: str
    method: str
    images: str
    levels: int
    settings: str

    def __str__(self) -> str:
        levels = f"{self.levels} level" + "s" * (self.levels > 1)
        return ", ".join(filter(None, [self.method, levels, self.images, self.settings, f"on {self.device}"]))


class Cost(NamedTuple):
    """What a step of some runs takes of one chip.

    flops: of products and convolutions.
    touched: bytes that its kernels read and write (hlo.Program).
    memory: bytes, the data set left out.
    kernels: that it starts.
    state: bytes of the state of each run.
    """

    flops: float
    touched: float
    memory: float
    kernels: float
    state: float


Table = dict[Key, dict[int, Cost]]  # by the number of runs
HEADER = (*Key._fields, "runs", *Cost._fields, "version")
MEGA = Cost(1e6, 1e6, 1e6, 1, 1)  # the units of a file


def key_of(config: Config, images: tuple[int, int, int], device: str) -> Key:
    """Returns the key of the program of a config."""
    given, usual = flatten(thaw(config)), flatten(thaw(Config()))
    names = SHAPING + ON_TPU * bool(targets()[device].axes)
    changed = {name: given[name] for name in names if given[name] != usual[name]}
    shown = {name: "-".join(map(str, value)) if isinstance(value, tuple) else value for name, value in changed.items()}
    method = methods.choose(config.method.name).program or config.method.name
    settings = " ".join(f"{name}={value}" for name, value in shown.items())
    return Key(device, method, "x".join(map(str, images)), len(config.model.allocation), settings)


def load(*paths: Path) -> Table:
    """Returns the rows of all files that exist, by default the package's and the user's; a later file comes first."""
    table: Table = {}
    for path in paths or (FILE, OWN.expanduser()):
        if path.exists():
            for row in csv.DictReader(io.StringIO(path.read_text())):
                key = Key(row["device"], row["method"], row["images"], int(row["levels"]), row["settings"])
                cost = Cost(*(float(row[name]) * unit for name, unit in MEGA._asdict().items()))
                table.setdefault(key, {})[int(row["runs"])] = cost
    return table


def add(path: Path, key: Key, costs: Mapping[int, Cost]) -> None:
    """Writes a file of sorted rows, with these in place of former ones, so that a diff shows what has changed."""
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    if path.exists():
        found = list(csv.reader(io.StringIO(path.read_text())))[1:]
        rows = {tuple(row[:6]): tuple(row) for row in found}
    for runs, cost in costs.items():
        named = (*map(str, key), str(runs))
        rows[named] = (
            *named,
            *(f"{each / unit:.12g}" for each, unit in zip(rounded(cost), MEGA, strict=True)),
            VERSION,
        )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *sorted(rows.values(), key=_order)])
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, text.getvalue().encode())


def rounded(cost: Cost) -> Cost:
    """Returns a cost whose numbers, but the state, have four digits, so that a diff shows what matters."""
    return Cost(*(float(f"{each:.4g}") for each in cost))._replace(state=cost.state)


def _order(row: tuple[str, ...]) -> tuple[object, ...]:
    return (*row[:3], int(row[3]), row[4], int(row[5]))


def find(table: Table, key: Key, state: float) -> tuple[Key, dict[int, Cost]] | None:
    """Returns the rows of a key, or those of another method whose runs have a state of the same size, up to WEIGHTS.

    Such methods have the same networks, and weigh the terms of the KL differently. Returns None if neither is there.
    """
    if key in table:
        return key, table[key]
    for other, costs in table.items():
        if other == key._replace(method=other.method) and abs(next(iter(costs.values())).state - state) <= WEIGHTS:
            return other, costs
    return None


def nearest(table: Table, key: Key) -> Key | None:
    """Returns the key that has most in common with another: the same device, then images, levels, settings, method."""

    def common(other: Key) -> tuple[bool, ...]:
        return tuple(getattr(key, name) == getattr(other, name) for name in ("device", "images", "levels", "settings"))

    return max(table, key=lambda other: (sum(common(other)), common(other), other.method == key.method), default=None)


def at(costs: Mapping[int, Cost], runs: float) -> Cost:
    """Returns the cost of a number of runs: linear between two rows, and along the last two beyond them.

    A single row is taken in proportion to the runs.
    """
    if len(costs) == 1:
        [(width, cost)] = costs.items()
        share = runs / width
        return Cost(cost.flops * share, cost.touched * share, cost.memory * share, cost.kernels, cost.state)
    widths = sorted(costs)
    upper = int(np.clip(np.searchsorted(widths, runs), 1, len(widths) - 1))
    low, high = widths[upper - 1], widths[upper]
    share = (runs - low) / (high - low)
    return Cost(*(one + share * (other - one) for one, other in zip(costs[low], costs[high], strict=True)))


def fitting(costs: Mapping[int, Cost], memory: float) -> int:
    """Returns the most runs whose step fits in `memory` bytes of a chip; 0 if not even one run fits."""
    return bisect.bisect_right(range(1, MOST), memory, key=lambda runs: at(costs, runs).memory)
