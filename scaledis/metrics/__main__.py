"""Scores of a file of codes: a table, and all results as JSON beside the file.

    python -m scaledis.metrics codes.npz
    python -m scaledis.metrics codes.npz --metrics=dci,mig --protocol=hfs

`scaledis score` is the same command; its help describes the file. Metrics use at most 10,000 + 5,000 rows, except
those for which the protocol takes all.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import metrics
from scaledis.core import files, npz
from scaledis.core.command import Command, names, option, parse, positional, whole
from scaledis.core.errors import UserError, sentences
from scaledis.metrics.shared import encoding, scoring

ARRAYS = ("codes", "mean", "factors", "levels", "log_variance")
PROTOCOLS = "scaledis, library (disentanglement_lib), hfs (HFS and alpha-TCVAE), paper (each metric's paper)"
FACTS = ("n", "permutations")  # numbers that are not scores
BESIDE = ("_interval", scoring.CHANCE, scoring.DEVIATION)  # printed in the line of their score


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


def table(scores: Mapping[str, Any], floor: Mapping[str, Any]) -> str:
    """One line per score that is a number or None, with its interval, chance level and floor if it has them."""
    lines = []
    for key, value in scores.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if (number or value is None) and key.split("/")[1] not in FACTS and not key.endswith(BESIDE):
            low_high, level = scores.get(f"{key}_interval"), scores.get(f"{key}_chance")
            chance = "" if level is None else f"  chance {level:.4f}"
            interval = f"  [{low_high[0]:.4f}, {low_high[1]:.4f}]" if low_high else ""
            noise = "" if floor.get(key) is None else f"  floor {floor[key]:.4f}"
            lines.append(f"{key:<44}{f'{value:.4f}' if number else 'none':>10}{interval}{chance}{noise}")
    return "\n".join(lines)


@dataclass
class Score(Command):
    """Computes metrics of codes from any framework, prints them, and writes all results as JSON beside the file.

    numpy.savez("codes.npz", codes=codes, factors=factors) writes such a file: `codes` (or `mean`) is float [N, K], a
    row for each image; `factors` is numbers, bools or strings [N, F], NaN where a label is missing. It may also hold
    `levels`, int [K], and `log_variance`, float [N, K].

    examples:
      scaledis score codes.npz
      scaledis score codes.npz --floor
      scaledis score codes.npz --metrics=dci,mig --n_bootstrap=200
      scaledis score codes.npz --metrics=mig --protocol=hfs --out=mig.json
    """

    word = "score"
    computes = False
    file: str | Path = positional("the .npz file of the codes")
    protocol: str | None = option("whose conventions are followed (default: each metric's own): " + PROTOCOLS)
    metrics: tuple[str, ...] = option("names with commas between (default: all)", (), names, commas=True)
    seed: int = option("the seed of all random draws", 0, whole)
    n_bootstrap: int = option("the number of resamples behind intervals; 0: no intervals", 0, whole)
    chance: int = option("the number of permutations behind chance levels; 0: none", scoring.PERMUTATIONS, whole)
    floor: bool = option("score standard normal codes of the same shape beside them", False)
    kinds: tuple[str, ...] = option(
        "the kind of each factor, with commas between: category, number, angle or angle:360 (default: by its labels)",
        (),
        names,
        commas=True,
    )
    missing: float | None = option("the number that stands for a missing label, such as -1", None, float)
    out: str | Path | None = option("the JSON file that is written (default: FILE.scores.json)")

    def execute(self) -> None:
        """Scores the file. Raises UserError for a file without codes, and for a metric that cannot use them."""
        arrays = read(Path(self.file))
        names = list(self.metrics) or metrics.names()
        common: dict[str, Any] = {
            "protocol": self.protocol,
            "rows": metrics.ROWS,
            "levels": arrays.get("levels"),
            "kinds": self.kinds or None,
            "missing": self.missing,
        }
        codes, factors, log_variances = arrays["codes"], arrays.get("factors"), arrays.get("log_variance")
        beside: dict[str, Any] = {
            "n_bootstrap": self.n_bootstrap,
            "chance": self.chance,
            "log_variances": log_variances,
        }
        scores = metrics.compute(names, codes, factors, self.seed, **common, **beside)
        floor: Mapping[str, Any] = {}
        if self.floor:
            noise = encoding.noise(codes.shape, self.seed)
            floor = metrics.compute(names, noise, factors, self.seed, chance=0, **common)
        out = Path(self.out) if self.out else Path(self.file).with_suffix(".scores.json")
        try:
            files.write_json(out, {**scores, **({"floor": {"noise": {**floor}}} if floor else {})})
        except UserError as error:
            raise UserError(f"--out: {error}") from error
        print(table(scores, floor))
        sentences = {sentence: None for key, value in scores.items() if key.endswith("/warnings") for sentence in value}
        print("\n".join([*sentences, f"wrote {out}"]), file=sys.stderr)


def main(argv: Sequence[str]) -> None:
    """Scores the file that the command line names."""
    parse(Score, argv, "python -m scaledis.metrics").execute()


if __name__ == "__main__":
    with sentences():
        main(sys.argv[1:])
