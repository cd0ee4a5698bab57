"""Disentangling Granularity: the granularity of the best ELBO over the capacity, and ELBO against MIG.

    python experiments/v_shape.py --tier=small

Six capacities, blocks of 1, 2, 4 and 8 of 8 units, three seeds, beta 5, on `rendered_dsprites`. Writes
experiments/results/v_shape/<tier>.json and .md. The claims: the granularity of the best ELBO first falls, then rises
with the capacity; a better ELBO goes with a better MIG.
"""

from granularity import BLOCKS, COMMON
from protocol import arguments, low_priority, run_groups
from scipy import stats
from tables import claim, made_with, results_of, shown, write_markdown

from scaledis import runtime

SEEDS = (0, 1, 2)
THIN, USUAL, WIDE = (4, 8, 16, 16), (8, 16, 32, 32), (16, 32, 64, 64)  # channels
CAPACITIES = {20_000: THIN, 40_000: THIN, 80_000: USUAL, 150_000: USUAL, 300_000: WIDE, 600_000: WIDE}  # parameters


def main():
    given = arguments(__doc__)
    runtime.prepare()
    low_priority()
    for size, channels in CAPACITIES.items():
        model = {"method.beta": 5.0, "model.parameters": size, "model.channels": channels}
        overrides = {
            name_of(size, block): [{**COMMON, **model, "method.block": block, "seed": seed} for seed in SEEDS]
            for block in BLOCKS
        }
        run_groups("v_shape", given.tier, f"parameters{size}", overrides)
    report(given.tier)


def name_of(size, block):
    """The name of a cell of the table."""
    return f"{size} parameters, b {block}"


def report(tier):
    """The table, and the two claims."""
    known = results_of("v_shape", tier)
    runs = [row for found in known.values() for row in found["runs"]]
    best, lines = [], []
    for size in CAPACITIES:
        elbo = {block: [row["ELBO"] for row in known[name_of(size, block)]["runs"]] for block in BLOCKS}
        best.append(max(BLOCKS, key=lambda block, elbo=elbo: sum(elbo[block])))
        lines.append([f"{size:,}", *map(shown, elbo.values()), best[-1]])
    about = "ELBO in nats per image. " + made_with(runs, [found["machine"] for found in known.values()])
    columns = ["parameters", *(f"b = {block}" for block in BLOCKS), "best"]
    write_markdown("v_shape", tier, "ELBO over capacity and granularity", about, columns, lines)
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
