"""Disentangling Granularity in the paper's own measure, MIG of blocks by posteriors, and what it is worth.

    python -m experiments.blocks --tier=small            # 84 runs, first those of the plan; it resumes
    python -m experiments.blocks --tier=small --table    # only the table of the parts that have run

`rendered_dsprites`, 8 units, beta 5, 20,000 steps: blocks of 1 (the beta-TCVAE), 2 and 4 units, with dependence within
a block `free` (the paper's formula) or `rewarded` (its published code). A block counts as one variable, as in that
code; shape is trained on and not scored, as in the paper. Beside the MIG of blocks stand that of single units, that of
the best pairing of the units afterwards (chosen on half of the codes, scored on the other half), MIG-sup and DCI-D of
blocks, which see a block that knows everything, and the nats of the fullest block. posteriors.py has the measures.

Writes experiments/results/blocks/<tier>.json and .md, and a part's encodings of 4,096 images in half precision as
<tier>-seed<seed>.npz. experiments/results/plan.md has the claims.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import posteriors, protocol
from experiments.protocol import arguments, low_priority, place, run
from experiments.tables import (
    GAPS,
    RESULTS,
    differences,
    finished,
    made_with,
    results_of,
    shown,
    write_results,
    write_tables,
)
from scaledis import metrics
from scaledis.core import runtime
from scaledis.core.files import read_arrays, write_arrays
from scaledis.datasets.base import sampling
from scaledis.training.load import load_run

SEEDS = range(200, 224)
PRIMARY = ("b = 1", "b = 2, free")  # that have all seeds, and run first; the others have the first half
UNITS, DATA = 8, "rendered_dsprites"
CELLS = {
    "b = 1": {"method.block": 1, "method.within": "free"},
    "b = 2, free": {"method.block": 2, "method.within": "free"},
    "b = 2, rewarded": {"method.block": 2, "method.within": "rewarded"},
    "b = 4, free": {"method.block": 4, "method.within": "free"},
    "b = 4, rewarded": {"method.block": 4, "method.within": "rewarded"},
}
COMMON = {
    "data.name": DATA,
    "method.name": "beta_stcvae",
    "method.beta": 5.0,
    "model.latents": UNITS,
    "objective.likelihood": "bernoulli",
    "objective.kl_warmup": 0.0,
    "train.steps": 20_000,
}
SCORED = (1, 2, 3, 4)  # scale, orientation, position
PAIRED = 2  # the largest block whose model is scored in all pairs of units
KNOWN = 0.5  # of a factor's entropy, which a block that knows the factor has
KEPT, DCI_CODES = 4096, 6000  # images
COLUMNS = (
    *(f"MIG of {name}, {bound}" for name in ("units", "blocks", "best pairs") for bound in posteriors.BOUNDS),
    *("MIG-sup of blocks", "DCI-D of blocks", "factors that the best block knows"),
    *("nats of the fullest block, upper", "nats of the fullest block, lower", "DCI-D", "MIG", "ELBO", "R"),
)


COMPARED = (
    *("MIG of units, upper", "MIG of best pairs, upper", "MIG of blocks, upper"),
    *("MIG-sup of blocks", "DCI-D of blocks", "ELBO", "R"),
)


class World(NamedTuple):
    """What the runs of a table are: its name among the results, and what they share.

    cells: the overrides of each row of the table.
    common: those of all rows.
    scored: the factors that count, as column numbers.
    """

    name: str
    cells: Mapping[str, Mapping[str, Any]]
    common: Mapping[str, Any]
    scored: Sequence[int]


def world():
    """That of this table."""
    return World("blocks", CELLS, COMMON, SCORED)


def main():
    given = arguments(__doc__, data=DATA)
    runtime.prepare_jax()
    low_priority()
    if not given.table:
        half = SEEDS[: len(SEEDS) // 2]
        for seed, cells in [*((seed, PRIMARY) for seed in SEEDS), *((seed, tuple(CELLS)) for seed in half)]:
            train_part(given.tier, seed, world(), cells)
            report(given.tier)
    report(given.tier)


def train_part(tier_name, seed, world, names=None, beside=lambda row, mean, log_variance: {}):
    """Trains and scores one seed of the cells `names`, all by default, and writes its runs beside those that are there.

    `beside` is what else is known of a run: (row, mean, log_variance [N, K]) -> columns. The archive of a seed has the
    encodings of a cell by its place among all cells of the world.
    """
    known = results_of(world.name, tier_name)
    numbers = {name: number for number, name in enumerate(world.cells) if not has(known.get(name, {"runs": []}), seed)}
    missing = [name for name in names or world.cells if name in numbers]
    if not missing:
        return
    part = f"seed{seed}" + "".join(f"-{numbers[name]}" for name in missing if len(missing) < len(world.cells))
    workdir = place(world.name, tier_name, world.name, part)
    overrides = [{**world.common, **world.cells[name], "seed": seed} for name in missing]
    rows = run(workdir, protocol.tier(tier_name), overrides)
    dataset = sampling.load_dataset(workdir.runs()[0].config.data)
    index = np.random.default_rng(0).choice(dataset.size, size=min(DCI_CODES, dataset.size), replace=False)
    archive = archive_of(world.name, tier_name, seed)
    kept = read_arrays(archive) if archive.exists() else {"index": index[:KEPT]}
    for name, row in zip(missing, rows, strict=True):
        mean, log_variance = posteriors.encode_all(load_run(workdir.root, row["run"]), dataset)
        row |= scores_of(mean, log_variance, world.cells[name]["method.block"], dataset, index, world.scored)
        row |= beside(row, mean, log_variance)
        for key, array in (("mean", mean), ("log_variance", log_variance)):
            kept[f"{key}{numbers[name]}"] = array[index[:KEPT]].astype(np.float16)
        print(f"seed {seed}, {name}: scored", flush=True)
        known[name] = {"runs": [*known.get(name, {"runs": []})["runs"], row], "machine": runtime.machine()}
    write_arrays(archive, **kept)
    write_results(world.name, tier_name, known)


def archive_of(name, tier_name, seed):
    """Where the encodings of a seed are."""
    return RESULTS / name / f"{tier_name}-seed{seed}.npz"


def has(entry, seed):
    """Whether an entry of `results_of` has a seed."""
    return any(row["override"]["seed"] == seed for row in entry["runs"])


def scores_of(mean, log_variance, block, dataset, index, scored):
    """The information of units, blocks and, up to PAIRED units a block, all pairs; and the DCI-D of the blocks."""
    units = mean.shape[1]
    blocks = [tuple(range(start, min(start + block, units))) for start in range(0, units, block)]
    pairs = posteriors.pairs_of(units) if block <= PAIRED else []
    subsets = list(dict.fromkeys([*((unit,) for unit in range(units)), *pairs, *blocks]))
    found = posteriors.information(mean, log_variance, dataset.factor_sizes, subsets)
    factors = dataset.factors(index)[:, scored]
    dci = metrics.compute("dci", mean[index], factors, groups=[list(units) for units in blocks])
    return {
        "sizes": dataset.factor_sizes,
        "subsets": subsets,
        "blocks": [subsets.index(units) for units in blocks],
        "information": rounded(found),
        "DCI-D of blocks": dci["dci/disentanglement"],
    }


def rounded(tree):
    """A nested structure of numbers with four decimals."""
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    return [rounded(value) for value in tree] if isinstance(tree, list) else round(tree, 4)


def columns_of(row, sizes, scored_factors):
    """The columns of the table that one run gives; all of them are None of a run that has diverged."""
    if row["diverged"] is not None:
        return dict.fromkeys(COLUMNS)
    halves_of = {bound: np.asarray(row["information"]["factors"][bound]) for bound in posteriors.BOUNDS}
    of_factors = {bound: halves[..., scored_factors] for bound, halves in halves_of.items()}
    whole = {bound: halves.mean(0) for bound, halves in of_factors.items()}
    image = {bound: np.asarray(row["information"]["image"][bound]).mean(0) for bound in posteriors.BOUNDS}
    scored, blocks = np.asarray(sizes)[list(scored_factors)], row["blocks"]
    units = sum(len(subset) == 1 for subset in row["subsets"])
    mig = {
        f"MIG of {name}, {bound}": float(posteriors.gaps(whole[bound][rows], scored).mean())
        for name, rows in {"units": list(range(units)), "blocks": blocks}.items()
        for bound in posteriors.BOUNDS
    }
    paired_after = {}
    if set(map(tuple, row["subsets"])) >= set(posteriors.pairs_of(units)):
        paired_after = {
            f"MIG of best pairs, {bound}": posteriors.best_pairing(
                halves_of[bound], map(tuple, row["subsets"]), sizes, scored_factors
            )
            for bound in posteriors.BOUNDS
        }
    known = (whole["lower"][blocks] / np.log(scored) > KNOWN).sum(1)
    return {
        **mig,
        **paired_after,
        "MIG-sup of blocks": float(posteriors.mig_sup(whole["lower"][blocks], scored).mean()),
        "factors that the best block knows": float(known.max()),
        "nats of the fullest block, upper": float(image["upper"][blocks].max()),
        "nats of the fullest block, lower": float(image["lower"][blocks].max()),
    }


def with_columns(runs):
    """The runs of each cell with what the table has of them."""
    sizes = sampling.datasets.load(DATA).factor_sizes
    return {name: [row | columns_of(row, sizes, SCORED) for row in rows] for name, rows in runs.items()}


def report(tier_name):
    """The table of the parts that have run."""
    known = finished("blocks", tier_name)
    of = with_columns({name: found["runs"] for name, found in known.items()})
    rows = [[name, *(shown([row.get(column) for row in rows]) for column in COLUMNS)] for name, rows in of.items()]
    about = (
        f"{made_with(known)} Bounds: with and without the image's own posterior among all images. MIG-sup "
        f"and known factors (more than {KNOWN:.0%} of the entropy) are of the lower bound; shape is not scored. DCI-D "
        "and MIG without a bound are of single units, over histograms, shape included. ELBO and R in nats per image. "
        "A difference is paired over the seeds that both have; `family` judges rows 7 and 8 of the plan."
    )
    pairs = [(name, "b = 1") for name in of if name.startswith("b = 2")]
    gaps = [gap for score in COMPARED for gap in differences(of, score, pairs)]
    write_tables(
        "blocks",
        tier_name,
        "Granularity, a block as one variable",
        about,
        (["blocks", *COLUMNS], rows),
        (GAPS, gaps),
    )


if __name__ == "__main__":
    main()
