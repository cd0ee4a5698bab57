"""Beyond Flat Latent, Figure 2: edits of CelebA's faces by a ladder of four levels (B) against alpha-TCVAE (A).

    python -m experiments.figure2 --tier=small                    # `rendered`, a look-alike of 3DShapes, instead
    python -m experiments.figure2 --tier=paper --data=celeba      # CelebA, which must be prepared

For each attribute the unit of either method that knows most of it moves through nine values on the same image, from the
coarsest attribute to the finest. What the picture shows is measured too: the selectivity of edits, on five seeds with
the settings that Table 1 chose, on one of CelebA with the published ones. Writes
experiments/results/figure2/<tier>.json, .md and .png. The claim: finer levels edit more selectively.
"""

import statistics

from experiments.protocol import SEEDS, arguments, chosen, low_priority, place, run_groups
from experiments.tables import RESULTS, claim, finished, made_with, paired, shown, side, write_markdown
from scaledis import methods
from scaledis.core import runtime
from scaledis.core.files import write_bytes
from scaledis.datasets.base import sampling
from scaledis.report import gather
from scaledis.report.pictures import canvas, paper
from scaledis.training import evaluate
from scaledis.training.load import load_run

METHODS = ("alpha_tcvae", "scale_vlae")  # rows A and B
ATTRIBUTES = {"celeba": ("Chubby", "Smiling", "Pale_Skin"), "rendered": ("object_hue", "scale", "wall_hue")}
METRICS = ("dci", "mig", "level", "edits")
COLUMNS = {
    "selectivity": "edits/selectivity",
    "below the top": "below the top",
    "other factors kept": "edits/kept",
    "own factor changes": "edits/effective",
}


def main():
    given = arguments(__doc__)
    runtime.prepare_jax()
    low_priority()
    if not given.table:
        settings = {name: setting(name, given.tier, given.data) for name in METHODS}
        seeds = SEEDS[:1] if given.data == "celeba" else SEEDS
        overrides = {name: [{**settings[name], "seed": seed} for seed in seeds] for name in METHODS}
        run_groups("figure2", given.tier, "methods", overrides)
        picture = draw(place("figure2", given.tier, "figure2", "methods"))
        write_bytes(RESULTS / f"figure2/{given.tier}.png", canvas.png(picture))
    report(given.tier)


def setting(name, tier, data):
    """The overrides of a method: those published for CelebA, or those that Table 1 chose on another set."""
    common = {"method.name": name, "evaluate.metrics": METRICS}
    if data != "celeba":
        return {**chosen(tier, name), **common}
    published = methods.choose(name).settings_for(data)
    own = {key: value for key, value in published.items() if key.startswith("method.")}
    return {**own, **common, "evaluate.split": "held_out"}


def below_the_top(levels):
    """The mean selectivity of the levels below the top; of a flat method that of its only level; None without one."""
    known = [value for value in (levels[1:] or levels) if value is not None]
    return statistics.fmean(known) if known else None


def report(tier):
    """The table, a line a method, and the claim."""
    known = finished("figure2", tier)
    of = {name: found["runs"] for name, found in known.items()}
    runs = [row for rows in of.values() for row in rows]
    for row in runs:
        row["below the top"] = below_the_top(row.get("edits/selectivity_per_level") or [])
    rows = [[name, *(shown([row.get(key) for row in rows]) for key in COLUMNS.values())] for name, rows in of.items()]
    about = f"Edit selectivity. {made_with(known)}"
    write_markdown("figure2", tier, "Beyond Flat Latent, Figure 2", about, ["method", *COLUMNS], rows)
    flat, ours = METHODS
    gaps = paired(of[ours], of[flat], "below the top")
    claim(
        "figure2",
        f"finer levels edit more selectively than {flat}",
        "Figure 2",
        f"selectivity, levels below the top - {flat}: {shown(gaps)}",
        side(gaps),
        tier,
    )


def draw(workdir):
    """The edits of both methods on the first images of the evaluation, one for each attribute; the first seeds."""
    firsts = sorted(workdir.runs(), key=lambda run: run.config.seed)
    runs = [next(run for run in firsts if run.config.method.name == name) for name in METHODS]
    dataset = sampling.load_dataset(runs[0].config.data)
    models = [load_run(workdir.root, each.name) for each in runs]
    known = [gather.summary(each, each.config.method.name, dataset, workdir) for each in runs]
    index, _ = evaluate.sample(dataset, runs[0].config)
    attributes = ATTRIBUTES.get(runs[0].config.data.name, dataset.factor_names[:3])
    pairs = [
        tuple(paper.edit(summary, model, name, image) for summary, model in zip(known, models, strict=True))
        for name, image in zip(attributes, dataset.images(index[: len(attributes)]), strict=True)
    ]
    flat, ladder = (
        summary._replace(step=model.step, name=name)
        for summary, model, name in zip(known, models, METHODS, strict=True)
    )
    return paper.edits(flat, ladder, pairs)


if __name__ == "__main__":
    main()
