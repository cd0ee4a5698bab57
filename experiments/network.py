"""Is it the network: the three methods at 600,000 parameters, against the same at 150,000, after 20,000 steps.

    python -m experiments.network --tier=small           # 174 runs: 600,000 parameters first; it resumes
    python -m experiments.network --tier=small 600000    # one size; the table holds whatever has run
    python -m experiments.network --tier=small --table   # only the table

At either size every method has the eight settings of table1.py on the three seeds of tuning.py at this length, and the
setting with the best mean DCI-D is trained on five other seeds. The large networks have twice the channels of the small
ones, half of the papers'. Settings are trained two at a time, each part written when it is there. Writes
experiments/results/network/<tier>.json and .md. Exploratory: differences have an interval and no verdict.
"""

from itertools import combinations

from experiments import parts, protocol, tuning
from experiments.protocol import SCORES, arguments, low_priority
from experiments.table1 import entries
from experiments.tables import (
    GAPS,
    claim,
    differences,
    finished,
    made_with,
    results_of,
    shown,
    write_tables,
)
from scaledis.core import runtime

METHODS = ("scale_vlae", "vlae", "beta_tcvae_hfs")
LARGE = {"model.parameters": 600_000, "model.channels": (16, 32, 64, 64), "model.ladder_channels": (8, 16, 16)}
SIZES = {"600000": LARGE, "150000": {}}
SEEDS = (5200, 5201, 5202, 5203, 5204)
TIMES = 4  # the tier's steps
TUNED_AT_ONCE = 2  # settings


def main():
    given = arguments(__doc__, SIZES)
    runtime.prepare_jax()
    low_priority()
    for size in given.names:
        for method in METHODS:
            tune(given.tier, size, method)
            setting = chosen(results_of("network", given.tier), size, method)
            for seeds in parts.split(SEEDS):
                parts.train("network", given.tier, {name_of(size, method): setting}, seeds)
            report(given.tier)
    report(given.tier)


def name_of(size, method):
    """The entry of a method's fresh seeds."""
    return f"{method}, {int(size):,} parameters"


def tried(size, method, number):
    """The entry of a setting's tuning seeds."""
    return f"{name_of(size, method)}, setting {number}"


def tune(tier_name, size, method):
    """Trains every setting of a method on the tuning seeds."""
    base = protocol.tier(tier_name)
    [grid] = [entry.grid for entry in entries(base["objective"]["sigma"]) if entry.name == method]
    longer = {**SIZES[size], "train.steps": TIMES * base["train"]["steps"]}
    settings = {tried(size, method, number): {**setting, **longer} for number, setting in enumerate(grid)}
    names = list(settings)
    for first in range(0, len(names), TUNED_AT_ONCE):
        several = {name: settings[name] for name in names[first : first + TUNED_AT_ONCE]}
        parts.train("network", tier_name, several, tuning.TUNING_SEEDS)


def chosen(known, size, method):
    """The setting of the best mean DCI-D over the tuning seeds."""
    start = tried(size, method, "")
    runs = [row for name, found in known.items() if name.startswith(start) for row in found["runs"]]
    return tuning.best(runs, "DCI-D")


def report(tier_name):
    """The table of the fresh seeds, and who is ahead and who gains."""
    known = finished("network", tier_name)
    fresh = {
        name_of(size, method): known[name_of(size, method)]["runs"]
        for size in SIZES
        for method in METHODS
        if name_of(size, method) in known
    }
    rows = []
    for name, runs in fresh.items():
        several, diverged = parts.finite(runs)
        setting = [
            (key, value) for key, value in runs[0]["override"].items() if key.startswith(("method", "objective"))
        ]
        words = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in setting if key != "method.name")
        scores = [shown([run[score] for run in several]) for score in (*SCORES, "ELBO")]
        rows.append([name, words, *scores, diverged])
    order = [(name_of(size, one), name_of(size, other)) for size in SIZES for one, other in combinations(METHODS, 2)]
    large, small = SIZES
    gains = [(name_of(large, method), name_of(small, method)) for method in METHODS]
    gaps = differences(fresh, "DCI-D", [*order, *gains])
    done = len(known) - len(fresh)
    about = (
        f"{made_with(known)} {done} of {len(SIZES) * len(METHODS) * 8} settings have run on the tuning seeds "
        f"{', '.join(map(str, tuning.TUNING_SEEDS))}. Exploratory: no verdicts. ELBO in nats per image."
    )
    columns = ["method", "setting", *SCORES, "ELBO", "diverged seeds"]
    title = "Is it the network"
    write_tables("network", tier_name, title, about, (columns, rows), (GAPS, gaps))
    for words, score, found, lies in gaps:
        text = f"{words}, after {TIMES} times the steps"
        claim(f"network, {score}, {words}", text, "none", found, lies, tier_name)


if __name__ == "__main__":
    main()
