"""Does LightGBM give the DCI of scikit-learn's gradient boosting? Scores made-up codes of four kinds with both.

    python experiments/dci_backends.py

Four factors of the sizes of 3DShapes (one of its three hues, scale, shape, azimuth), ten units, 10,000 + 5,000 rows.
Writes experiments/results/dci_backends.json; about five minutes of one core.
"""

import datetime
import json
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from scaledis.metrics import dci
from scaledis.runtime import machine

SIZES = (10, 8, 4, 15)
UNITS, ROWS, SEED = 10, 15_000, 0
SCORES = ("disentanglement", "completeness", "informativeness")
TOLERANCE = 0.015


def made_up_codes(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Factors [N, F], and codes [N, K] by name, from one factor a unit to every factor in every unit."""
    factors = np.stack([rng.integers(size, size=ROWS) for size in SIZES], axis=1)
    centred = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    cos, sin = np.cos(np.pi / 8), np.sin(np.pi / 8)
    rotated = centred @ np.kron(np.eye(2), [[cos, -sin], [sin, cos]])
    mixed = np.tanh(centred @ rng.standard_normal((len(SIZES), UNITS)) / np.sqrt(len(SIZES)))
    means_and_std = {
        "separate": ([centred, np.sin(2 * centred[:, :2])], 0.05),
        "redundant": ([centred, centred], 0.05),
        "rotated": ([rotated, np.tanh(centred[:, :2] * centred[:, 2:])], 0.2),
        "mixed": ([mixed], 0.1),
    }
    code_sets = {}
    for name, (means, std) in means_and_std.items():
        alive = np.concatenate(means, axis=1)
        dead = np.zeros((ROWS, UNITS - alive.shape[1]))
        code_sets[name] = np.concatenate([alive, dead], axis=1) + std * rng.standard_normal((ROWS, UNITS))
    return factors, code_sets


def scored(codes: np.ndarray, factors: np.ndarray, backend: str) -> dict[str, float]:
    """The three scores and the seconds they took."""
    start = time.perf_counter()
    scores = dci.compute(codes, factors, SEED, backend=backend)
    return {score: scores[score] for score in SCORES} | {"seconds": time.perf_counter() - start}


def main() -> None:
    factors, code_sets = made_up_codes(np.random.default_rng(SEED))
    results = {}
    for name, codes in code_sets.items():
        results[name] = {backend: scored(codes, factors, backend) for backend in dci.BACKENDS}
        print(name, json.dumps(results[name]), flush=True)
    gaps = [abs(both["lightgbm"][score] - both["sklearn"][score]) for both in results.values() for score in SCORES]
    report = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "lightgbm")},
        "rows": {"train": ROWS * 2 // 3, "test": ROWS // 3},
        "code_sets": results,
        "largest_difference": max(gaps),
        "tolerance": TOLERANCE,
        "agrees": max(gaps) <= TOLERANCE,
    }
    path = Path(__file__).parent / "results" / "dci_backends.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"largest difference {max(gaps):.4f}, wrote {path}")


if __name__ == "__main__":
    main()
