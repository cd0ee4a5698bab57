"""What a long run of ours leaves entangled: each hue is a circle in the plane of two units, one shared with the scale.

    python experiments/length.py --tier=small scale_vlae pro_scale_vlae    # the runs
    python experiments/hues.py --tier=small

For every run and hue, of all pairs of units the one that tells most of the hue, by the nearest neighbors of one half of
the codes in the other half, beside the best single unit; for the object's hue the pair tells of its scale as well. A
hue is a circle, so the code that is nearest to the pixels takes two units; one unit needs the circle to be cut. Few
units first cut it. Writes experiments/results/hues/<tier>.json, .md and .png, and a .png of few units first.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from pictures import save
from protocol import arguments, place
from sklearn.neighbors import KNeighborsClassifier
from tables import flags, results_of, write_markdown, write_results

from scaledis import version
from scaledis.datasets import rendered

NAMES = list(rendered.FACTORS)
HUES = {
    "floor_hue": ["floor_hue"],
    "wall_hue": ["wall_hue"],
    "object_hue": ["object_hue", "scale"],
}  # what a pair tells
NEIGHBORS = 15
METHODS = ("scale_vlae", "pro_scale_vlae")  # ours, and with few units first


def main():
    given = arguments(__doc__, METHODS)
    known = results_of("hues", given.tier)
    for method in given.names:
        folder = place("length", given.tier, "length", method)
        if not folder.groups():
            raise SystemExit(f"{folder.root} holds no runs: python experiments/length.py {flags(given.tier)} {method}")
        codes = {run.config.seed: np.load(folder.run(run.name) / "codes.npz") for run in folder.runs()}
        found = {str(seed): of_run(each["mean"], each["factors"]) for seed, each in codes.items()}
        known[method] = {"commit": version.commit(), "runs": found}
        draw(given.tier if method == METHODS[0] else f"{method}-{given.tier}", codes, found)
    write_results("hues", given.tier, known)
    rows = [
        [method, seed, factor, f"{row['best unit']:.2f}", f"{row['pair']:.2f}", row["units"]]
        for method in known
        for seed, factors in known[method]["runs"].items()
        for factor, row in factors.items()
    ]
    about = (
        f"Share of the images whose factor is that of most of their {NEIGHBORS} nearest neighbors in the code of one "
        "unit, or of a pair; there are ten hues and eight scales."
    )
    columns = ["method", "seed", "factor", "best unit", "pair", "units"]
    write_markdown("hues", given.tier, "Hues in a long run", about, columns, rows)


def of_run(means, factors):
    """What the best unit and the best pair tell of every hue, and of the scale the pair of the object's hue."""
    units = range(means.shape[1])
    single, pair = (
        {each: told(means[:, each], factors) for each in itertools.combinations(units, size)} for size in (1, 2)
    )
    found = {}
    for names in HUES.values():
        best = max(pair, key=lambda each, names=names: sum(pair[each][name] for name in names))
        for name in names:
            top = max(each[name] for each in single.values())
            found[name] = {"units": list(best), "best unit": top, "pair": pair[best][name]}
    return found


def told(codes, factors):
    """The share of the second half of the codes [N, units] whose factors their neighbors in the first half tell."""
    half = len(codes) // 2
    found = {}
    for name in itertools.chain(*HUES.values()):
        labels = factors[:, NAMES.index(name)]
        found[name] = float(
            KNeighborsClassifier(NEIGHBORS).fit(codes[:half], labels[:half]).score(codes[half:], labels[half:])
        )
    return found


def draw(tier, codes, found):
    """A row a run, a column a factor: the images in the plane of the factor's pair of units, colored by the factor."""
    names = list(next(iter(found.values())))
    figure, axes = plt.subplots(len(codes), len(names), figsize=(8.6, 6), layout="constrained", squeeze=False)
    for row, (seed, each) in zip(axes, codes.items(), strict=True):
        for axis, name in zip(row, names, strict=True):
            one, other = found[str(seed)][name]["units"]
            colors = {"c": each["factors"][:, NAMES.index(name)], "cmap": "viridis" if name == "scale" else "hsv"}
            axis.scatter(*each["mean"][:, [one, other]].T, **colors, s=2, linewidth=0)
            axis.set(title=f"seed {seed}, by {name.replace('_', ' ')}", xlabel=f"unit {one}", ylabel=f"unit {other}")
    save(figure, "hues", tier)


if __name__ == "__main__":
    main()
