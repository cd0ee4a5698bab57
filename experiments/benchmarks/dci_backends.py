"""The gate of DCI's default: does LightGBM give the scores of scikit-learn's gradient boosting, and how much faster?

    python -m experiments.benchmarks.dci_backends --tier=small
    python -m experiments.benchmarks.dci_backends --tier=paper runs/<sweep>/runs/<run>/codes.npz ...

Scores codes of many kinds with both backends: four made-up kinds, random codes, the factors of Cars3D, 40 unbalanced
binary factors, 64 units, and any codes of trained runs that are named (with `mean` or `codes`, and `factors`). small:
1,000 + 500 rows, about five minutes; paper: 10,000 + 5,000 rows, about an hour of a core, nearly all the reference's.
The reference's scores are kept in runs/dci_reference and used again for the same codes, scikit-learn and code of ours
that calls it. Writes experiments/results/dci_backends_<tier>.json, whose `agrees` decides: D and C differ by at most
0.02 on average and 0.05 at worst, I by 0.02, and the mean difference with its sign, the bias, is at most 0.01.
"""

import argparse
import datetime
import hashlib
import inspect
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core.version import commit
from scaledis.metrics import dci

RESULTS, KEPT = Path(__file__).parents[1] / "results", Path(__file__).parents[2] / "runs/dci_reference"
REFERENCE = "sklearn"
TIERS = {"small": 1500, "paper": 15_000}  # rows, two thirds of which train
SHAPES, CARS = (10, 8, 4, 15), (4, 24, 183)  # of 3DShapes one of the three hues
UNITS, SEED = 10, 0
SCORES = ("disentanglement", "completeness", "informativeness")
MEAN, WORST, BIAS = 0.02, 0.05, 0.01  # largest differences
FASTER = {"mixed": 15, "cars3d": 15, "binary": 10}  # times less processor time than the reference, in the tier paper
MEGABYTES = 1000


def uniform(rng: np.random.Generator, sizes: Sequence[int], rows: int) -> np.ndarray:
    return np.stack([rng.integers(size, size=rows) for size in sizes], axis=1)


def mixed(rng: np.random.Generator, factors: np.ndarray, units: int) -> np.ndarray:
    """Units [N, K] that each know of every factor."""
    centered = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    codes = np.tanh(centered @ rng.standard_normal((factors.shape[1], units)) / np.sqrt(factors.shape[1]))
    return codes + 0.1 * rng.standard_normal(codes.shape)


def code_sets(rows: int, files: Sequence[Path]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, codes [N, K] and factors [N, F]."""
    rng = np.random.default_rng(SEED)
    factors = uniform(rng, SHAPES, rows)
    centered = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    cos, sin = np.cos(np.pi / 8), np.sin(np.pi / 8)
    rotated = centered @ np.kron(np.eye(2), [[cos, -sin], [sin, cos]])
    kinds = {
        "separate": ([centered, np.sin(2 * centered[:, :2])], 0.05),
        "redundant": ([centered, centered], 0.05),
        "rotated": ([rotated, np.tanh(centered[:, :2] * centered[:, 2:])], 0.2),
    }
    for name, (parts, deviation) in kinds.items():
        alive = np.concatenate(parts, axis=1)
        dead = np.zeros((rows, UNITS - alive.shape[1]))
        yield name, np.concatenate([alive, dead], axis=1) + deviation * rng.standard_normal((rows, UNITS)), factors
    yield "mixed", mixed(rng, factors, UNITS), factors
    yield "random", rng.standard_normal((rows, UNITS)), factors
    cars = uniform(rng, CARS, rows)
    yield "cars3d", mixed(rng, cars, UNITS), cars
    binary = (rng.random((rows, 40)) < rng.uniform(0.05, 0.5, 40)).astype(int)
    yield "binary", mixed(rng, binary, UNITS), binary
    yield "64 units", mixed(rng, factors, 64), factors
    for path in files:
        with np.load(path, allow_pickle=False) as file:
            codes = file["mean"] if "mean" in file.files else file["codes"]
            yield str(path), codes[:rows], file["factors"][:rows]


def scored(codes: np.ndarray, factors: np.ndarray, backend: str) -> dict[str, float]:
    """The three scores, the seconds that they took, and the memory above the imports; in a process of its own."""
    dci.compute(codes[:60], factors[:60], SEED, backend=backend)  # imports what it needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    scores = dci.compute(codes, factors, SEED, backend=backend)
    return {score: scores[score] for score in SCORES} | {
        "processor_seconds": time.process_time() - processor,
        "wall_seconds": time.perf_counter() - wall,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def apart(codes: np.ndarray, factors: np.ndarray, backend: str) -> dict[str, Any]:
    """`scored`, and the commit that it was made with."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(scored, (codes, factors, backend)) | {"commit": commit()}


def reference(codes: np.ndarray, factors: np.ndarray) -> dict[str, Any]:
    """`apart` of the reference, which takes minutes; at once where it is known."""
    made = hashlib.sha256(inspect.getsource(dci.BACKENDS[REFERENCE]).encode() + version("scikit-learn").encode())
    for array in (codes, factors):
        made.update(np.ascontiguousarray(array).tobytes())
    known = KEPT / f"{made.hexdigest()[:16]}.json"
    if not known.exists():
        found = apart(codes, factors, REFERENCE)
        KEPT.mkdir(parents=True, exist_ok=True)
        partial = known.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.replace(known)
    return json.loads(known.read_text())


def gate(results: dict[str, dict[str, dict[str, Any]]], tier: str) -> dict[str, Any]:
    """The differences over all sets of codes, fast minus reference, and whether they are small enough."""
    differences = {
        score: np.array([both["lightgbm"][score] - both["sklearn"][score] for both in results.values()])
        for score in SCORES
    }
    found: dict[str, Any] = {
        score: {"mean": float(np.abs(gap).mean()), "worst": float(np.abs(gap).max()), "bias": float(gap.mean())}
        for score, gap in differences.items()
    }
    ratios = {
        name: both["sklearn"]["processor_seconds"] / both["lightgbm"]["processor_seconds"]
        for name, both in results.items()
    }
    worst = {"disentanglement": WORST, "completeness": WORST, "informativeness": MEAN}
    found["agrees"] = all(
        found[score]["mean"] <= MEAN and found[score]["worst"] <= worst[score] and abs(found[score]["bias"]) <= BIAS
        for score in SCORES
    )
    found["times_less_processor"] = ratios
    if tier == "paper":
        found["fast"] = all(ratios[name] >= least for name, least in FASTER.items())
        found["small"] = max(both["lightgbm"]["megabytes"] for both in results.values()) <= MEGABYTES
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=TIERS, default="small")
    parser.add_argument("codes", nargs="*", type=Path, help="codes of trained runs")
    given = parser.parse_args()
    rows = TIERS[given.tier]
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for name, codes, factors in code_sets(rows, given.codes):
        found = {backend: apart(codes, factors, backend) for backend in dci.BACKENDS if backend != REFERENCE}
        results[name] = found | {REFERENCE: reference(codes, factors)}
        print(name, json.dumps(results[name]), flush=True)
    from scaledis.core.runtime import machine

    report = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "commit": commit(),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "lightgbm")},
        "rows": {"train": rows * 2 // 3, "test": rows - rows * 2 // 3},
        "code_sets": results,
        "gate": gate(results, given.tier),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"dci_backends_{given.tier}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["gate"], indent=2), f"wrote {path}", sep="\n")


if __name__ == "__main__":
    main()
