"""The runs of the primary rows of experiments/results/plan.md on `rendered`: length, Figure 1, depth, Table 2.

    python -m experiments.primary --tier=small length      # rows 1 and 2: ours, VLAE, the best flat method
    python -m experiments.primary --tier=small few         # row 3: few units first with a bank
    python -m experiments.primary --tier=small figure1 depth allocations    # rows 4, 5 and 6
    python -m experiments.primary --tier=small --table     # only the table of what has run

They run in parts of two seeds, each written when it is there, and resume. Settings are those of tuning.py. Writes
experiments/results/primary/<tier>.json and .md.
"""

from experiments import protocol, tuning
from experiments.protocol import SCORES, arguments, few_first, low_priority, place, run
from experiments.tables import (
    GAPS,
    differences,
    finished,
    made_with,
    mean,
    results_of,
    shown,
    write_results,
    write_tables,
)
from scaledis.core import runtime
from scaledis.sweeps.expand import sweep_allocations

PART = 2  # seeds
COUNTS = {"length": 20, "few": 20, "figure1": 24, "depth": 24, "allocations": 8}  # seeds of each group of rows
FIRST_SEED, FIRST_OF_STARTS = 200, 3000
FLAT = ("beta_tcvae_hfs", "beta_tcvae", "dava")
TIMES, SCORED = 8, 8
LEVELS = ("dci", "mig", "level")
LEVEL_SCORES = ("level/redundancy", "level/tc_between")
OBJECTIVES = [("figure 1, both", f"figure 1, {other}") for other in ("intra", "inter")]
ALLOCATIONS = [
    (f"ours, {each['model.allocation']}", f"vlae, {each['model.allocation']}") for each in sweep_allocations()
]


def main():
    given = arguments(__doc__, COUNTS)
    runtime.prepare_jax()
    low_priority()
    for name in given.names:
        for first in range(0, COUNTS[name], PART):
            for entry, setting in settings_of(name, given.tier).items():
                train_part(given.tier, entry, setting, range(first, first + PART))
    report(given.tier)


def settings_of(name, tier_name):
    """The settings of a group of rows by the name of the entry in the table, without their seeds."""
    known = finished("tuning", tier_name)
    chosen = {method: tuning.best(found["runs"], "DCI-D") for method, found in known.items()}
    steps = TIMES * protocol.tier(tier_name)["train"]["steps"]
    longer = {"train.steps": steps, "train.evaluate_every": steps // SCORED}
    if name == "length":
        level = {method: mean_of_choice(known[method]["runs"]) for method in FLAT}
        flat = max(level, key=level.get)
        methods = {"scale_vlae": ("dci", "mig", "level"), "vlae": ("dci", "mig", "level"), flat: ("dci", "mig")}
        return {
            f"{method}, {steps} steps": {**chosen[method], **longer, "evaluate.metrics": scores}
            for method, scores in methods.items()
        }
    if name == "few":
        return {f"few units first, {steps} steps": {**few_first(steps), **longer, "evaluate.metrics": LEVELS}}
    ours, vlae = chosen["scale_vlae"], chosen["vlae"] | {"model.injection": chosen["scale_vlae"]["model.injection"]}
    if name == "figure1":
        of_three = {**ours, "model.allocation": (3, 3, 3), "evaluate.metrics": LEVELS}
        return {
            "figure 1, both": of_three,
            "figure 1, intra": {**of_three, "method.gamma": 0.0},
            "figure 1, inter": {**of_three, "method.beta": 1.0},
        }
    if name == "depth":
        return {f"ours, {each}": {**ours, "model.allocation": each} for each in ((4, 6), (3, 3, 4))}
    return {
        f"{title}, {each['model.allocation']}": {**setting, **each}
        for each in sweep_allocations()
        for title, setting in (("ours", ours), ("vlae", vlae))
    }


def mean_of_choice(runs):
    """The mean DCI-D of a method's chosen setting over the tuning seeds."""
    chosen = tuning.best(runs, "DCI-D")
    return mean(next(rows for setting, rows in tuning.settings_of(runs) if setting == chosen), "DCI-D")


def train_part(tier_name, entry, setting, numbers):
    """Trains the runs of some numbers of one entry, and writes them beside those that are there."""
    known = results_of("primary", tier_name)
    before = known.get(entry, {"runs": []})["runs"]
    missing = [number for number in numbers if number not in [row["number"] for row in before]]
    if not missing:
        return
    title = f"{entry}-{missing[0]}".replace(" ", "_")
    first = FIRST_OF_STARTS if entry.startswith("few") else FIRST_SEED
    rows = run(
        place("primary", tier_name, title, "runs"),
        protocol.tier(tier_name),
        [{**setting, "seed": first + number} for number in missing],
    )
    rows = [{**row, "number": number} for row, number in zip(rows, missing, strict=True)]
    known[entry] = {"runs": [*before, *rows], "machine": runtime.machine()}
    write_results("primary", tier_name, known)


def report(tier_name):
    """The tables of what has run, and what each penalty of Figure 1 adds; plan.md says which differences are judged."""
    known = finished("primary", tier_name)
    columns = [*SCORES, "ELBO", "R", *LEVEL_SCORES]
    rows = [
        [name, *(shown([row.get(column) for row in found["runs"]]) for column in columns)]
        for name, found in sorted(known.items())
    ]
    runs = {name: found["runs"] for name, found in known.items()}
    gaps = [gap for score in (*SCORES, *LEVEL_SCORES) for gap in differences(runs, score, OBJECTIVES)]
    gaps += differences(runs, "DCI-D", [("ours, (3, 3, 4)", "ours, (4, 6)"), *ALLOCATIONS])
    about = (
        f"{made_with(known)} ELBO, R and the dependence between levels in nats; the sigma of ours is not that of VLAE, "
        "so their ELBO and R cannot be compared. `family` judges rows 4 to 6 of the plan, which are the first "
        "difference, that of two depths of ours, and the mean over all allocations; the others are exploratory."
    )
    title = "The runs of the primary rows"
    write_tables("primary", tier_name, title, about, (["runs", *columns], rows), (GAPS, gaps))


if __name__ == "__main__":
    main()
