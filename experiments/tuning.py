"""The settings of the methods that the primary claims compare, chosen on three seeds that no table shows.

    python -m experiments.tuning --tier=small               # five methods x eight settings x three seeds; it resumes
    python -m experiments.tuning --tier=small vlae dava     # some; the table holds whatever has run
    python -m experiments.tuning --tier=small --table       # only the table

The grids are those of table1.py. The rule: the setting with the best mean DCI-D over the three seeds; a setting with
a run that diverged is not chosen. Beside it stands the setting with the best mean ELBO, since a user has no factors to
choose by. Writes experiments/results/tuning/<tier>.json and .md.
"""

from experiments import protocol
from experiments.protocol import arguments, low_priority, place, run
from experiments.table1 import entries
from experiments.tables import finished, made_with, mean, results_of, shown, write_markdown, write_results
from scaledis.core import runtime

TUNED = ("scale_vlae", "vlae", "beta_tcvae_hfs", "dava", "beta_tcvae")
TUNING_SEEDS = (1000, 1001, 1002)


def main():
    given = arguments(__doc__, TUNED)
    runtime.prepare_jax()
    low_priority()
    grids = {entry.name: entry.grid for entry in entries(protocol.tier(given.tier)["objective"]["sigma"])}
    for name in given.names:
        overrides = [{**setting, "seed": seed} for setting in grids[name] for seed in TUNING_SEEDS]
        rows = run(place("tuning", given.tier, name, "settings"), protocol.tier(given.tier), overrides)
        found = {"runs": rows, "machine": runtime.machine()}
        write_results("tuning", given.tier, results_of("tuning", given.tier) | {name: found})
    write_table(given.tier, finished("tuning", given.tier))


def settings_of(runs):
    """The runs of each setting, as pairs (setting without its seed, runs), in the order of the grid."""
    settings = {}
    for row in runs:
        setting = {key: value for key, value in row["override"].items() if key != "seed"}
        settings.setdefault(repr(setting), (setting, []))[1].append(row)
    return list(settings.values())


def best(runs, score):
    """The setting with the best mean of a score over its seeds, of those without a run that diverged."""
    finite = [(setting, rows) for setting, rows in settings_of(runs) if all(row["diverged"] is None for row in rows)]
    return max(finite, key=lambda pair: mean(pair[1], score))[0]


def write_table(tier_name, known):
    """A line a setting, those of a method in the order of its grid; the chosen one is marked."""
    rows = []
    for name, found in known.items():
        by = {score: best(found["runs"], score) for score in ("DCI-D", "ELBO")}
        for setting, runs in settings_of(found["runs"]):
            words = ", ".join(
                f"{key.rpartition('.')[2]} {value}" for key, value in setting.items() if key != "method.name"
            )
            marks = ", ".join(f"best {score}" for score, chosen in by.items() if chosen == setting)
            scores = [shown([run[score] for run in runs]) for score in ("DCI-D", "MIG", "ELBO")]
            rows.append([name, words, *scores, marks])
    about = (
        f"{made_with(known)} Seeds {', '.join(map(str, TUNING_SEEDS))}; the setting with the best mean DCI-D is taken. "
        "ELBO in nats per image."
    )
    columns = ["method", "setting", "DCI-D", "MIG", "ELBO", "chosen"]
    write_markdown("tuning", tier_name, "Settings on three seeds", about, columns, rows)


if __name__ == "__main__":
    main()
