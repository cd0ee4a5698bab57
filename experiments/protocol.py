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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from scaledis import experiment, runner, runtime, sweep, version
from scaledis.sweep import Run
from scaledis.workdir import Workdir, read_json, read_records, write_bytes, write_json

ROOT = Path(__file__).parents[1]
TUNING_SEED, SEEDS = 1000, (0, 1, 2, 3, 4)
SCORES = {"DCI-D": "dci/disentanglement", "DCI-C": "dci/completeness", "MIG": "mig/mig", "DCI-I": "dci/informativeness"}
LEVEL_SCORES = ("level/redundancy", "level/concentration", "level/gap")
LAST = 0.05  # of the log lines, over which the ELBO is averaged


@dataclasses.dataclass(frozen=True)
class Entry:
    """A method of a comparison: its name in the table, and its grid of overrides."""

    name: str
    grid: Sequence[Mapping[str, Any]]


def product(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    """The grid of all combinations: product(method__beta=(4, 8)) -> [{"method.beta": 4}, {"method.beta": 8}]."""
    keys = [key.replace("__", ".") for key in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*axes.values())]


def arguments(description: str) -> argparse.Namespace:
    """--tier, and the names of the methods to run; all by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="those to run; the table holds whatever is there")
    parser.add_argument("--tier", choices=["small", "paper"], default="small")
    parser.add_argument("--table", action="store_true", help="only write the table of what is there")
    return parser.parse_args()


def tier(name: str) -> dict[str, Any]:
    """The config of a tier as a nested dictionary."""
    return runpy.run_path(str(ROOT / "configs/tier.py"))["get_config"](name).to_dict()


def place(comparison: str, tier_name: str, entry: str, phase: str) -> Workdir:
    """Where the runs of a phase are."""
    return Workdir(ROOT / "runs" / f"{comparison}-{tier_name}" / f"{entry}-{phase}")


def run(workdir: Workdir, base: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Trains and scores one run for each override, and returns what is known of them."""
    runs: list[Run] = []
    for override in overrides:
        config = experiment.freeze(experiment.override(base, override))
        runs.append(Run(sweep.run_name(dict(override), [run.name for run in runs]), config))
    record = {"config": base, "sweep": [], "command": "experiments"}
    with workdir.locked(), runtime.stopping() as stop:
        groups = runner.train_all(workdir, record, runs, stop=stop)
        runner.evaluate_all(workdir, groups, stop=stop)
    return [found(workdir, run.name, override) for run, override in zip(runs, overrides, strict=True)]


def found(workdir: Workdir, name: str, override: Mapping[str, Any]) -> dict[str, Any]:
    """A run's scores, its ELBO, and what they were made with."""
    folder = workdir.run(name)
    scores, records = read_json(folder / "scores.json"), read_records(folder / "metrics.jsonl")
    last = [record["elbo_nats"] for record in records[-max(1, round(LAST * len(records))) :]]
    kept = ("step", "dataset", "fingerprint", "diverged", "commit", "version")
    return {
        "override": dict(override),
        **{title: scores["all"].get(key) for title, key in SCORES.items()},
        **{key: value for key, value in scores["all"].items() if key.startswith("level/tc_") or key in LEVEL_SCORES},
        "ELBO": None if None in last else statistics.fmean(last),
        **{key: scores[key] for key in kept},
    }


def tuned(comparison: str, tier_name: str, entry: Entry) -> dict[str, Any]:
    """All settings of the grid at the tuning seed, and the best by DCI-D and by ELBO."""
    grid = [{**setting, "seed": TUNING_SEED} for setting in entry.grid]
    rows = run(place(comparison, tier_name, entry.name, "tuning"), tier(tier_name), grid)
    best = {
        key: max((row for row in rows if row[key] is not None), key=lambda row, key=key: row[key])["override"]
        for key in ("DCI-D", "ELBO")
    }
    return {"grid": rows, "chosen": best["DCI-D"], "by_elbo": best["ELBO"]}


def seeds_of(comparison: str, tier_name: str, entry: Entry, setting: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fresh seeds of a setting."""
    overrides = [{**setting, "seed": seed} for seed in SEEDS]
    return run(place(comparison, tier_name, entry.name, "seeds"), tier(tier_name), overrides)


def compare(comparison: str, entries: Sequence[Entry], only: Sequence[str], tier_name: str) -> None:
    """Tunes and trains the methods that are named, all by default; writes what is known after each."""
    results = ROOT / "experiments/results" / comparison / f"{tier_name}.json"
    known = read_json(results) if results.exists() else {}
    for entry in entries:
        if only and entry.name not in only:
            continue
        tuning = tuned(comparison, tier_name, entry)
        rows = seeds_of(comparison, tier_name, entry, tuning["chosen"])
        made = {"machine": runtime.machine(), "commit": version.commit(), "seeds": list(SEEDS)}
        known[entry.name] = {"tuning": tuning, "runs": rows, **made}
        write_json(results, known)


def runs_of(
    comparison: str, tier_name: str, phase: str, overrides: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Runs without tuning, and what is known of them; written to results/<comparison>/<tier>.json."""
    rows = run(place(comparison, tier_name, comparison, phase), tier(tier_name), overrides)
    made = {"machine": runtime.machine(), "commit": version.commit()}
    write_json(ROOT / "experiments/results" / comparison / f"{tier_name}.json", {"runs": rows, **made})
    return rows


def chosen(tier_name: str, method: str) -> dict[str, Any]:
    """The setting of a method that Table 1 chose, without its seed. Raises SystemExit where it has not run."""
    path = ROOT / f"experiments/results/table1/{tier_name}.json"
    known = read_json(path) if path.exists() else {}
    if method not in known:
        raise SystemExit(f"{path} has no {method}: python experiments/table1.py --tier={tier_name} {method}")
    return {key: value for key, value in known[method]["tuning"]["chosen"].items() if key != "seed"}


def select(rows: Sequence[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """The rows whose overrides have the values `wanted`, by dotted key with __ for the dot."""
    asked = {key.replace("__", "."): value for key, value in wanted.items()}
    return [row for row in rows if all(_same(row["override"].get(key), value) for key, value in asked.items())]


def _same(one: Any, other: Any) -> bool:
    return (list(one) if isinstance(one, tuple) else one) == (list(other) if isinstance(other, tuple) else other)


def verdict(differences: Sequence[float]) -> str:
    """What paired differences that should be above 0 say."""
    if len(differences) < 2:
        return f"undecided at n = {len(differences)}"
    mean, _, half = interval(differences)
    if mean - half > 0:
        return "holds"
    return "does not hold" if mean + half < 0 else f"undecided at n = {len(differences)}"


def paired(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], score: str) -> list[float]:
    """The differences one - other over the seeds that both have."""
    of_other = {row["override"]["seed"]: row[score] for row in other}
    pairs = [(row[score], of_other.get(row["override"]["seed"])) for row in one]
    return [a - b for a, b in pairs if a is not None and b is not None]


def claim(key: str, text: str, paper: str, found: str, says: str, tier_name: str) -> None:
    """Writes one row of experiments/results/claims.md, beside those that are there."""
    path = ROOT / "experiments/results/claims.json"
    known = read_json(path) if path.exists() else {}
    made = {"commit": version.commit(), "machine": runtime.machine()}
    known[f"{key}, {tier_name}"] = {"claim": text, "paper": paper, "found": found, "verdict": says, **made}
    write_json(path, known)
    lines = [
        "# The claims of both papers",
        "",
        "Each row is written by the script that checks it; the data set is a look-alike",
    ]
    lines += ["unless it is named. Intervals are 95 % t intervals over seeds.", ""]
    lines += ["| experiment | claim | paper | found | verdict | commit |", "| --- " * 6 + "|"]
    for name, row in sorted(known.items()):
        cells = [name, row["claim"], row["paper"], row["found"], f"**{row['verdict']}**", row["commit"]]
        lines.append("| " + " | ".join(cells) + " |")
    write_bytes(path.with_suffix(".md"), ("\n".join(lines) + "\n").encode())


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, standard deviation, and half of the 95 % t interval; NaN where one value does not tell."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    deviation = statistics.stdev(values)
    return mean, deviation, float(stats.t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5


def shown(values: Sequence[float | None]) -> str:
    """ "0.52 ± 0.03 [0.48, 0.56], n = 5" of the values that are there."""
    there = [value for value in values if value is not None]
    if not there:
        return "–"
    mean, deviation, half = interval(there)
    if len(there) == 1:
        return f"{mean:.3f}, n = 1"
    return f"{mean:.3f} ± {deviation:.3f} [{mean - half:.3f}, {mean + half:.3f}], n = {len(there)}"


def difference(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], score: str) -> str:
    """The paired difference one - other over the seeds that both have."""
    return shown(paired(one, other, score))


def write_table(comparison: str, tier_name: str, title: str, against: str) -> None:
    """experiments/results/<comparison>/<tier>.md: settings, scores, and paired differences against one method."""
    folder = ROOT / "experiments/results" / comparison
    known = read_json(folder / f"{tier_name}.json")
    lines = [
        "| method | setting | " + " | ".join(SCORES) + f" | DCI-D, {against} - it |",
        "| --- | --- " + "| --- " * 5 + "|",
    ]
    for name, entry in sorted(
        known.items(), key=lambda item: -statistics.fmean(run["DCI-D"] or 0 for run in item[1]["runs"])
    ):
        setting = ", ".join(
            f"{key.rpartition('.')[2]} {value}"
            for key, value in entry["tuning"]["chosen"].items()
            if key not in ("seed", "method.name")
        )
        cells = [shown([run[title] for run in entry["runs"]]) for title in SCORES]
        gap = (
            difference(known[against]["runs"], entry["runs"], "DCI-D") if against in known and name != against else "–"
        )
        lines.append(f"| {name} | {setting} | " + " | ".join(cells) + f" | {gap} |")
    runs = [run for entry in known.values() for run in entry["runs"]]
    sizes = {len(entry["tuning"]["grid"]) for entry in known.values()}
    about = (
        f"`python experiments/{comparison}.py --tier={tier_name}`, data set {_all(run['dataset'] for run in runs)}, "
        f"{_all(run['step'] for run in runs)} steps, commit {_all(entry['commit'] for entry in known.values())}, "
        f"{_all(entry['machine'] for entry in known.values())}. Tuned over {_all(sizes)} settings at seed "
        f"{TUNING_SEED}, chosen by DCI-D; then fresh seeds. Mean ± standard deviation [95 % interval]."
    )
    text = f"# {title}\n\n{about}\n\n" + "\n".join(lines) + "\n"
    write_bytes(folder / f"{tier_name}.md", text.encode())
    print(text)


def _all(values: Any) -> str:
    return ", ".join(map(str, dict.fromkeys(values)))


def low_priority() -> None:
    """A comparison runs for hours beside other work."""
    os.nice(10)
