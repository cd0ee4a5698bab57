"""Beyond Flat Latent, Table 2: nine allocations of ten units, VLAE and ours, five seeds each, in three programs.

    python -m experiments.table2 --tier=small

Both have the setting that Table 1 chose for them, without further tuning. Writes
experiments/results/table2/<tier>.json, .md and .png. The claims: ours is at least as good as VLAE for each allocation;
the best of each depth rises with the depth; (4, 2, 2, 2) is the best.
"""

import statistics

from experiments.pictures import dots
from experiments.protocol import SEEDS, arguments, chosen, low_priority, run_groups
from experiments.tables import claim, finished, made_with, mean, paired, paired_by_seed, shown, side, write_markdown
from scaledis.core import runtime
from scaledis.sweeps.expand import sweep_allocations

METHODS = ("vlae", "scale_vlae")
TITLES = ("DCI-D", "DCI-C", "MIG")


def main():
    given = arguments(__doc__)
    runtime.prepare_jax()
    low_priority()
    allocations = [override["model.allocation"] for override in sweep_allocations()]
    settings = {method: chosen(given.tier, method) for method in METHODS}
    settings["vlae"]["model.injection"] = settings["scale_vlae"]["model.injection"]  # they share a program
    overrides = {
        f"{method} {allocation}": [{**settings[method], "model.allocation": allocation, "seed": seed} for seed in SEEDS]
        for allocation in allocations
        for method in METHODS
    }
    if not given.table:
        run_groups("table2", given.tier, "seeds", overrides)
    known = finished("table2", given.tier)
    of = {(each, method): known[f"{method} {each}"]["runs"] for each in allocations for method in METHODS}
    write(given.tier, allocations, of, known)
    gaps = {each: paired_by_seed(of[each, "scale_vlae"], of[each, "vlae"], "DCI-D") for each in allocations}
    sides = [side([*gap.values()]) for gap in gaps.values()]
    found = f"ours above VLAE in {sides.count('above 0')} of 9, below in {sides.count('below 0')}"
    seeds = [seed for seed in SEEDS if all(seed in gap for gap in gaps.values())]  # which allocations share
    of_seed = [statistics.fmean(gap[seed] for gap in gaps.values()) for seed in seeds]
    claim(
        "table2, all allocations",
        "ours >= VLAE for each allocation",
        "9 of 9 in DCI-D",
        f"{found}; the mean over all {shown(of_seed)}",
        side(of_seed),
        given.tier,
    )
    means = {each: mean(of[each, "scale_vlae"], "DCI-D") for each in allocations}
    best = {depth: max((each for each in allocations if len(each) == depth), key=means.get) for depth in (2, 3, 4)}
    steps = [paired(of[best[depth + 1], "scale_vlae"], of[best[depth], "scale_vlae"], "DCI-D") for depth in (2, 3)]
    words = ", ".join(f"{depth} levels {best[depth]} {means[best[depth]]:.2f}" for depth in best)
    gains = ", ".join(f"{depth + 1} - {depth} levels {shown(step)}" for depth, step in zip((2, 3), steps, strict=True))
    claim(
        "table2, depth",
        "the best of each depth rises with depth",
        ".80 < .86 < .92",
        f"{words}; {gains}",
        "; ".join(map(side, steps)),
        given.tier,
    )
    first = max(allocations, key=means.get)
    second = max((each for each in allocations if each != (4, 2, 2, 2)), key=means.get)
    gaps = paired(of[(4, 2, 2, 2), "scale_vlae"], of[second, "scale_vlae"], "DCI-D")
    claim(
        "table2, (4, 2, 2, 2)",
        "(4, 2, 2, 2) is the best",
        ".92",
        f"the best is {first}, {means[first]:.2f}; (4, 2, 2, 2) - {second}: {shown(gaps)}",
        side(gaps),
        given.tier,
    )


def write(tier, allocations, of, known):
    """The table: a line an allocation, VLAE beside ours."""
    rows = [
        [each, *(shown([row[title] for row in of[each, method]]) for title in TITLES for method in METHODS)]
        for each in allocations
    ]
    columns = ["allocation", *(f"{title} {name}" for title in TITLES for name in ("VLAE", "ours"))]
    about = made_with(known)
    write_markdown("table2", tier, "Beyond Flat Latent, Table 2", about, columns, rows)
    dots("table2", tier, {str(each): {method: of[each, method] for method in METHODS} for each in allocations}, TITLES)


if __name__ == "__main__":
    main()
