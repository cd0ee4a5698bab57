"""Time, memory and score of every metric and DCI backend on the same codes.

    python -m experiments.benchmarks.metric_speed [--reference]
    python -m experiments.benchmarks.metric_speed --chance=20     # the same with chance levels; nothing is written

Made-up codes [15,000, 10] of the six factors of 3DShapes. Every line is a process of its own: processor and wall time
of `metrics.compute` alone, and the memory that it takes above the imports. `--reference` adds DCI with scikit-learn,
about five minutes of a core. Writes experiments/results/metric_speed.json and .md.
"""

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import metrics
from scaledis.core.version import commit

RESULTS = Path(__file__).parents[1] / "results"
SIZES, UNITS, ROWS = (10, 10, 10, 8, 4, 15), 10, 15_000


def made_up_codes() -> tuple[np.ndarray, np.ndarray]:
    """Codes [N, K] in which every unit knows of every factor, and the factors [N, F]."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(size, size=ROWS) for size in SIZES], axis=1)
    centered = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    mixed = np.tanh(centered @ rng.standard_normal((len(SIZES), UNITS)) / np.sqrt(len(SIZES)))
    return mixed + 0.1 * rng.standard_normal(mixed.shape), factors


def measured(name: str, options: dict[str, Any], chance: int = 0) -> dict[str, Any]:
    """One line of the table; to be run in a fresh process."""
    codes, factors = made_up_codes()
    metrics.compute(name, codes[:60], factors[:60] % 2, options={name: options}, chance=0)  # imports what it needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    scores = metrics.compute(name, codes, factors, options={name: options}, chance=chance)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    headline = next(iter(scores))
    return {
        "metric": " ".join([name, *options.values()]),
        "headline": headline,
        "score": scores[headline],
        "processor_seconds": processor,
        "wall_seconds": wall,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def table(lines: list[dict[str, Any]]) -> str:
    found = ["| metric | headline | score | processor s | wall s | MB |", "| --- | --- | --: | --: | --: | --: |"]
    for line in lines:
        score = "none" if line["score"] is None else f"{line['score']:.3f}"
        numbers = f"{line['processor_seconds']:.1f} | {line['wall_seconds']:.1f} | {line['megabytes']:.0f}"
        found.append(f"| {line['metric']} | {line['headline']} | {score} | {numbers} |")
    return "\n".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", action="store_true", help="DCI with scikit-learn too")
    parser.add_argument("--chance", type=int, default=0, help="permutations for the chance levels; default: none")
    given = parser.parse_args()
    jobs: list[tuple[str, dict[str, str]]] = [(name, {}) for name in metrics.names()] + [
        ("dci", {"backend": "sklearn"})
    ] * given.reference
    jobs += [("sap", {"protocol": "paper"})]
    lines = []
    for job in jobs:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            lines.append(process.apply(measured, (*job, given.chance)))
        print(lines[-1], flush=True)
    if given.chance:
        return
    from scaledis.core.runtime import machine

    about = f"{ROWS:,} x {UNITS} codes, factors of sizes {SIZES}; {machine()}"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "metric_speed.json").write_text(
        json.dumps({"about": about, "commit": commit(), "lines": lines}, indent=1) + "\n"
    )
    flag = " --reference" if given.reference else ""
    heading = f"`python -m experiments.benchmarks.metric_speed{flag}`: {about}."
    (RESULTS / "metric_speed.md").write_text(f"{heading}\n\n{table(lines)}\n")


if __name__ == "__main__":
    main()
