"""Disentangling Granularity: the granularity of the best ELBO over the capacity, and ELBO against MIG.

    python experiments/v_shape.py --tier=small

Six capacities, blocks of 1, 2, 4 and 8 of 8 units, three seeds, beta 5, on `rendered_dsprites`. Writes
experiments/results/v_shape/<tier>.json and .md. The claims: the granularity of the best ELBO first falls, then rises
with the capacity; a better ELBO goes with a better MIG.
"""

from granularity import BLOCKS, COMMON
from protocol import ROOT, arguments, claim, low_priority, runs_of, select, shown
from scipy import stats

from scaledis import runtime
from scaledis.workdir import write_bytes

SEEDS = (0, 1, 2)
THIN, USUAL, WIDE = (4, 8, 16, 16), (8, 16, 32, 32), (16, 32, 64, 64)  # channels
CAPACITIES = {20_000: THIN, 40_000: THIN, 80_000: USUAL, 150_000: USUAL, 300_000: WIDE, 600_000: WIDE}  # parameters


def main():
    given = arguments(__doc__)
    runtime.prepare()
    low_priority()
    overrides = [
        {
            **COMMON,
            "method.beta": 5.0,
            "method.block": block,
            "model.parameters": size,
            "model.channels": channels,
            "seed": seed,
        }
        for size, channels in CAPACITIES.items()
        for block in BLOCKS
        for seed in SEEDS
    ]
    rows = runs_of("v_shape", given.tier, "seeds", overrides)
    lines = [
        "| parameters | " + " | ".join(f"b = {block}" for block in BLOCKS) + " | best |",
        "| --- " * (2 + len(BLOCKS)) + "|",
    ]
    best = []
    for size in CAPACITIES:
        elbo = {
            block: [row["ELBO"] for row in select(rows, model__parameters=size, method__block=block)]
            for block in BLOCKS
        }
        best.append(max(BLOCKS, key=lambda block, elbo=elbo: sum(elbo[block])))
        lines.append(f"| {size:,} | " + " | ".join(shown(values) for values in elbo.values()) + f" | {best[-1]} |")
    rank = stats.spearmanr([row["ELBO"] for row in rows], [row["MIG"] for row in rows])
    command = f"`python experiments/v_shape.py --tier={given.tier}`"
    text = f"# ELBO over capacity and granularity, tier {given.tier}\n\n{command}\n\n"
    write_bytes(ROOT / f"experiments/results/v_shape/{given.tier}.md", (text + "\n".join(lines) + "\n").encode())
    print("\n".join(lines))
    lowest = best.index(min(best))
    falls = best[:lowest] == sorted(best[:lowest], reverse=True) and best[0] > min(best)
    rises = best[lowest:] == sorted(best[lowest:]) and best[-1] > min(best)
    claim(
        "v_shape",
        "the granularity of the best ELBO falls, then rises with capacity",
        "V shape",
        f"best b: {best}",
        "holds" if falls and rises else "does not hold",
        given.tier,
    )
    says = (
        "holds"
        if rank.pvalue < 0.05 and rank.statistic > 0
        else "does not hold"
        if rank.pvalue < 0.05
        else f"undecided at n = {len(rows)}"
    )
    claim(
        "v_shape, ELBO",
        "ELBO stands for disentanglement",
        "figures",
        f"Spearman {rank.statistic:.2f} with MIG, p = {rank.pvalue:.2g}",
        says,
        given.tier,
    )


if __name__ == "__main__":
    main()
