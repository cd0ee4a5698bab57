"""The figures of docs/results.md that need no runs: drawn from the results that are committed.

    python -m experiments.figures --tier=small

Writes, under experiments/results: claims.png, the differences that the papers expect above 0;
figure1/<tier>-scores.png; hues/<tier>-told.png, what a unit and a pair of units tell of a hue;
length/<tier>-starts.png, what tells a good start; and blocks/<tier>.png, the scores of blocks.
"""

import matplotlib.pyplot as plt

from experiments import blocks, figure1, tables
from experiments.pictures import bare, dots, save
from experiments.protocol import arguments
from experiments.tables import INTERVAL, finished
from scaledis.core.files import read_json
from scaledis.datasets.base import sampling

SERIES = {"5,000 steps": "C0", "40,000 steps": "C1", "a row of the plan, fresh seeds": "black"}
PLAN = 2  # the series whose rows are there once they have a verdict, and a number
# Row: its key of claims.json in each series.
ROWS = {
    "ours - VLAE": {
        0: "table1, DCI-D, scale_vlae > vlae",
        1: "length, DCI-D, scale_vlae > vlae",
        PLAN: "primary, row 1",
    },
    "ours - best flat method": {
        0: "table1, DCI-D, scale_vlae > best flat",
        1: "length, DCI-D, scale_vlae > beta_tcvae_hfs",
        PLAN: "primary, row 2",
    },
    "VLAE - best flat method": {
        0: "table1, DCI-D, vlae > best flat",
        1: "length, DCI-D, vlae > beta_tcvae_hfs",
    },
    "VLAE - NVAE": {0: "table1, DCI-D, vlae > nvae"},
    "ours - VLAE, mean of nine allocations": {0: "table2, all allocations", PLAN: "primary, row 6"},
    "three levels - two levels": {0: "table2, depth", PLAN: "primary, row 5"},
    "(4, 2, 2, 2) - best other allocation": {0: "table2, (4, 2, 2, 2)"},
    "both penalties - inter only": {0: "figure1, both > inter"},
    "both penalties - intra only": {0: "figure1, both > intra", PLAN: "primary, row 4"},
    "few units first - ours": {1: "length, DCI-D, pro_scale_vlae > scale_vlae"},
    "few units first with a bank - ours": {
        1: "length, DCI-D, pro_scale_vlae-bank > scale_vlae",
        PLAN: "primary, row 3",
    },
    "ours - DAVA, in MIG": {0: "table1, MIG"},
    "few units first - ours, in MIG": {1: "length, MIG, pro_scale_vlae > scale_vlae"},
    "blocks of 4 - of 1, in MIG of units": {0: "granularity, beta 5"},
    "blocks of 2 - units of b = 1, in MIG of blocks": {PLAN: "blocks, row 7"},
    "blocks of 2 - best pairs of b = 1, in MIG of blocks": {PLAN: "blocks, row 8"},
}
METHODS = {
    "scale_vlae": "ours",
    "pro_scale_vlae": "few units first",
    "pro_scale_vlae-bank": "few units first, bank",
}
WHOLE = 0.99  # of the images: a pair tells a hue whole
FOUND = 0  # nats: a start below this ELBO has not found the third hue
BOUNDS_DIFFER = 0.02  # a MIG whose bounds differ by more is not known


def main():
    given = arguments(__doc__)
    draw_claims(given.tier)
    draw_objectives(given.tier)
    draw_hues(given.tier)
    draw_starts(given.tier)
    draw_blocks(given.tier)


def draw_claims(tier):
    """A row a difference in DCI-D that a paper expects above 0, with its intervals."""
    claims = read_json(tables.RESULTS / "claims.json")
    decided = [key for key, row in claims.items() if "verdict" in row and INTERVAL.search(row["found"])]
    known = {title: {of: f"{key}, {tier}" for of, key in keys.items()} for title, keys in ROWS.items()}
    shown = {
        title: {of: key for of, key in keys.items() if of != PLAN or key in decided} for title, keys in known.items()
    }
    drawn = {title: keys for title, keys in shown.items() if keys}
    figure, axis = plt.subplots(figsize=(8, 4.8), layout="constrained")
    colors = list(SERIES.values())
    for place, keys in enumerate(drawn.values()):
        for number, (of, key) in enumerate(keys.items()):
            mean, low, high = interval_of(claims[key]["found"])
            y, own = place + (number - (len(keys) - 1) / 2) * 0.3, {"fmt": "o", "markersize": 5, "capsize": 2}
            axis.errorbar(mean, y, xerr=[[mean - low], [high - mean]], color=colors[of], **own)
    for label, color in SERIES.items():
        axis.plot([], [], "o", color=color, label=label)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    axis.set(xlabel="difference, in DCI-D unless named", yticks=range(len(drawn)), yticklabels=drawn)
    axis.grid(axis="y", alpha=0.2)
    axis.invert_yaxis()
    figure.legend(frameon=False, loc="outside upper right", ncols=len(SERIES))
    bare(axis)
    save(figure, "", "claims")


def interval_of(found):
    """(mean, low, high) of the first interval in what a claim has found."""
    return tuple(map(float, INTERVAL.search(found).groups()))


def draw_objectives(tier):
    """The scores of Figure 1, a row an objective."""
    rows = {}
    for name, entry in finished("figure1", tier).items():
        runs = [run | {"within": sum(run["level/tc_within"])} for run in entry["runs"]]
        rows[name] = {"": [{title: run[key] for title, key in figure1.COLUMNS.items()} for run in runs]}
    dots("figure1", tier, rows, list(figure1.COLUMNS), f"{tier}-scores")


def draw_hues(tier):
    """Left the share of images whose hue the best unit and the best pair tell; right what a full radius costs."""
    known = finished_hues(tier)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(1.5, 1), layout="constrained")
    for number, key in enumerate(("best unit", "pair")):
        for place, method in enumerate(METHODS):
            values = [row[key] for row in known[method]]
            y = [place + (number - 0.5) * 0.4] * len(values)
            label = {"best unit": "one unit", "pair": "two units"}[key] if place == 0 else None
            left.plot(values, y, "o", color=f"C{number}", alpha=0.5, markersize=5, markeredgewidth=0, label=label)
    left.set(xlabel="images whose hue is told", xlim=(0, 1.02), yticks=range(len(METHODS)))
    left.set(yticklabels=METHODS.values())
    left.grid(axis="y", alpha=0.2)
    left.invert_yaxis()
    left.legend(frameon=False, loc="lower left")
    for whole, face in ((True, "C0"), (False, "white")):
        rows = [row for row in known["scale_vlae"] if (row["pair"] >= WHOLE) == whole]
        at = [row["also told"] for row in rows], [row["dependence_nats"] for row in rows]
        label = "the hue is told whole" if whole else "in part"
        right.plot(*at, "o", color="C0", markerfacecolor=face, label=label)
    right.set(xlabel="what the pair tells of another factor", ylabel="dependence of the pair, nats")
    right.set(xlim=(0, 1), ylim=(0, None))
    right.legend(frameon=False)
    bare(left, right)
    save(figure, "hues", f"{tier}-told")


def finished_hues(tier):
    """Method -> a row a run and hue."""
    known = finished("hues", tier)
    return {method: [row for hues in known[method]["runs"].values() for row in hues.values()] for method in METHODS}


def draw_starts(tier):
    """MIG of each start over its regularization, without and with a bank; circles are the starts that went on."""
    known = finished("length", tier)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axis, method in zip(axes, list(METHODS)[1:], strict=True):
        starts = known[method]["starts"]
        for color, there, label in (("C0", True, "three hues found"), ("C3", False, "two hues found")):
            of = [run for run in starts if (run["ELBO"] > FOUND) == there]
            axis.plot([run["R"] for run in of], [run["MIG"] for run in of], "o", color=color, alpha=0.7, label=label)
        on = [run for run in starts if run["goes on"]]
        at = [run["R"] for run in on], [run["MIG"] for run in on]
        axis.plot(*at, "o", markersize=11, markerfacecolor="none", color="0.3", label="goes on")
        axis.set(title=METHODS[method], xlabel="R after 8,000 steps, nats", ylim=(0, 0.5))
    axes[0].set(ylabel="MIG")
    axes[0].legend(frameon=False, loc="lower left")
    bare(*axes)
    save(figure, "length", f"{tier}-starts")


def draw_blocks(tier):
    """MIG of units, of pairs made afterwards and of blocks; and two scores that see a block which knows everything."""
    sizes = sampling.datasets.load(blocks.DATA).factor_sizes
    rows = {}
    for name, entry in finished("blocks", tier).items():
        runs = [run | blocks.columns_of(run, sizes, blocks.SCORED) for run in entry["runs"]]
        rows[name] = {
            "single units": [{"MIG": mig(run, "units"), "DCI-D": run["DCI-D"], "MIG-sup": None} for run in runs],
            "best pairs": [{"MIG": mig(run, "best pairs"), "DCI-D": None, "MIG-sup": None} for run in runs],
            "blocks": [
                {"MIG": mig(run, "blocks"), "DCI-D": run["DCI-D of blocks"], "MIG-sup": run["MIG-sup of blocks"]}
                for run in runs
            ],
        }
    dots("blocks", tier, rows, ("MIG", "MIG-sup", "DCI-D"))


def mig(run, name):
    """The upper bound, which is the paper's; None where there is none or the lower one differs."""
    upper, lower = (run.get(f"MIG of {name}, {bound}") for bound in ("upper", "lower"))
    return None if None in (upper, lower) or abs(upper - lower) > BOUNDS_DIFFER else upper


if __name__ == "__main__":
    main()
