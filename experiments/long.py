"""How far it goes: 200,000 steps of ours, few units first with a bank, VLAE and `beta_tcvae_hfs`, scored ten times.

    python -m experiments.long --tier=small             # twelve runs in parts of two seeds; it resumes
    python -m experiments.long --tier=small vlae        # some; the table and the figure hold whatever has run
    python -m experiments.long --tier=small --table     # only the table and the figure

Settings are those of tuning.py. Few units first has the stages and the choice of a start that it has at 40,000 steps,
and goes on from there, so that its curve begins with the one that is known. Writes
experiments/results/long/<tier>.json, .md and .png. A curve and no verdict: three seeds tell where it rises and where it
stops.
"""

from experiments import parts, protocol, tuning
from experiments.length import TIMES as KNOWN
from experiments.pictures import curves
from experiments.protocol import arguments, few_first, low_priority
from experiments.tables import at_step, finished, made_with, scored_at, shown, write_tables
from scaledis.core import runtime

SEEDS = (5100, 5101, 5102)
TIMES, SCORED = 40, 10  # the tier's steps; scores
FEW = "few units first with a bank"
NAMES = {"ours": "scale_vlae", "few": FEW, "vlae": "vlae", "flat": "beta_tcvae_hfs"}
SCORES = ("DCI-D", "MIG", "DCI-I")


def main():
    given = arguments(__doc__, NAMES)
    runtime.prepare_jax()
    low_priority()
    for name in given.names:
        for seeds in parts.split(SEEDS):
            parts.train("long", given.tier, {NAMES[name]: setting_of(name, given.tier)}, seeds)
        report(given.tier)
    if given.table:
        report(given.tier)


def setting_of(name, tier_name):
    """The overrides of a method, without its seed. Raises SystemExit where tuning.py has not run."""
    steps = TIMES * protocol.tier(tier_name)["train"]["steps"]
    longer = {"train.steps": steps, "train.evaluate_every": steps // SCORED}
    if NAMES[name] == FEW:
        return {**few_first_then(steps * KNOWN // TIMES, steps), "train.evaluate_every": steps // SCORED}
    known = finished("tuning", tier_name)
    return {**tuning.best(known[NAMES[name]]["runs"], "DCI-D"), **longer}


def few_first_then(known, steps):
    """Few units first as in a training of `known` steps that goes on to more; stages and rungs stay where they are."""
    setting = few_first(known)
    rungs = tuple((share * known / steps, *rest) for share, *rest in setting["train.rungs"])
    return {**setting, "train.steps": steps, "train.rungs": rungs}


def report(tier_name):
    """The table and the figure of what has run, and what the steps beyond those of length.py add."""
    known = finished("long", tier_name)
    entries = {name: known[name]["runs"] for name in NAMES.values() if name in known}
    steps = scored_at(run for runs in entries.values() for run in runs)
    if not steps:
        raise SystemExit("Every run has diverged.")
    before, last = steps[len(steps) * KNOWN // TIMES - 1], steps[-1]
    rows = [
        [name, score, *(shown(at_step(runs, step, score)) for step in steps), shown(gained(runs, before, last, score))]
        for score in SCORES
        for name, runs in entries.items()
    ]
    columns = ["method", "score", *(f"{int(step):,} steps" for step in steps), f"the last - {int(before):,} steps"]
    about = f"{made_with(known)} Seeds {', '.join(map(str, SEEDS))}, settings of tuning.py. Exploratory: no verdicts."
    write_tables("long", tier_name, "Long runs", about, (columns, rows))
    curves("long", tier_name, entries)


def gained(runs, before, last, score):
    """What each run gains in a score between two steps; None where it has one of them not."""
    pairs = zip(at_step(runs, last, score), at_step(runs, before, score), strict=True)
    return [None if None in pair else pair[0] - pair[1] for pair in pairs]


if __name__ == "__main__":
    main()
