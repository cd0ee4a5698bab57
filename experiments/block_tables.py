"""Granularity under other conditions than those of blocks.py, and at the same price for every size of a block.

    python -m experiments.block_tables --tier=small price exact    # two tables in parts of one seed; it resumes
    python -m experiments.block_tables --tier=small                # all of them
    python -m experiments.block_tables --tier=small --table        # only the tables of the parts that have run

Each table has eight seeds of b = 1, 2 and 4 with dependence within a block free, as blocks.py has them:

    beta2, beta10   another beta
    units12         12 units, b = 1, 2, 3, 4 and 6
    rendered        the world of colors, with a Gaussian likelihood; all six factors are scored
    long            40,000 steps
    price           1,024 posteriors, weighted alike, in place of the 64 of a batch: what a block holds beyond log 64 =
                    4.16 nats of it is no longer free
    exact           512 images, whose whole aggregate posterior is used in every step; b = 8 too

Beside every row stands what a nat of true information costs there (prices.py), and below the table what "up to" is
worth: the largest gain of each grid against grids whose runs have their b at random (permutations.py). Writes
experiments/results/block_tables/<tier>.md and .json files of each table below it. Exploratory: no verdicts.
"""

import io
from functools import partial
from pathlib import Path

import numpy as np

from experiments import blocks, prices, protocol
from experiments.blocks import COMMON, SCORED, World
from experiments.granularity import BLOCKS
from experiments.permutations import largest_gain
from experiments.protocol import arguments, low_priority
from experiments.tables import check_some, complete, made_with, paired, results_of, shown, write_tables
from scaledis import datasets, register_estimator
from scaledis.core import runtime
from scaledis.core.files import read_arrays, write_bytes
from scaledis.methods.estimators.memory_bank import make_memory_bank
from scaledis.objectives import aggregate_posterior

SEEDS = tuple(range(5300, 5308))
BATCH, POSTERIORS = 64, 1024  # that the estimator sees
PLACES = range(2, 32, 4)
GRID = {"shape": [2], "scale": [1, 5], "orientation": range(0, 40, 10), "position_x": PLACES, "position_y": PLACES}
GRIDS = ("beta2", "beta5", "beta10", "long")  # the conditions of one grid over b = 1, 2 and 4
SHOWN = (*blocks.COLUMNS, "dR per nat")


def make_weighted_bank(config, images):
    """Weighted sampling over the batch and the last `objective.bank` other images: it sees log(B + n) nats."""
    return make_memory_bank(config, images, weigh=aggregate_posterior.weighted_among)


register_estimator("weighted_bank", make_weighted_bank)


def cells(*sizes):
    """A row of the table for each size of a block."""
    return {f"b = {block}": {"method.block": block, "method.within": "free"} for block in sizes}


def table(name, sizes, scored=None, **changes):
    """A World of these sizes of a block, which scores what blocks.py does; `changes` by key with `__` for the dot."""
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    return World(f"block_tables/{name}", cells(*sizes), {**COMMON, **changed}, SCORED if scored is None else scored)


def world_of(name):
    """The World of a table by its name."""
    of_512 = {"data__name": "arrays", "data__path": str(protocol.ROOT / "runs/block_tables/512.npz")}
    bank = {"objective__estimator": "weighted_bank", "objective__bank": POSTERIORS - BATCH}
    whole = {"objective__estimator": "memory_bank", "objective__bank": 512}
    colors = {"data__name": "rendered", "objective__likelihood": "gaussian"}
    worlds = {
        "price": partial(table, sizes=(1, 2, 4), **bank),
        "exact": partial(table, sizes=BLOCKS, scored=range(4), **of_512, **whole),
        "beta2": partial(table, sizes=(1, 2, 4), method__beta=2.0),
        "beta10": partial(table, sizes=(1, 2, 4), method__beta=10.0),
        "units12": partial(table, sizes=(1, 2, 3, 4, 6), model__latents=12),
        "rendered": partial(table, sizes=(1, 2, 4), scored=range(6), **colors),
        "long": partial(table, sizes=(1, 2, 4), train__steps=2 * COMMON["train.steps"]),
    }
    return worlds[name](name)


NAMES = ("price", "exact", "beta2", "beta10", "units12", "rendered", "long")


def main():
    given = arguments(__doc__, NAMES, blocks.DATA)
    runtime.prepare_jax()
    low_priority()
    for name in given.names:
        if name == "exact":
            write_images(world_of(name).common["data.path"])
        for seed in SEEDS:
            blocks.train_part(given.tier, seed, world_of(name), beside=price_of)
            report(given.tier)
    report(given.tier)


def write_images(path):
    """512 hearts of `rendered_dsprites`, a full grid of two scales, four quarter turns and 8 x 8 places."""
    dataset = datasets.load(blocks.DATA)
    grid = np.stack(np.meshgrid(*GRID.values(), indexing="ij"), axis=-1).reshape(-1, len(GRID))
    names = [name for name, values in GRID.items() if len(values) > 1]
    several = [place for place, values in enumerate(GRID.values()) if len(values) > 1]
    file = io.BytesIO()
    np.savez(file, images=dataset.images(dataset.index(grid)), factors=grid[:, several], names=names)
    write_bytes(Path(path), file.getvalue())


def price_of(row, mean, log_variance):
    """What a nat costs in a run."""
    if row["diverged"] is not None:
        return {}
    given = row["override"]
    block, beta, estimator = given["method.block"], given["method.beta"], given.get("objective.estimator")
    if estimator == "memory_bank":
        return {"dR per nat": prices.exact_price(mean, log_variance, block, beta)}
    nats = (0.5 * (mean.astype(float) ** 2 + np.exp(log_variance) - 1 - log_variance)).mean(0)
    return {"dR per nat": prices.price(nats, block, beta, POSTERIORS if estimator else BATCH)}


def report(tier_name):
    """The tables of the parts that have run, beside those of blocks.py."""
    known = {name: results_of(f"block_tables/{name}", tier_name) for name in NAMES}
    known = {name: found for name, found in known.items() if found}
    check_some("block_tables", tier_name, known)
    of = {
        (name, cell): [row | blocks.columns_of(row, row["sizes"], world_of(name).scored) for row in entry["runs"]]
        for name, found in known.items()
        for cell, entry in found.items()
    }
    of |= of_blocks(tier_name)
    rows = [[*names, *(shown([row.get(column) for row in runs]) for column in SHOWN)] for names, runs in of.items()]
    gaps = [
        [name, f"{cell} - b = 1", score, shown(paired(runs, of[name, "b = 1"], score))]
        for (name, cell), runs in of.items()
        if cell != "b = 1"
        for score in ("MIG of units, upper", "MIG of blocks, upper", "MIG of blocks, lower", "DCI-D of blocks", "ELBO")
    ]
    gaps += [
        [name, "b = 2 - best pairs of b = 1", bound, shown(paired(*(as_score(*each, bound) for each in both), "score"))]
        for name in dict.fromkeys(name for name, _ in of)
        if (name, "b = 2") in of
        for both in [((of[name, "b = 2"], "MIG of blocks"), (of[name, "b = 1"], "MIG of best pairs"))]
        for bound in ("upper", "lower")
    ]
    about = (
        f"{'; '.join(f'{name}: {made_with(found)}' for name, found in known.items())} beta5 is the table of blocks.py. "
        "Bounds: with and without the image's own posterior among all. dR per nat: what a nat of true information of "
        "independent units costs that hold what the units of the run hold, under the run's estimator; in `exact` what "
        "it costs in the run itself, and the upper bound is the information itself. Paired differences over the seeds. "
        "Exploratory: no verdicts."
    )
    maxima = ["grid", "score", "largest gain", "where", "by chance", "95 % of them below", "p", "permutations"]
    write_tables(
        *("block_tables", tier_name, "Granularity under other conditions", about),
        (["table", "blocks", *SHOWN], rows),
        (["table", "difference", "score", "mean and 95 % interval"], gaps),
        (maxima, [*of_grid(of), *of_papers_grids(tier_name)]),
    )


def as_score(runs, column, bound):
    """The runs with one column as "score"."""
    return [{"override": row["override"], "score": row[f"{column}, {bound}"]} for row in runs]


def of_blocks(tier_name):
    """The rows of blocks.py with dependence within a block free, and the price of a nat from the kept encodings."""
    found = {}
    for cell, entry in results_of("blocks", tier_name).items():
        if "rewarded" in cell:
            continue
        rows = []
        for row in entry["runs"]:
            seed = row["override"]["seed"]
            kept = read_arrays(blocks.archive_of("blocks", tier_name, seed))
            number = list(blocks.CELLS).index(cell)
            encoded = (kept[f"{key}{number}"].astype(float) for key in ("mean", "log_variance"))
            sizes = datasets.load(blocks.DATA).factor_sizes
            rows.append(row | blocks.columns_of(row, sizes, SCORED) | price_of(row, *encoded))
        found["beta5", cell.removesuffix(", free")] = rows
    return found


def of_grid(of):
    """The largest gains over beta and length, b = 2 and 4 against b = 1; beta5 has other seeds than the others."""
    names = [name for name in GRIDS if all((name, cell) in of for cell in cells(1, 2, 4))]
    scores = ("MIG of units, upper", "MIG of blocks, upper", "MIG of blocks, lower", "DCI-D of blocks")
    runs = [[of[name, cell] for cell in cells(1, 2, 4)] for name in names]
    return [maximum("block_tables", score, runs, names, (1, 2, 4)) for score in scores if names]


def of_papers_grids(tier_name):
    """The same of granularity.py over beta and of v_shape.py over capacity, by the MIG of units."""
    rows = []
    for script in ("granularity", "v_shape"):
        known = results_of(script, tier_name)
        names = [name.removesuffix(", b 1") for name in known if name.endswith(", b 1")]
        if names:
            runs = [[known[f"{name}, b {block}"]["runs"] for block in BLOCKS] for name in names]
            rows += [maximum(script, score, runs, names, BLOCKS) for score in ("MIG", "DCI-D", "ELBO")]
    return rows


def maximum(grid, score, runs, names, sizes):
    """A row of the table of maxima, of runs [conditions, blocks, seeds], over the seeds that a condition has in all."""
    scores = [np.transpose(complete(of, score)) for of in runs]
    if not all(map(len, scores)):
        return [grid, score, "no seed of all blocks", *[""] * 5]
    found = largest_gain(scores)
    where = f"{names[found.condition]}, b = {sizes[found.block]}"
    numbers = (f"{value:.3f}" for value in (found.gain, found.by_chance, found.high))
    gain, chance, high = numbers
    return [grid, score, gain, where, chance, high, f"{found.p:.2g}", "all" if found.exact else "drawn"]


if __name__ == "__main__":
    main()
