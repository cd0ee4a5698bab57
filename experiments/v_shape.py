"""Disentangling Granularity: the granularity of the best ELBO over the capacity, and ELBO against MIG.

    python experiments/v_shape.py --tier=small

Six capacities, blocks of 1, 2, 4 and 8 of 8 units, three seeds, beta 5, on `rendered_dsprites`. Writes
experiments/results/v_shape/<tier>.json and .md. The claims: the granularity of the best ELBO first falls, then rises
with the capacity; a better ELBO goes with a better MIG.
"""

import runpy

from granularity import BLOCKS, DATA, with_seeds
from protocol import arguments, low_priority, run_groups
from scipy import stats
from tables import ROOT, claim, made_with, results_of, shown, write_markdown

from scaledis import runtime

SEEDS = (0, 1, 2)
CAPACITIES = runpy.run_path(str(ROOT / "configs/granularity.py"))["CAPACITIES"]  # parameters -> channels


def main():
    given = arguments(__doc__, map(str, CAPACITIES), DATA)
    runtime.prepare()
    low_priority()
    for size in map(int, given.names):
        model = {"method.beta": 5.0, "model.parameters": size, "model.channels": CAPACITIES[size]}
        cells = {name_of(size, block): {**model, "method.block": block} for block in BLOCKS}
        run_groups("v_shape", given.tier, f"parameters{size}", with_seeds(cells, SEEDS, given.data))
    report(given.tier)


def name_of(size, block):
    """The name of a cell of the table."""
    return f"{size} parameters, b {block}"


def report(tier):
    """The table, and the two claims."""
    known = results_of("v_shape", tier)
    runs = [row for found in known.values() for row in found["runs"]]
    best, lines = [], []
    sizes = [size for size in CAPACITIES if name_of(size, BLOCKS[0]) in known]
    for size in sizes:
        elbo = {block: [row["ELBO"] for row in known[name_of(size, block)]["runs"]] for block in BLOCKS}
        best.append(max(BLOCKS, key=lambda block, elbo=elbo: sum(elbo[block])))
        lines.append([f"{size:,}", *map(shown, elbo.values()), best[-1]])
    about = "ELBO in nats per image. " + made_with(known)
    columns = ["parameters", *(f"b = {block}" for block in BLOCKS), "best"]
    write_markdown("v_shape", tier, "ELBO over capacity and granularity", about, columns, lines)
    if len(sizes) < len(CAPACITIES):
        return
    rank = stats.spearmanr([row["ELBO"] for row in runs], [row["MIG"] for row in runs])
    lowest = best.index(min(best))
    falls = best[:lowest] == sorted(best[:lowest], reverse=True) and best[0] > min(best)
    rises = best[lowest:] == sorted(best[lowest:]) and best[-1] > min(best)
    claim(
        "v_shape",
        "the granularity of the best ELBO falls, then rises with capacity",
        "V shape",
        f"best b: {best}",
        "holds" if falls and rises else "does not hold",
        tier,
    )
    says = (
        "holds"
        if rank.pvalue < 0.05 and rank.statistic > 0
        else "does not hold"
        if rank.pvalue < 0.05
        else f"undecided at n = {len(runs)}"
    )
    claim(
        "v_shape, ELBO",
        "ELBO stands for disentanglement",
        "figures",
        f"Spearman {rank.statistic:.2f} with MIG, p = {rank.pvalue:.2g}",
        says,
        tier,
    )


if __name__ == "__main__":
    main()
