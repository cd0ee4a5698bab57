"""Which way to choose settings and seeds pays, at equal budget: 64 settings x 5 seeds of ours, trained once.

    python -m experiments.search --tier=small             # 320 runs in parts of 16 settings and one seed; it resumes
    python -m experiments.search --tier=small --table     # only the table of the parts that have run

Every way of strategies.py is replayed 1,000 times on the runs of search_runs.py; nothing trains for it. Writes
experiments/results/search/<tier>.json, .md and .png, and of each part <tier>-settings<first>-seed<seed>.npz: the codes
of 1,000 images in half precision and the KL of every unit, of which UDR is computed.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from experiments import search_runs
from experiments.pictures import save
from experiments.protocol import arguments, low_priority
from experiments.replay import REPLAYS, Table, replayed
from experiments.search_runs import LOGGED
from experiments.strategies import ARMS
from experiments.tables import claim, finished, made_with, side_of, write_markdown
from scaledis.core import runtime
from scaledis.core.files import read_arrays
from scaledis.metrics.shared.agreement import udr


def main():
    given = arguments(__doc__)
    runtime.prepare_jax()
    low_priority()
    if not given.table:
        for numbers, seed in search_runs.parts():
            search_runs.train_part(given.tier, numbers, seed)
    report(given.tier)


def table_of(tier_name, known):
    """The Table of the most runs that have all of their seeds, and the numbers of its settings."""
    of = {(row["number"], row["override"]["seed"]): row for found in known.values() for row in found["runs"]}
    numbers = sorted({number for number, _ in of})
    several = [search_runs.SEEDS[:count] for count in range(2, len(search_runs.SEEDS) + 1)]
    whole = {seeds: [each for each in numbers if all((each, seed) in of for seed in seeds)] for seeds in several}
    seeds, settings = max(whole.items(), key=lambda item: len(item[0]) * len(item[1]))
    if len(settings) < 2:
        raise SystemExit("Two settings need two seeds each before anything can be replayed.")
    rows = [[of[number, seed] for seed in seeds] for number in settings]
    steps = list(rows[0][0]["over_steps"])
    seen = {
        title: np.array([[[at_or_nan(row["over_steps"][step], title) for step in steps] for row in of] for of in rows])
        for title in (*LOGGED, "DCI-D")
    }
    final = {title: np.array([[row[title] or 0.0 for row in of_one] for of_one in rows]) for title in ("DCI-D", "MIG")}
    last = seen["DCI-D"][..., -1]  # the end is scored of all codes
    seen["DCI-D"][..., -1] = np.where(np.isnan(last), np.nan, final["DCI-D"])
    pairs = np.stack([agreement(tier_name, number, seeds) for number in settings])
    return Table(np.array(steps, int), seen, final, pairs, search_runs.points()[settings]), settings


def at_or_nan(found, title):
    """A number of a run at a step; NaN where it has none or had diverged."""
    return np.nan if found[title] is None or found["diverged"] is not None else found[title]


def agreement(tier_name, number, seeds):
    """UDR of every pair of seeds of a setting, by rank correlation, [seeds, seeds]; NaN on the diagonal."""
    first = number - number % search_runs.PART
    parts = [read_arrays(search_runs.file_of(tier_name, first, seed), "mean", "nats") for seed in seeds]
    codes, nats = ([part[key][number - first] for part in parts] for key in ("mean", "nats"))
    finite = [np.nan_to_num(each.astype(np.float64)) for each in codes]
    return np.array(udr(finite, np.nan_to_num(nats))["spearman_pairs"], float)


def report(tier_name):
    """The table of the strategies over the parts that have run; their claims once all have."""
    known = finished("search", tier_name)
    table, settings = table_of(tier_name, known)
    there, asked = table.final["DCI-D"].shape, (search_runs.SETTINGS, len(search_runs.SEEDS))
    diverged = sum(
        row["diverged"] is not None for found in known.values() for row in found["runs"] if row["number"] in settings
    )
    about = (
        f"{made_with(known)} {there[0]} of {asked[0]} settings x {there[1]} of {asked[1]} seeds, {diverged} runs "
        f"diverged. {facts(table)}\n\nMeans over {REPLAYS:,} replays, with 95 % intervals from random halves of the "
        "settings. DCI-D and MIG of the run that is kept, and of other seeds of its setting, which the choice has not "
        "favored; ranges are from one in ten to nine in ten replays. Differences are to the first line of the budget. "
        "A way that takes more settings than a half has is another way there, and has no interval."
    )
    found = replayed(table, ARMS)
    rows = [
        [f"{arm.budget} x {table.steps[-1]:,}", arm.title, "yes" if arm.factors else "no", *cells(found[arm.title])]
        for arm in ARMS
    ]
    scores = ("DCI-D, kept", "range", "DCI-D, other seeds", "MIG, kept", "MIG, other seeds")
    columns = ["budget", "way", "factors", "steps", *scores, "difference in DCI-D, kept", "other seeds"]
    write_markdown("search", tier_name, "Ways to choose settings and seeds", about, columns, rows)
    draw(tier_name, found)
    if there == asked:
        write_claims(tier_name, found)


def cells(outcome):
    """What the table has of a way."""
    low, high = outcome["DCI-D, kept"].range
    kept, *others = (words(outcome[title]) for title in ("DCI-D, kept", "DCI-D, other", "MIG, kept", "MIG, other"))
    gaps = [words(outcome[f"DCI-D, {which}, difference"]) for which in ("kept", "other")]
    return [f"{outcome['spent'].mean:,.0f}", kept, f"{low:.2f} to {high:.2f}", *others, *gaps]


def draw(tier_name, found):
    """DCI-D of what each way keeps, a panel a budget; hollow are the ways that need no factors."""
    budgets = list(dict.fromkeys(arm.budget for arm in ARMS))
    ratios = [sum(arm.budget == budget for arm in ARMS) for budget in budgets]
    figure, axes = plt.subplots(
        len(budgets), 1, figsize=(8, 0.28 * len(ARMS) + 1), sharex=True, height_ratios=ratios, layout="constrained"
    )
    for axis, budget in zip(axes, budgets, strict=True):
        arms = [arm for arm in ARMS if arm.budget == budget]
        for color, (name, label) in enumerate({"kept": "the run that is kept", "other": "other seeds"}.items()):
            for place, arm in enumerate(arms):
                of = found[arm.title][f"DCI-D, {name}"]
                face = {} if arm.factors else {"markerfacecolor": "white"}
                label_once = label if place == 0 else None
                own = {"color": f"C{color}", "markersize": 5, "capsize": 2, "label": label_once, **face}
                axis.errorbar(of.mean, place + (color - 0.5) * 0.3, xerr=of.half, fmt="o", **own)
        axis.set(yticks=range(len(arms)), yticklabels=[arm.title for arm in arms])
        axis.invert_yaxis()
        axis.grid(axis="y", alpha=0.2)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set(xlabel="DCI-D")
    figure.legend(*axes[-1].get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=2)
    save(figure, "search", tier_name)


def words(estimate):
    """ "0.52 [0.49, 0.55]", or "0.52" without an interval."""
    if np.isnan(estimate.half):
        return f"{estimate.mean:.3f}"
    return f"{estimate.mean:.3f} [{estimate.mean - estimate.half:.3f}, {estimate.mean + estimate.half:.3f}]"


def facts(table):
    """What the numbers that runs are chosen by say of DCI-D, over settings and over the seeds of one."""
    final, steps, end = table.final["DCI-D"], table.steps, len(table.steps) - 1
    means = final.mean(1)
    asked = [*((title, end) for title in LOGGED), *(("DCI-D", at) for at in range(end))]
    over = [
        f"{title} at step {steps[at]:,} {rank(table.seen[title][..., at].mean(1), means):.2f}" for title, at in asked
    ]
    over.append(f"UDR {rank(np.nanmean(table.pairs, axis=(1, 2)), means):.2f}")
    asked += [(title, at) for title in ("ELBO", "R") for at in range(end)]
    within = [f"{title} at step {steps[at]:,} {within_settings(table, title, at):.2f}" for title, at in sorted(asked)]
    elbo = table.seen["ELBO"][..., end].mean(1)
    axes = [
        f"{axis} {rank(point, means):.2f} and {rank(point, elbo):.2f}"
        for axis, point in zip(search_runs.SPACE, table.points.T, strict=True)
    ]
    return (
        f"Mean DCI-D of all settings {means.mean():.3f}, of the best {means.max():.3f}. Spearman with DCI-D at the end "
        f"over settings: {', '.join(over)}; over the seeds of one setting, in the mean: {', '.join(within)}. "
        f"Spearman of each axis with DCI-D and with the ELBO at the end: {', '.join(axes)}."
    )


def within_settings(table, title, at):
    """The mean over settings of Spearman's correlation over their seeds; NaN where no setting has three."""
    found = [rank(*both) for both in zip(table.seen[title][..., at], table.final["DCI-D"], strict=True)]
    return np.mean([each for each in found if np.isfinite(each)] or [np.nan])


def rank(one, other):
    """Spearman's correlation of what both have; NaN for less than three."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or min(np.ptp(one[both]), np.ptp(other[both])) == 0:
        return np.nan
    return spearmanr(one[both], other[both]).statistic


def write_claims(tier_name, found):
    """Whether a way is better than the first of its budget, in a score that its choice has not favored."""
    for arm in ARMS:
        if arm.claimed:
            gap = found[arm.title][f"DCI-D, {arm.claimed}, difference"]
            if np.isnan(gap.half):
                continue
            lies = side_of(gap.mean - gap.half, gap.mean + gap.half)
            first = next(other for other in ARMS if other.budget == arm.budget)
            of = "the run that is kept" if arm.claimed == "kept" else "other seeds of the setting that is kept"
            text = f"{arm.title} > {first.title.partition(': ')[2]}, in DCI-D of {of}"
            claim(f"search, {arm.title}", text, "none", words(gap), lies, tier_name)


if __name__ == "__main__":
    main()
