"""Does the ELBO tell which run to keep? Over the seeds of one setting, from the runs of the other experiments.

    python -m experiments.elbo --tier=small     # trains nothing; reads what the other experiments have found

The ELBO of two methods, weights or sigmas cannot be compared, so each setting stands for itself: how much more
disentangled its run of the best ELBO is than the mean of its others, and Spearman's correlation of both over its seeds.
Writes experiments/results/elbo/<tier>.json, .md and .png. The claim of Disentangling Granularity: the ELBO stands for
disentanglement.
"""

import statistics

import matplotlib.pyplot as plt
from scipy import stats

from experiments.pictures import save
from experiments.protocol import arguments
from experiments.tables import (
    by_elbo,
    claim,
    each,
    interval,
    made_with,
    results_of,
    shown,
    side,
    write_markdown,
    write_results,
)

EXPERIMENTS = ("table1", "table2", "figure1", "length", "granularity", "v_shape")
SCORES = ("DCI-D", "MIG")
LEAST = 3  # runs of a setting


def main():
    given = arguments(__doc__)
    known = {name: settings for name in EXPERIMENTS if (settings := settings_of(results_of(name, given.tier)))}
    found = {
        name: {
            "runs": [summary(setting, runs) for setting, (runs, _) in settings.items()],
            "machine": each(machine for _, machine in settings.values()),
        }
        for name, settings in known.items()
    }
    write_results("elbo", given.tier, found)
    report(given.tier, found)
    draw(given.tier, known)


def settings_of(known):
    """The finished runs of every setting that has LEAST of them, and their machine."""
    of = {name: [run for run in entry["runs"] if None not in map(run.get, SCORES)] for name, entry in known.items()}
    return {name: (runs, known[name]["machine"]) for name, runs in of.items() if len(runs) >= LEAST}


def summary(name, runs):
    """Of a setting: how far the run of the best ELBO is above the mean of the others, and the rank correlation."""
    best = by_elbo(runs)
    others = [run for run in runs if run is not best]
    elbo = [run["ELBO"] for run in runs]
    gains = {score: best[score] - statistics.fmean(run[score] for run in others) for score in SCORES}
    ranks = {f"{score}, rank": float(stats.spearmanr(elbo, [run[score] for run in runs])[0]) for score in SCORES}
    facts = {fact: each(run[fact] for run in runs) for fact in ("dataset", "step", "commit")}
    return {"setting": name, "n": len(runs), "seed": best["override"]["seed"], **gains, **ranks, **facts}


def report(tier, found):
    """A row an experiment, and a claim a data set over all settings that ran on it."""
    columns = [*SCORES, *(f"{score}, rank" for score in SCORES)]
    rows = [
        [
            name,
            each(run["dataset"] for run in entry["runs"]),
            *(shown([run[key] for run in entry["runs"]]) for key in columns),
        ]
        for name, entry in found.items()
    ]
    about = (
        f"n settings of {LEAST} seeds or more; the score of the run of the best ELBO less the mean of the other runs "
        "of its setting, and Spearman's rank correlation of ELBO and score over its runs. " + made_with(found)
    )
    title = "The ELBO over the seeds of a setting"
    write_markdown("elbo", tier, title, about, ["experiment", "data set", *columns], rows)
    runs = [run for entry in found.values() for run in entry["runs"]]
    for data in dict.fromkeys(run["dataset"] for run in runs):
        of = [run for run in runs if run["dataset"] == data]
        gains, ranks = ([run[key] for run in of] for key in ("DCI-D", "DCI-D, rank"))
        means = means_by_seed(of)
        words = f"of the seeds of a setting that of the best ELBO is more disentangled, {data}"
        text = f"DCI-D, it - the others: {shown(gains)}, by its seed {shown(means)}; rank correlation {shown(ranks)}"
        claim(f"elbo, {data}", words, "figures", text, side(means), tier)


def means_by_seed(settings):
    """The mean gain in DCI-D for each seed that has a best run; settings share seeds, so single gains do not count."""
    seeds = dict.fromkeys(setting["seed"] for setting in settings)
    return [statistics.fmean(one["DCI-D"] for one in settings if one["seed"] == seed) for seed in seeds]


def draw(tier, known):
    """Every run: its ELBO's place among the seeds of its setting, its score less their mean; a color a data set."""
    settings = [runs for of in known.values() for runs, _ in of.values()]
    figure, axes = plt.subplots(1, len(SCORES), figsize=(9, 3.2), sharex=True, layout="constrained")
    for axis, score in zip(axes, SCORES, strict=True):
        for number, data in enumerate(dict.fromkeys(runs[0]["dataset"] for runs in settings)):
            at = {}
            for runs in (runs for runs in settings if runs[0]["dataset"] == data):
                mean = statistics.fmean(run[score] for run in runs)
                for place, run in enumerate(sorted(runs, key=lambda run: run["ELBO"])):
                    at.setdefault(place / (len(runs) - 1), []).append(run[score] - mean)
            shift, color = (number - 0.5) / 25, f"C{number}"
            axis.plot([], [], "o", color=color, label=data)
            for place, values in at.items():
                axis.plot([place + shift] * len(values), values, "o", color=color, alpha=0.3, markersize=3, mew=0)
                if len(values) >= LEAST:
                    mean, _, half = interval(values)
                    axis.errorbar(place + shift, mean, yerr=half, fmt="o", color=color, markersize=5, capsize=2)
        axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axis.set(xlabel="ELBO among the seeds of a setting", ylabel=f"{score} less the setting's mean")
        axis.set_xticks([0, 1], ["worst", "best"])
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, loc="lower right")
    save(figure, "elbo", tier)


if __name__ == "__main__":
    main()
