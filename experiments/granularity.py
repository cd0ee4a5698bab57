"""Disentangling Granularity: MIG of the beta-STCVAE against the beta-TCVAE, over beta and the size of its blocks.

    python -m experiments.granularity --tier=small
    python -m experiments.granularity --tier=small 5 bank    # some rows; the table holds whatever is there
    python -m experiments.granularity --tier=paper --data=dsprites    # or cars3d: the real sets

`rendered_dsprites`, 8 units, blocks of 1 (the beta-TCVAE), 2, 4 and 8 units, beta 5 first, then 2 and 10; a Bernoulli
likelihood and no warm-up. `bank` is beta 5 once more, with the aggregate posterior of the last 1,024 images instead of
the minibatch's 64. Writes experiments/results/granularity/<tier>.json, .md and .png. The claim: with the right
granularity the MIG is up to a fifth above that of the beta-TCVAE.
"""

from experiments.pictures import dots
from experiments.protocol import SEEDS, arguments, low_priority, run_groups
from experiments.tables import claim, finished, made_with, mean, paired, shown, side, write_markdown
from scaledis.core import runtime

ROWS = {
    "5": {"method.beta": 5.0},
    "2": {"method.beta": 2.0},
    "10": {"method.beta": 10.0},
    "bank": {"method.beta": 5.0, "objective.estimator": "memory_bank", "objective.bank": 1024},
}
BLOCKS = (1, 2, 4, 8)
DATA = "rendered_dsprites"
COMMON = {
    "method.name": "beta_stcvae",
    "model.latents": 8,
    "objective.likelihood": "bernoulli",
    "objective.kl_warmup": 0.0,
}


def main():
    given = arguments(__doc__, ROWS, DATA)
    runtime.prepare_jax()
    low_priority()
    for row in given.names:
        cells = {name_of(row, block): {**ROWS[row], "method.block": block} for block in BLOCKS}
        run_groups("granularity", given.tier, f"beta{row}", with_seeds(cells, SEEDS, given.data))
        report(given.tier)
    if given.table:
        report(given.tier)


def with_seeds(cells, seeds, data):
    """The overrides of each cell of a table, by its name: what all have in common, its own, and every seed."""
    common = {"data.name": data, **COMMON}
    return {name: [{**common, **cell, "seed": seed} for seed in seeds] for name, cell in cells.items()}


def name_of(row, block):
    """The name of a cell of the table."""
    return f"beta {row}, b {block}"


def title_of(row):
    """What a row is called in the picture and in its claim."""
    return "beta 5 with a bank" if row == "bank" else f"beta {row}"


def report(tier):
    """The tables of what has run, and a claim a row: the best block of several units against one unit."""
    known = finished("granularity", tier)
    of = {row: {b: known[name_of(row, b)]["runs"] for b in BLOCKS} for row in ROWS if name_of(row, 1) in known}
    rows = [
        [row, score, *(shown([run[score] for run in runs]) for runs in cells.values())]
        for score in ("MIG", "DCI-D", "ELBO")
        for row, cells in of.items()
    ]
    about = "ELBO in nats per image. " + made_with(known)
    columns = ["beta", "score", *(f"b = {block}" for block in BLOCKS)]
    write_markdown("granularity", tier, "Scores over beta and granularity", about, columns, rows)
    drawn = {f"b = {block}": {title_of(row): cells[block] for row, cells in of.items()} for block in BLOCKS}
    dots("granularity", tier, drawn, ("MIG", "DCI-D"))
    for row, cells in of.items():
        means = {block: mean(runs, "MIG") for block, runs in cells.items()}
        best = max(BLOCKS[1:], key=means.get)
        gain = paired(cells[best], cells[1], "MIG")
        found = f"MIG, b = {best} {means[best]:.3f}, b = 1 {means[1]:.3f}; difference {shown(gain)}"
        at = title_of(row)
        claim(f"granularity, {at}", f"beta-STCVAE > beta-TCVAE in MIG, {at}", "+ 20 %", found, side(gain), tier)


if __name__ == "__main__":
    main()
