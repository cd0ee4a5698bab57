"""Disentangling Granularity: the granularity of the best ELBO over the capacity, and ELBO against MIG.

    python -m experiments.v_shape --tier=small

Six capacities, blocks of 1, 2, 4 and 8 of 8 units, three seeds, beta 5, on `rendered_dsprites`. Writes
experiments/results/v_shape/<tier>.json, .md and .png. The claims: the granularity of the best ELBO first falls, then
rises with the capacity; a better ELBO goes with a better MIG.
"""

import math
import runpy
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from experiments.granularity import BLOCKS, DATA, with_seeds
from experiments.pictures import save
from experiments.protocol import arguments, low_priority, run_groups
from experiments.tables import ROOT, claim, complete, finished, made_with, mean, shown, side, write_markdown
from scaledis.core import runtime

SEEDS = (0, 1, 2)
CAPACITIES = runpy.run_path(str(ROOT / "configs/granularity.py"))["CAPACITIES"]  # parameters -> channels


class Axis(NamedTuple):
    """A way to make a network larger.

    comparison: the name among the results.
    unit: what its sizes count.
    sizes: the overrides of each size.
    """

    comparison: str
    unit: str
    sizes: Mapping[int, Mapping[str, Any]]


def parameters():
    """The axis of this table."""
    sizes = {size: {"model.parameters": size, "model.channels": of} for size, of in CAPACITIES.items()}
    return Axis("v_shape", "parameters", sizes)


def main():
    given = arguments(__doc__, map(str, CAPACITIES), DATA)
    runtime.prepare_jax()
    low_priority()
    for size in map(int, given.names):
        train(given.tier, size, SEEDS, parameters(), given.data)
    report(given.tier, parameters())


def train(tier, size, seeds, axis, data):
    """The runs of one size: every block and seed."""
    model = {"method.beta": 5.0, **axis.sizes[size]}
    cells = {name_of(axis, size, block): {**model, "method.block": block} for block in BLOCKS}
    run_groups(axis.comparison, tier, f"{axis.unit.replace(' ', '_')}{size}", with_seeds(cells, seeds, data))


def name_of(axis, size, block):
    """The name of a cell of the table."""
    return f"{size} {axis.unit}, b {block}"


def report(tier, axis):
    """The table, and the two claims once every size has run."""
    known = finished(axis.comparison, tier)
    cells = {
        size: [known[name_of(axis, size, block)]["runs"] for block in BLOCKS]
        for size in axis.sizes
        if name_of(axis, size, BLOCKS[0]) in known
    }
    elbo = {size: [mean(runs, "ELBO") for runs in of] for size, of in cells.items()}
    best = [BLOCKS[values.index(max(values))] for values in elbo.values()]
    lines = [
        [f"{size:,}", *(shown([run["ELBO"] for run in runs]) for runs in of), block]
        for (size, of), block in zip(cells.items(), best, strict=True)
    ]
    for title in ("MIG", "KL", "I of blocks", "R"):
        of_block = ([run[title] for runs in column for run in runs] for column in zip(*cells.values(), strict=True))
        lines.append([f"all, {title}", *map(shown, of_block), ""])
    about = (
        "ELBO in nats per image. Below it, over all sizes, in nats: the KL, the mutual information of image and "
        "block that the estimator sees, summed over the blocks, and the regularization R, which is what is paid. "
    )
    columns = [axis.unit, *(f"b = {block}" for block in BLOCKS), "best"]
    write_markdown(
        axis.comparison, tier, "ELBO over capacity and granularity", about + made_with(known), columns, lines
    )
    draw(tier, axis, elbo, best)
    if len(cells) < len(axis.sizes):
        return
    runs = [run for of in cells.values() for each in of for run in each if run["MIG"] is not None]
    rank = stats.spearmanr([run["ELBO"] for run in runs], [run["MIG"] for run in runs])
    of_seeds = np.array(complete([runs for of in cells.values() for runs in of], "ELBO"))
    bends = [bend(each) for each in of_seeds.T.reshape(-1, len(cells), len(BLOCKS)).tolist()]
    claim(
        axis.comparison,
        "the granularity of the best ELBO falls, then rises with capacity",
        "V shape",
        f"best b: {best}; its log2 at the ends - in the middle, a seed: {shown(bends)}",
        side(bends),
        tier,
    )
    claim(
        f"{axis.comparison}, ELBO",
        "ELBO stands for disentanglement",
        "figures",
        f"Spearman {rank.statistic:.2f} with MIG, p = {rank.pvalue:.2g}, n = {len(runs)}",
        "none",
        tier,
    )


def bend(elbo):
    """How V-shaped the best block is over capacity, of ELBOs [capacities, blocks]: above 0 for a V, 0 for a line.

    The log2 of the block of best ELBO, the mean of the smallest and the largest capacity minus that of the middle two.
    """
    best = [math.log2(BLOCKS[column.index(max(column))]) for column in elbo]
    middle = best[(len(best) - 1) // 2 : len(best) // 2 + 1]
    return (best[0] + best[-1]) / 2 - statistics.fmean(middle)


def draw(tier, axis_of, elbo, best):
    """The mean ELBO over capacity and block, below the best of its capacity, with the line of the best blocks."""
    behind = [[value - max(column) for value in column] for column in elbo.values()]
    figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
    image = axis.imshow(list(zip(*behind, strict=True)), aspect="auto", origin="lower", cmap="viridis")
    axis.plot(range(len(elbo)), [BLOCKS.index(block) for block in best], "o-", color="C1", label="best")
    axis.set(xlabel=axis_of.unit, xticks=range(len(elbo)), xticklabels=[f"{size:,}" for size in elbo])
    axis.set(ylabel="units in a block", yticks=range(len(BLOCKS)), yticklabels=BLOCKS)
    figure.colorbar(image, label="ELBO behind the best, nats")
    axis.legend(frameon=False, labelcolor="C1")
    save(figure, axis_of.comparison, tier)


if __name__ == "__main__":
    main()
