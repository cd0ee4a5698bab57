"""A mean DCI-D of .9 by a rule that looks at no factor: named candidates, then the best of them on fresh seeds.

    python -m experiments.selected --tier=small                   # every candidate on seeds 1000 to 1003; it resumes
    python -m experiments.selected --tier=small six_starts        # some of them
    python -m experiments.selected --tier=small fresh             # the chosen rule on eight seeds of both worlds
    python -m experiments.selected --tier=small --table           # only the table

A rule is a setting and a way to choose among starts, and sees neither factors nor scores. Candidates are compared by
mean DCI-D on seeds that are there to try things on. `fresh` takes the best of those that have all four of them; once it
has begun, that rule alone runs, unchanged, on `rendered` and on `rendered_dsprites`. Writes
experiments/results/selected/<tier>.json and .md; plan.md says what each candidate is for.
"""

import itertools

from experiments import mixtures, parts, protocol
from experiments.long import few_first_then
from experiments.network import LARGE
from experiments.protocol import SCORES, arguments, few_first, low_priority
from experiments.tables import claim, finished, made_with, mean, results_of, shown, side, write_tables
from scaledis.core import runtime
from scaledis.datasets.base import sampling
from scaledis.training.load import load_run
from scaledis.workdir import score_files

IDEAS, FRESH = (1000, 1001, 1002, 1003), tuple(range(5000, 5008))
WORLDS = ("rendered", "rendered_dsprites")
TIMES = 8  # the tier's steps
AIM = 0.9
R, ELBO = "regularization_nats", "elbo_nats"
LATE = 1 / 3  # what a weight adds to the ELBO at first, of what it adds at the end


def rules(steps):
    """The candidates by name: overrides without a seed, for a tier whose usual length here is `steps`.

    What few units first leaves entangled is shape and scale, which the units of the second level share (mixtures.py).
    """
    usual, top = few_first(steps), steps // 5
    return {
        "usual": usual,
        "large": {**usual, **LARGE},
        "long": few_first_then(steps, 5 * steps),
        "stretched": few_first(5 * steps),
        "large_long": {**few_first_then(steps, 5 * steps), **LARGE},
        # The weights are those of `usual` at first and three times as large at the end.
        "late_beta": {**usual, "method.beta": 22.0, "schedule.beta": f"warmup:{steps}:{LATE:.3f}"},
        "late_gamma": {**usual, "method.gamma": 9.0, "schedule.gamma": f"warmup:{steps}:{LATE:.3f}"},
        # Two units alone on the second level have no room for shape and scale in three.
        "second_level": {
            **usual,
            "model.allocation": (3, 2, 2, 2),
            "method.stage": float(top),
            "schedule.precision": f"warmup:{2 * top}:0.25",
        },
        "six_starts": {**usual, "train.starts": 6, "train.rungs": ((0.2, 4, ELBO, "max"), (0.2, 1, R, "min"))},
        # The run of the best ELBO had the best DCI-D of eight.
        "three_finish": {
            **usual,
            "train.starts": 6,
            "train.rungs": ((0.2, 5, ELBO, "max"), (0.2, 3, R, "min"), (1.0, 1, ELBO, "max")),
        },
        "second_stage": usual,
    }


# What a rule trains once more, from the parameters of the run that its starts left: all levels from the first step.
SECOND = {
    "second_stage": {
        **{"method.alone": 1.0, "method.stage": 1.0, "schedule.precision": "constant", "train.starts": 1},
        **{"train.rungs": (), "train.learning_rate": 1e-3, "method.beta": 16.0, "method.gamma": 9.0},
    }
}


def at_once(rule):
    """How many seeds of a rule are one part."""
    return 1 if rule in ("stretched", "large_long") else 2


def main():
    given = arguments(__doc__, [*rules(100), "fresh"])
    runtime.prepare_jax()
    low_priority()
    for name in given.names:
        if name != "fresh":
            for seeds in parts.split(IDEAS, at_once(name)):
                train(given.tier, name, WORLDS[0], seeds)
                report(given.tier)
    if "fresh" in given.names:
        rule = chosen(finished("selected", given.tier))
        for seeds, world in itertools.product(parts.split(FRESH, at_once(rule)), WORLDS):
            train(given.tier, rule, world, seeds, "fresh ")
            report(given.tier)
    report(given.tier)


def train(tier_name, rule, world, seeds, kind=""):
    """Trains a rule on some seeds of a world, and what it trains once more."""
    setting = {"data.name": world, **rules(TIMES * protocol.tier(tier_name)["train"]["steps"])[rule]}
    setting["evaluate.metrics"] = ("dci", "mig")
    entry = f"{kind}{rule}, {world}"
    if rule not in SECOND:
        parts.train("selected", tier_name, {entry: setting}, seeds, mixed_units)
        return
    first = f"{entry}, first stage"
    parts.train("selected", tier_name, {first: setting}, seeds, saved)
    rows = {row["override"]["seed"]: row for row in results_of("selected", tier_name)[first]["runs"]}
    for seed in seeds:
        again = {**setting, **SECOND[rule], "train.init_from": rows[seed]["model"]}
        parts.train("selected", tier_name, {entry: again}, [seed], mixed_units)


def mixed_units(workdir, row):
    """The units of a run that hold two factors, in words and as pairs."""
    codes = score_files.codes(workdir, row["run"])
    names = sampling.load_dataset(workdir.runs()[0].config.data).factor_names
    found = mixtures.mixed(codes["mean"], codes["factors"], names)
    return {"mixed": mixtures.in_words(found, codes["levels"]), "pairs": mixtures.pairs_of(found)}


def saved(workdir, row):
    """Saves the model of a run, and tells where."""
    folder = workdir.root / "models" / str(row["override"]["seed"])
    load_run(workdir.root, row["run"]).save(folder)
    return {"model": str(folder), **mixed_units(workdir, row)}


def candidates(known):
    """The rules that have all seeds for ideas, with their mean DCI-D; a run that diverged counts as 0."""
    found = {}
    for name in rules(100):
        runs = known.get(f"{name}, {WORLDS[0]}", {"runs": []})["runs"]
        if len(runs) == len(IDEAS):
            found[name] = mean([{"DCI-D": 0 if row["diverged"] is not None else row["DCI-D"]} for row in runs], "DCI-D")
    return found


def chosen(known):
    """The rule that fresh seeds have begun with, else the best candidate. Raises SystemExit where there is none."""
    begun = [name for name in rules(100) if any(entry.startswith(f"fresh {name}, ") for entry in known)]
    found = candidates(known)
    if not begun and not found:
        raise SystemExit(f"No candidate has all of the seeds {', '.join(map(str, IDEAS))} yet.")
    return begun[0] if begun else max(found, key=found.get)


def report(tier_name):
    """The candidates, the best first, then the fresh seeds of the chosen one, and the units that hold two factors."""
    known = finished("selected", tier_name)
    shown_first = sorted(known, key=lambda name: (name.startswith("fresh"), -mean(known[name]["runs"], "DCI-D")))
    rows, units = [], []
    for name in shown_first:
        several, diverged = parts.finite(known[name]["runs"])
        counts = {}
        for row in several:
            for pair, count in row["pairs"].items():
                counts[pair] = counts.get(pair, 0) + count
        found = ", ".join(f"{pair} {counts[pair]}" for pair in sorted(counts, key=counts.get, reverse=True))
        scores = [shown([row[score] for row in several]) for score in (*SCORES, "ELBO", "R")]
        rows.append([name, *scores, found, diverged])
        units += [[name, row["override"]["seed"], f"{row['DCI-D']:.3f}", row["mixed"]] for row in several]
    columns = ["rule, world", *SCORES, "ELBO", "R", "units that hold two factors, by pair", "diverged seeds"]
    about = (
        f"{made_with(known)} Candidates have the seeds {IDEAS[0]} to {IDEAS[-1]}, the chosen rule {FRESH[0]} to "
        f"{FRESH[-1]}. A unit holds a factor of which it tells {mixtures.LEAST:.0%} of the entropy, and a second one "
        f"of which it tells {mixtures.SECOND:.0%} as large a share. Level 1 is the lowest. ELBO and R in nats."
    )
    title = "A rule that looks at no factor"
    of_runs = ["rule, world", "seed", "DCI-D", "its units that hold two factors"]
    write_tables("selected", tier_name, title, about, (columns, rows), (of_runs, units))
    for name in (name for name in known if name.startswith("fresh")):
        several, _ = parts.finite(known[name]["runs"])
        found = [row["DCI-D"] for row in several]
        behind = [value - AIM for value in found]
        words = f"{name.removeprefix('fresh ')}: mean DCI-D of fresh seeds above {AIM}, without a look at a factor"
        told = f"{shown(found)}; minus {AIM}: {shown(behind)}"
        claim(f"selected, {name}", words, ".92", told, side(behind), tier_name)


if __name__ == "__main__":
    main()
