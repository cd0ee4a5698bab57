"""What a long run of ours leaves entangled: each hue is a circle in the plane of two units, another factor its radius.

    python -m experiments.length --tier=small scale_vlae pro_scale_vlae pro_scale_vlae-bank    # the runs
    python -m experiments.hues --tier=small

For every run and hue, the pair of units that tells most of the hue, by the nearest neighbors of one half of the codes
in the other half, and most beyond what its better unit tells alone; which other factor the pair tells; and how
dependent its two units are. A hue is a circle, so the code that is nearest to the pixels takes two units; one unit
needs the circle to be cut, as few units first cut it. And no total correlation tells a circle whose radius is another
factor from two factors: r cos a and r sin a are independent normals where a is uniform and r is Rayleigh (Box and
Muller 1958). Writes experiments/results/hues/<tier>.json, .md and .png, and a .png of few units first.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_selection import mutual_info_regression
from sklearn.neighbors import KNeighborsClassifier

from experiments.length import FEW
from experiments.pictures import save
from experiments.protocol import arguments, place
from experiments.tables import command, results_of, write_markdown, write_results
from scaledis.core import version
from scaledis.datasets import rendered
from scaledis.workdir import score_files

NAMES = list(rendered.FACTORS)
HUES = ("floor_hue", "wall_hue", "object_hue")
NEIGHBORS = 15
DRAWN = 5  # runs
METHODS = ("scale_vlae", *FEW)  # ours, and with few units first


def main():
    given = arguments(__doc__, METHODS)
    known = results_of("hues", given.tier)
    for method in given.names:
        folder = place("length", given.tier, "length", method)
        if not folder.groups():
            raise SystemExit(f"{folder.root} holds no runs: {command('length', given.tier)} {method}")
        dropped = folder.dropped()  # starts that did not go on
        kept = [run for run in folder.runs() if run.name not in dropped]
        codes = {run.config.seed: score_files.codes(folder, run.name) for run in kept}
        found = {str(seed): of_run(each["mean"], each["log_variance"], each["factors"]) for seed, each in codes.items()}
        known[method] = {"commit": version.commit(), "runs": found}
        shown = dict(itertools.islice(codes.items(), DRAWN))
        draw(given.tier if method == METHODS[0] else f"{method}-{given.tier}", shown, found)
    write_results("hues", given.tier, known)
    report(given.tier, known)


def report(tier, known):
    """The table: a row a run and hue."""
    rows = [
        [
            *(method, seed, hue, f"{row['best unit']:.2f}", row["units"], f"{row['pair']:.2f}"),
            *(f"{row['also']} {row['also told']:.2f}", f"{row['dependence_nats']:.2f}"),
        ]
        for method in known
        for seed, hues in known[method]["runs"].items()
        for hue, row in hues.items()
    ]
    about = (
        f"Share of the images whose hue is that of most of their {NEIGHBORS} nearest neighbors in the code of the best "
        "unit, and of the pair that tells most, and most beyond its better unit; the other factor that the pair tells "
        "most of, 0 for chance, 1 for all; the mutual information of the pair's two units in nats."
    )
    columns = ["method", "seed", "hue", "best unit", "pair", "by the pair", "the pair also tells", "dependence, nats"]
    write_markdown("hues", tier, "Hues in a long run", about, columns, rows)


def of_run(means, log_variances, factors):
    """What the best unit and the ring's pair of units tell of every hue; means and log_variances are [N, K]."""
    units = range(means.shape[1])
    samples = means + np.exp(log_variances / 2) * np.random.default_rng(0).normal(size=means.shape)
    found = {}
    for hue in HUES:
        single = [told(means[:, [unit]], factors, hue) for unit in units]
        pairs = {pair: told(means[:, pair], factors, hue) for pair in itertools.combinations(units, 2)}
        one, other = max(pairs, key=lambda pair: 2 * pairs[pair] - max(single[unit] for unit in pair))
        skills = {name: skill(means[:, [one, other]], factors, name) for name in NAMES if name != hue}
        also = max(skills, key=skills.get)
        dependence = mutual_info_regression(samples[:, [one]], samples[:, other], random_state=0)[0]
        found[hue] = {
            **{"best unit": max(single), "units": [one, other], "pair": pairs[one, other]},
            **{"also": also, "also told": skills[also], "dependence_nats": float(dependence)},
        }
    return found


def told(codes, factors, name):
    """The share of the second half of the codes [N, units] whose factor their neighbors in the first half tell."""
    half, labels = len(codes) // 2, factors[:, NAMES.index(name)]
    neighbors = KNeighborsClassifier(NEIGHBORS).fit(codes[:half], labels[:half])
    return float(neighbors.score(codes[half:], labels[half:]))


def skill(codes, factors, name):
    """`told` from 0, the share of the most frequent value, to 1."""
    chance = np.unique(factors[:, NAMES.index(name)], return_counts=True)[1].max() / len(factors)
    return float((told(codes, factors, name) - chance) / (1 - chance))


def draw(tier, codes, found):
    """A row a run: the images in the plane of each hue's pair, colored by the hue, and the object's by its scale."""
    columns = [*zip(HUES, HUES, strict=True), ("object_hue", "scale")]
    size = 8.6, 2 * len(codes)
    figure, axes = plt.subplots(len(codes), len(columns), figsize=size, layout="constrained", squeeze=False)
    for row, (seed, each) in zip(axes, codes.items(), strict=True):
        for axis, (hue, factor) in zip(row, columns, strict=True):
            one, other = found[str(seed)][hue]["units"]
            colors = {"c": each["factors"][:, NAMES.index(factor)], "cmap": "hsv" if factor in HUES else "viridis"}
            axis.scatter(*each["mean"][:, [one, other]].T, **colors, s=2, linewidth=0)
            axis.set(title=f"seed {seed}, by {factor.replace('_', ' ')}", xlabel=f"unit {one}", ylabel=f"unit {other}")
    save(figure, "hues", tier)


if __name__ == "__main__":
    main()
