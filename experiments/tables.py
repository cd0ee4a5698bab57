"""What the experiments' tables are made of: intervals, differences, claims, and their files."""

import math
import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from scaledis.core.files import read_json, write_bytes, write_json
from scaledis.core.statistics import Difference

ROOT = Path(__file__).parents[1]
GAPS = ("difference", "score", "mean and 95 % interval", "the interval")
RESULTS = ROOT / "experiments/results"
INTERVAL = re.compile(r"(-?\d+\.\d+)(?: ± \d+\.\d+)? \[(-?\d+\.\d+), (-?\d+\.\d+)\]")  # as `shown` writes it


def results_of(comparison: str, tier: str) -> dict[str, Any]:
    """What is known of a comparison: experiments/results/<comparison>/<tier>.json; nothing where it has not run."""
    path = RESULTS / comparison / f"{tier}.json"
    return read_json(path) if path.exists() else {}


def finished(comparison: str, tier: str) -> dict[str, Any]:
    """`results_of` for a table. Raises SystemExit where nothing has run."""
    known = results_of(comparison, tier)
    check_some(comparison, tier, known)
    return known


def write_results(comparison: str, tier: str, known: Mapping[str, Any]) -> None:
    """Writes what `results_of` reads. Raises SystemExit where nothing is known."""
    check_some(comparison, tier, known)
    write_json(RESULTS / comparison / f"{tier}.json", known)


def write_markdown(
    comparison: str, tier: str, title: str, about: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """experiments/results/<comparison>/<tier>.md: one table, under its title, its command and what it is about."""
    write_tables(comparison, tier, title, about, (columns, rows))


def write_tables(
    comparison: str, tier: str, title: str, about: str, *tables: tuple[Sequence[str], Iterable[Sequence[str]]]
) -> None:
    """`write_markdown` of several tables (columns, rows), one below the other; one without rows is left out."""
    parts = [f"# {title}", f"`{command(comparison, tier)}`. {about}"]
    for columns, rows in tables:
        lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
        if lines:
            parts.append("\n".join(["| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|", *lines]))
    text = "\n\n".join(parts) + "\n"
    write_bytes(RESULTS / comparison / f"{tier}.md", text.encode())
    print(text)


def command(comparison: str, tier: str) -> str:
    """What one types to run a comparison."""
    return f"python -m experiments.{comparison} {flags(tier)}"


def check_some(comparison: str, tier: str, there: Collection[Any]) -> None:
    """Raises SystemExit where nothing of a comparison has run."""
    if not there:
        raise SystemExit(f"No run of {comparison} is finished yet: {command(comparison, tier)}")


def flags(tier: str) -> str:
    """What the command line says for a tier, which may begin with a data set: "--data=shapes3d --tier=small"."""
    data, _, size = tier.rpartition("-")
    return f"--data={data} --tier={size}" if data else f"--tier={size}"


def made_with(known: Mapping[str, Any]) -> str:
    """The facts under the table of `results_of`: data set, steps, commit, machine, all of those that differ; and the
    runs that diverged."""
    machines = [entry["machine"] for entry in known.values()]
    every = [(name, run) for name, entry in known.items() for run in entry["runs"]]
    lost = [f"{name}, seed {run['override']['seed']}" for name, run in every if run.get("diverged") is not None]
    left_out = f" Diverged and left out: {'; '.join(lost)}." if lost else ""
    return (
        f"Data set {each(run['dataset'] for _, run in every)}, {each(run['step'] for _, run in every)} steps, commit "
        f"{commits(known)}, {each(machines)}.{left_out}"
    )


def commits(known: Mapping[str, Any]) -> str:
    """The commits that made the runs of `results_of`; a run that sums several up names several."""
    return each(commit for entry in known.values() for run in entry["runs"] for commit in run["commit"].split(", "))


def each(values: Iterable[Any]) -> str:
    """The different values, in their order."""
    return ", ".join(map(str, dict.fromkeys(values)))


def side(differences: Sequence[float]) -> str:
    """Where the 95 % interval of paired differences lies; no verdict, which only the rows of plan.md have."""
    if not differences:
        return "no seed"
    mean, _, half = interval(differences)
    return "one seed" if len(differences) < 2 else side_of(mean - half, mean + half)


def side_of(low: float, high: float) -> str:
    """Where an interval lies."""
    if low > 0:
        return "above 0"
    return "below 0" if high < 0 else "includes 0"


def paired(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], score: str) -> list[float]:
    """The differences one - other over the seeds that both have."""
    return list(paired_by_seed(one, other, score).values())


def paired_by_seed(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], score: str
) -> dict[int, float]:
    """The differences one - other of a score by seed."""
    own, others = by_seed(one, score), by_seed(other, score)
    return {seed: own[seed] - others[seed] for seed in own if seed in others}


def by_seed(runs: Sequence[Mapping[str, Any]], score: str) -> dict[int, float]:
    """A score of the runs that have it, by seed."""
    return {run["override"]["seed"]: run[score] for run in runs if run[score] is not None}


def complete(cells: Sequence[Sequence[Mapping[str, Any]]], score: str) -> list[list[float]]:
    """A score of several settings over the seeds that all of them have, [settings, seeds]."""
    of = [by_seed(runs, score) for runs in cells]
    seeds = [seed for seed in of[0] if all(seed in each for each in of)]
    return [[each[seed] for seed in seeds] for each in of]


def differences(
    entries: Mapping[str, Sequence[Mapping[str, Any]]], score: str, pairs: Iterable[tuple[str, str]]
) -> list[list[str]]:
    """Rows of GAPS: one - other of a score for the pairs whose settings have run, paired over the seeds that both have.

    Each interval stands for itself. A run that diverged has no score, and is left out with its seed.
    """
    there = [pair for pair in pairs if set(pair) <= entries.keys()]
    gaps = [paired(entries[one], entries[other], score) for one, other in there]
    return [[" - ".join(pair), score, shown(gap), side(gap)] for pair, gap in zip(there, gaps, strict=True)]


def claim(key: str, text: str, paper: str, found: str, lies: str, tier_name: str, verdict: str = "") -> None:
    """Writes one row of experiments/results/claims.json and .md, beside those that are there.

    Only a primary row of plan.md has a verdict. The key begins with the name of the comparison, whose runs say with
    what commit and on what machine it was made; these stand in the .json alone.
    """
    path = RESULTS / "claims.json"
    known = read_json(path) if path.exists() else {}
    made_by = results_of(key.partition(",")[0], tier_name)
    made = {"commit": commits(made_by), "machine": each(entry["machine"] for entry in made_by.values())}
    judged = {"verdict": verdict} if verdict else {}
    known[f"{key}, {tier_name}"] = {"claim": text, "paper": paper, "found": found, "interval": lies, **judged, **made}
    known = dict(sorted(known.items()))
    write_json(path, known)
    write_bytes(path.with_suffix(".md"), claims_table(known).encode())


def claims_table(known: Mapping[str, Mapping[str, str]]) -> str:
    """The text of claims.md."""
    lines = [
        "# The claims of both papers",
        "",
        "Each row is written by the script that checks it; the data set is a look-alike unless it is named. A row is",
        "exploratory ([plan](plan.md)), with a 95 % t interval over seeds, unless it has a verdict. Commits are in",
        "claims.json.",
        "",
        "| experiment | claim | paper | found | the interval | verdict |",
        "| --- " * 6 + "|",
    ]
    for name, row in known.items():
        cells = [name, *(row.get(key, "") for key in ("claim", "paper", "found", "interval", "verdict"))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def mean(runs: Sequence[Mapping[str, Any]], score: str) -> float:
    """The mean of a score over the runs that have it; -inf, which is never the best, where none has it."""
    values = [run[score] for run in runs if run[score] is not None]
    return sum(values) / len(values) if values else -math.inf


def scored_at(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The steps that runs were scored at; one that diverged may have ended before the last of them, and is left out."""
    return next((list(run["over_steps"]) for run in runs if run["diverged"] is None), [])


def at_step(runs: Sequence[Mapping[str, Any]], step: str, score: str) -> list[float | None]:
    """A score of every run at a step that it was scored at; None of a run that diverged, which is left out as a whole.

    Else a curve would fall or rise where a run leaves it.
    """
    return [run["over_steps"][step][score] if run["diverged"] is None else None for run in runs]


def by_elbo(runs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The run of the best ELBO, of those that did not diverge: the one that a user without factors would keep."""
    return max((run for run in runs if run["ELBO"] is not None), key=lambda run: run["ELBO"])


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


def shown_gap(gap: Difference) -> str:
    """ "0.05 [0.02, 0.08], Welch, n = 8 and 5" of a difference of settings with other seeds."""
    low, high = gap.interval() or (float("nan"), float("nan"))
    n = f"n = {gap.seeds[0]}" if gap.test == "paired" else f"{gap.test.title()}, n = {gap.seeds[0]} and {gap.seeds[1]}"
    return f"{gap.difference:.3f} [{low:.3f}, {high:.3f}], {n}"
