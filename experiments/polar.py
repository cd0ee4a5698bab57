"""What a long run of ours leaves entangled: object hue and scale in the plane of two units, hue around, scale out.

    python experiments/length.py --tier=small scale_vlae    # the runs
    python experiments/polar.py --tier=small

For every run, of all pairs of units the one that tells most of both factors, by the nearest neighbors of one half of
the codes in the other half, against single units. A hue is a circle and the scale says how much of the image has that
hue, so polar coordinates are the code that is nearest to the pixels; a unit for each needs the circle to be cut.
Writes experiments/results/polar/<tier>.json, .md and .png.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from protocol import arguments, place
from sklearn.neighbors import KNeighborsClassifier
from tables import RESULTS, flags, write_markdown, write_results

from scaledis import version
from scaledis.datasets import rendered

FACTORS = {name: list(rendered.FACTORS).index(name) for name in ("object_hue", "scale")}
NEIGHBORS = 15


def main():
    given = arguments(__doc__)
    folder = place("length", given.tier, "length", "scale_vlae")
    if not folder.groups():
        raise SystemExit(f"{folder.root} holds no runs: python experiments/length.py {flags(given.tier)} scale_vlae")
    codes = {run.config.seed: np.load(folder.run(run.name) / "codes.npz") for run in folder.runs()}
    found = {seed: best_pair(each["mean"], each["factors"]) for seed, each in codes.items()}
    write_results("polar", given.tier, {"commit": version.commit(), "runs": found})
    columns = [f"{name}, {what}" for name in FACTORS for what in ("best unit", "pair")]
    rows = [[seed, row["units"], *(f"{row[column]:.2f}" for column in columns)] for seed, row in found.items()]
    about = (
        f"Share of the images whose factor is that of most of their {NEIGHBORS} nearest neighbors in the code of one "
        "unit, or of a pair; of ten hues and eight scales."
    )
    write_markdown("polar", given.tier, "Object hue and scale in a long run", about, ["seed", "units", *columns], rows)
    draw(given.tier, codes, found)


def best_pair(means, factors):
    """The pair of units that tells most of hue and scale together, and what it and the best single units tell."""
    units = range(means.shape[1])
    single, pair = (
        {each: told(means[:, each], factors) for each in itertools.combinations(units, size)} for size in (1, 2)
    )
    best = max(pair, key=lambda each: sum(pair[each].values()))
    values = {}
    for name in FACTORS:
        values[f"{name}, best unit"] = max(each[name] for each in single.values())
        values[f"{name}, pair"] = pair[best][name]
    return {"units": list(best), **values}


def told(codes, factors):
    """The share of the second half of the codes [N, units] whose factors their neighbors in the first half tell."""
    half = len(codes) // 2
    found = {}
    for name, column in FACTORS.items():
        fit = KNeighborsClassifier(NEIGHBORS).fit(codes[:half], factors[:half, column])
        found[name] = float(fit.score(codes[half:], factors[half:, column]))
    return found


def draw(tier, codes, found):
    """A column a run: its pair of units, colored by hue above and by scale below."""
    figure, axes = plt.subplots(2, len(codes), figsize=(3.2 * len(codes), 6), layout="constrained", squeeze=False)
    for column, (seed, each) in zip(axes.T, codes.items(), strict=True):
        one, other = found[seed]["units"]
        for axis, (name, factor), colors in zip(column, FACTORS.items(), ("hsv", "viridis"), strict=True):
            axis.scatter(*each["mean"][:, [one, other]].T, c=each["factors"][:, factor], cmap=colors, s=2, linewidth=0)
            axis.set(title=f"seed {seed}, by {name.replace('_', ' ')}", xlabel=f"unit {one}", ylabel=f"unit {other}")
    figure.savefig(RESULTS / "polar" / f"{tier}.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
