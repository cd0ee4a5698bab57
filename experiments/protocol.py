"""The protocol of every comparison here: the same tuning budget for every method, then fresh seeds of what was chosen.

A method is tuned over a grid of the same size, at a seed kept apart from those that are reported. The setting with the
best DCI-D is chosen; beside it stands the one with the best ELBO, since a user has no factors to choose by. Five fresh
seeds of the chosen setting make the table: mean, standard deviation, a 95 % t interval, and for two methods the paired
difference over the seeds. Everything resumes with the same command.
"""

import argparse
import dataclasses
import itertools
import os
import runpy
import statistics
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from experiments.tables import ROOT, command, results_of, write_results
from scaledis import datasets
from scaledis.core import runtime
from scaledis.core.files import read_json
from scaledis.search import stages
from scaledis.sweeps import starts
from scaledis.sweeps.configs import freeze, override
from scaledis.sweeps.expand import run_name
from scaledis.sweeps.tiers import tier_config
from scaledis.training import engine
from scaledis.training.engine import Job
from scaledis.types import Run
from scaledis.workdir import score_files
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records

TUNING_SEED, SEEDS = 1000, (0, 1, 2, 3, 4)
SCORES = {"DCI-D": "dci/disentanglement", "DCI-C": "dci/completeness", "MIG": "mig/mig", "DCI-I": "dci/informativeness"}
KEPT = (
    *("level/redundancy", "level/concentration", "level/gap", "level/order"),
    *("edits/selectivity", "edits/selectivity_per_level", "edits/kept", "edits/effective"),
)
SCORED_BY = ("split", "train_codes", "test_codes", "dci_backend")
TERMS = {
    "ELBO": "elbo_nats",
    "KL": "kl_nats",
    "loss": "loss_nats",
    "R": "regularization_nats",
    "I of blocks": "mutual_information_of_blocks_nats",
}
CONFIGS = ROOT / "configs"
LAST = 0.05  # of the log lines, over which the terms are averaged


@dataclasses.dataclass(frozen=True)
class Entry:
    """A method of a comparison: its name in the table, and its grid of overrides."""

    name: str
    grid: Sequence[Mapping[str, Any]]


def product(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    """The grid of all combinations: product(method__beta=(4, 8)) -> [{"method.beta": 4}, {"method.beta": 8}]."""
    keys = [key.replace("__", ".") for key in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*axes.values())]


def arguments(description: str, names: Iterable[str] = (), data: str = "rendered") -> argparse.Namespace:
    """--tier, --data, --table, and `names`, those of `names` that are to run: all by default, none with --table.

    On another data set than its own an experiment is one of its own: its tier is then "<data set>-<tier>".
    """
    known = list(names)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if known:
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"to run, of {', '.join(known)}; all by default")
    parser.add_argument("--tier", choices=["small", "paper"], default="small")
    parser.add_argument("--data", choices=datasets.names(), default=data, help="the real set, once it is prepared")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table of what is there")
    given = parser.parse_args()
    asked = getattr(given, "names", [])
    if wrong := [name for name in asked if name not in known]:
        parser.error(f"{wrong[0]!r} is none of {', '.join(known)}")
    given.names = [] if given.table else asked or known
    if given.data != data:
        given.tier = f"{given.data}-{given.tier}"
    return given


def tier(name: str) -> dict[str, Any]:
    """The config of a tier as a nested dictionary, on the data set that its name begins with."""
    data, _, size = name.rpartition("-")
    base = tier_config(size).to_dict()
    return override(base, {"data.name": data}) if data else base


def few_first(steps: int) -> dict[str, Any]:
    """configs/few_first.py as a change of a tier's config, in a training of so many steps, with its starts."""
    config = runpy.run_path(str(CONFIGS / "few_first.py"))
    rungs = {"train.starts": config["STARTS"], "train.rungs": config["RUNGS"]}
    return {**config["overrides"](steps), "train.steps": steps, **rungs}


def place(comparison: str, tier_name: str, entry: str, phase: str) -> Workdir:
    """Where the runs of a phase are."""
    return Workdir(ROOT / "runs" / f"{comparison}-{tier_name}" / f"{entry}-{phase}")


def run(workdir: Workdir, base: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Trains and scores one run for each override, and returns what is known of each; of its starts the last one."""
    runs: list[Run] = []
    several: list[list[str]] = []  # the starts of each override
    for changed in overrides:
        several.append([])
        named = {key: value for key, value in changed.items() if key != "train.rungs"}  # too long for a name
        for start, config in starts.each(freeze(override(base, changed))):
            several[-1].append(run_name({**named, **start}, [run.name for run in runs]))
            runs.append(Run(several[-1][-1], config))
    record = {"config": base, "sweep": [], "command": "experiments"}
    with workdir.locked(), runtime.stopping() as stop:
        groups = stages.train_all(Job(workdir, record, runs), stop)
        engine.evaluate_all(workdir, groups, stop=stop)
    dropped = workdir.dropped()
    kept = [name for names in several for name in names if name not in dropped]
    return [found(workdir, name, override) for name, override in zip(kept, overrides, strict=True)]


def found(workdir: Workdir, name: str, override: Mapping[str, Any]) -> dict[str, Any]:
    """A run's scores, its ELBO, and what they were made with; a run that has diverged has None in their place."""
    folder = workdir.run(name)
    scores = score_files.newest(workdir, name)
    records = read_records(folder / "metrics.jsonl", scores["step"], needs_seals=workdir.needs_seals)
    last = records[-max(1, round(LAST * len(records))) :]
    kept = ("step", "dataset", "fingerprint", "diverged", "commit", "version")
    return {
        "override": dict(override),
        "run": name,
        **titled(scores),
        **{key: healthy(scores, key) for key in scores["all"] if key.startswith("level/tc_") or key in KEPT},
        **{title: average(last, term) for title, term in TERMS.items() if term in last[0]},
        **over_steps(folder),
        **{key: scores[key] for key in kept},
    }


def titled(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of a file as SCORES calls them."""
    return {title: healthy(scores, key) for title, key in SCORES.items()}


def healthy(scores: Mapping[str, Any], key: str) -> Any:
    """A score of a file; None where it is missing, or where the run had diverged."""
    return scores["all"].get(key) if scores["diverged"] is None else None


def average(records: Sequence[Mapping[str, Any]], term: str) -> float | None:
    """The mean of a term over log lines; None where the run was not finite in one of them."""
    values = [record[term] for record in records]
    return None if None in values else statistics.fmean(values)


def over_steps(folder: Path) -> dict[str, Any]:
    """The scores that a run was given on its way, by step; nothing where it was scored once.

    Other scores of the run, of another split or number of codes, are not among them.
    """
    last, files = read_json(folder / "scores.json"), (read_json(path) for path in (folder / "scores").iterdir())
    alike = [each for each in files if all(each[key] == last[key] for key in SCORED_BY)]
    scores = {str(each["step"]): titled(each) for each in sorted(alike, key=lambda each: each["step"])}
    return {"over_steps": scores} if len(scores) > 1 else {}


def tuned(comparison: str, tier_name: str, entry: Entry) -> dict[str, Any]:
    """All settings of the grid at the tuning seed, and the best by DCI-D and by ELBO."""
    grid = [{**setting, "seed": TUNING_SEED} for setting in entry.grid]
    rows = run(place(comparison, tier_name, entry.name, "tuning"), tier(tier_name), grid)
    best = {
        key: max((row for row in rows if row[key] is not None), key=itemgetter(key))["override"]
        for key in ("DCI-D", "ELBO")
    }
    return {"grid": rows, "chosen": best["DCI-D"], "by_elbo": best["ELBO"]}


def seeds_of(comparison: str, tier_name: str, entry: Entry, setting: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fresh seeds of a setting."""
    overrides = [{**setting, "seed": seed} for seed in SEEDS]
    return run(place(comparison, tier_name, entry.name, "seeds"), tier(tier_name), overrides)


def compare(comparison: str, entries: Iterable[Entry], tier_name: str) -> None:
    """Tunes and trains the methods; writes what is known after each."""
    for entry in entries:
        tuning = tuned(comparison, tier_name, entry)
        rows = seeds_of(comparison, tier_name, entry, tuning["chosen"])
        found = {"tuning": tuning, "runs": rows, "machine": runtime.machine()}
        write_results(comparison, tier_name, results_of(comparison, tier_name) | {entry.name: found})


def run_groups(comparison: str, tier_name: str, group: str, overrides: Mapping[str, Sequence[Any]]) -> None:
    """Runs without tuning, all overrides of all names in one workdir; writes each name's rows beside what is known."""
    flat = [override for several in overrides.values() for override in several]
    rows = iter(run(place(comparison, tier_name, comparison, group), tier(tier_name), flat))
    found = {
        name: {"runs": [next(rows) for _ in several], "machine": runtime.machine()}
        for name, several in overrides.items()
    }
    write_results(comparison, tier_name, results_of(comparison, tier_name) | found)


def chosen(tier_name: str, method: str) -> dict[str, Any]:
    """The setting of a method that Table 1 chose, without its seed. Raises SystemExit where it has not run."""
    known = results_of("table1", tier_name)
    if method not in known:
        raise SystemExit(f"Table 1 has no {method} yet: {command('table1', tier_name)} {method}")
    return {key: value for key, value in known[method]["tuning"]["chosen"].items() if key != "seed"}


def low_priority() -> None:
    """A comparison runs for hours beside other work."""
    os.nice(10)
