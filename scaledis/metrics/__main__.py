"""Scores of a file of codes: a table, and all results as JSON beside the file.

    python -m scaledis.metrics codes.npz
    python -m scaledis.metrics codes.npz --metrics=dci,mig --protocol=hfs

The file holds `codes` (or `mean`), float [N, K], and `factors`, integers, bools or strings [N, F]; if they are known
also `levels`, int [K], and `log_variance`, float [N, K]. Metrics see at most 10,000 + 5,000 rows, but for those to
which the protocol gives all.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import metrics
from scaledis.core import npz
from scaledis.core.errors import UserError, sentences
from scaledis.metrics.shared import scoring

ARRAYS = ("codes", "mean", "factors", "levels", "log_variance")
FACTS = ("n", "permutations")  # numbers that are no scores
BESIDE = ("_interval", scoring.CHANCE, scoring.DEVIATION)  # what stands in a score's own line


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of `path` that have a name in `ARRAYS`; `mean` counts as `codes`.

    Raises UserError, naming the file, if it is missing, no .npz file, damaged, or has no codes.
    """
    names = npz.names(path)
    arrays = {name: npz.read(path, name) for name in ARRAYS if name in names}
    if "mean" in arrays:
        arrays.setdefault("codes", arrays.pop("mean"))
    if "codes" not in arrays:
        raise UserError(f"{path}: it holds {', '.join(names) or 'nothing'}; 'codes' or 'mean' is needed")
    return arrays


def table(scores: Mapping[str, Any]) -> str:
    """One line for each score that is a number or does not exist, with its chance level and its interval if known."""
    lines = []
    for key, value in scores.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if (number or value is None) and key.split("/")[1] not in FACTS and not key.endswith(BESIDE):
            low_high, level = scores.get(f"{key}_interval"), scores.get(f"{key}_chance")
            chance = "" if level is None else f"  chance {level:.4f}"
            interval = f"  [{low_high[0]:.4f}, {low_high[1]:.4f}]" if low_high else ""
            lines.append(f"{key:<44}{f'{value:.4f}' if number else 'none':>10}{interval}{chance}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores the file that the command line names."""
    parser = argparse.ArgumentParser(
        "python -m scaledis.metrics", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--metrics", default=",".join(metrics.names()), help="names with commas between; default: all")
    parser.add_argument("--protocol", help=", ".join(metrics.PROTOCOLS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n_bootstrap", type=int, default=0, help="resamples for intervals; default: none")
    words = "permutations for the chance levels; 0: none; default: %(default)s"
    parser.add_argument("--chance", type=int, default=scoring.PERMUTATIONS, help=words)
    parser.add_argument("--out", type=Path, help="the JSON file; default: <file>.scores.json")
    given = parser.parse_args(arguments)
    arrays = read(given.file)
    scores = metrics.compute(
        given.metrics.split(","),
        arrays["codes"],
        arrays.get("factors"),
        given.seed,
        protocol=given.protocol,
        rows=metrics.ROWS,
        n_bootstrap=given.n_bootstrap,
        chance=given.chance,
        levels=arrays.get("levels"),
        log_variances=arrays.get("log_variance"),
    )
    out = given.out or given.file.with_suffix(".scores.json")
    try:
        out.write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise UserError(f"--out: {out} cannot be written: {error.strerror}.") from error
    print(table(scores))
    warnings = {sentence: None for key, said in scores.items() if key.endswith("/warnings") for sentence in said}
    print("\n".join([*warnings, f"wrote {out}"]), file=sys.stderr)


if __name__ == "__main__":
    with sentences():
        main()
