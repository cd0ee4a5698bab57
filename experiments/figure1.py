"""Beyond Flat Latent, Figure 1: four objectives (none, intra only, inter only, both) on three levels of three units.

    python -m experiments.figure1 --tier=small
    python -m experiments.figure1 --tier=paper --data=shapes3d    # the real set, with what Table 1 chose on it

The penalties have the weights that Table 1 chose. What the paper shows in pictures is measured: the exact total
correlation within and between levels, the redundancy of levels, DCI-D. Writes experiments/results/figure1/<tier>.json,
.md and .png. The claim: intra cleans rows, inter removes copies between levels, both together are best.
"""

from experiments.protocol import SEEDS, arguments, chosen, low_priority, place, run_groups
from experiments.tables import RESULTS, claim, finished, made_with, paired, shown, side, write_markdown
from scaledis.core import runtime
from scaledis.core.files import write_bytes
from scaledis.datasets.base import sampling
from scaledis.report import gather
from scaledis.report.pictures import canvas, paper
from scaledis.training.load import load_run

OBJECTIVES = {"none": (0, 0), "intra": (1, 0), "inter": (0, 1), "both": (1, 1)}  # whether intra, inter weigh
COLUMNS = {
    "DCI-D": "DCI-D",
    "within, nats": "within",
    "between, nats": "level/tc_between",
    "redundancy": "level/redundancy",
}


def overrides_of(tier):
    """Objective -> overrides, without the seed."""
    setting = chosen(tier, "scale_vlae")
    beta, gamma = setting.get("method.beta", 8.0), setting.get("method.gamma", 3.0)
    common = {**setting, "model.allocation": (3, 3, 3), "evaluate.metrics": ("dci", "mig", "level")}
    return {
        name: {**common, "method.beta": beta if intra else 1.0, "method.gamma": gamma if inter else 0.0}
        for name, (intra, inter) in OBJECTIVES.items()
    }


def main():
    given = arguments(__doc__)
    runtime.prepare_jax()
    low_priority()
    settings = overrides_of(given.tier)
    overrides = {name: [{**setting, "seed": seed} for seed in SEEDS] for name, setting in settings.items()}
    if not given.table:
        run_groups("figure1", given.tier, "seeds", overrides)
        draw(given.tier, settings)
    known = finished("figure1", given.tier)
    of = {name: found["runs"] for name, found in known.items()}
    for row in (row for rows in of.values() for row in rows):
        row["within"] = None if row["level/tc_within"] is None else sum(row["level/tc_within"])
    write(given.tier, of, known)
    for key, words, one, other, score in [
        ("intra", "intra lowers the dependence within levels", "none", "intra", "within"),
        ("inter", "inter removes copies between levels", "none", "inter", "level/redundancy"),
    ]:
        lowered = paired(of[one], of[other], score)
        claim(
            f"figure1, {key}",
            words,
            "Figure 1",
            f"{score}, {one} - {other}: {shown(lowered)}",
            side(lowered),
            given.tier,
        )
    for other in ("none", "intra", "inter"):
        gaps = paired(of["both"], of[other], "DCI-D")
        found = f"DCI-D, both - {other}: {shown(gaps)}"
        claim(f"figure1, both > {other}", "both together are best", "Figure 1", found, side(gaps), given.tier)


def write(tier, of, known):
    """The table: a line an objective."""
    rows = [[name, *(shown([row[key] for row in rows]) for key in COLUMNS.values())] for name, rows in of.items()]
    about = f"Three levels of three units. {made_with(known)}"
    write_markdown("figure1", tier, "Beyond Flat Latent, Figure 1", about, ["objective", *COLUMNS], rows)


def draw(tier, settings):
    """The first seed of each objective, in the paper's arrangement."""
    workdir, drawn = place("figure1", tier, "figure1", "seeds"), {}
    for name, setting in settings.items():
        run = next(run for run in workdir.runs() if run.config.seed == SEEDS[0] and weighs(run.config, setting))
        dataset, model = sampling.load_dataset(run.config.data), load_run(workdir.root, run.name)
        drawn[name] = gather.summary(run, name, dataset, workdir, model)
    write_bytes(RESULTS / f"figure1/{tier}.png", canvas.png(paper.objectives(drawn)))


def weighs(config, setting):
    """Whether a run has the weights of a setting."""
    return all(config.method.hyperparameters[key] == setting[f"method.{key}"] for key in ("beta", "gamma"))


if __name__ == "__main__":
    main()
