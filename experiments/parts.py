"""Runs in parts: some seeds of one setting at a time, each written when it is there.

Nothing that is written trains again, and what a part has trained before it was killed goes on from its checkpoint.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments import protocol
from experiments.protocol import place, run
from experiments.tables import results_of, write_results
from scaledis.core import runtime
from scaledis.workdir.layout import Workdir

Row = dict[str, Any]


def nothing(workdir: Workdir, row: Row) -> Row:
    """What is known of a run beside its row: nothing more."""
    del workdir, row
    return {}


def train(
    comparison: str,
    tier_name: str,
    settings: Mapping[str, Mapping[str, Any]],
    seeds: Iterable[int],
    beside: Callable[[Workdir, Row], Row] = nothing,
) -> None:
    """Trains every entry's setting on those of `seeds` that it lacks, all of them in one part.

    Args:
      settings: the overrides of each entry, without a seed.
      beside: (workdir, row) -> what else is written of a run; row["run"] is its name there.
    """
    known = results_of(comparison, tier_name)
    missing = [(entry, seed) for entry in settings for seed in seeds if seed not in seeds_of(known, entry)]
    if not missing:
        return
    first, seed = missing[0]
    workdir = place(comparison, tier_name, re.sub(r"[^\w-]+", "_", first), f"seed{seed}")
    rows = run(workdir, protocol.tier(tier_name), [{**settings[entry], "seed": seed} for entry, seed in missing])
    for (entry, _), row in zip(missing, rows, strict=True):
        before = known.get(entry, {"runs": []})["runs"]
        known[entry] = {"runs": [*before, {**row, **beside(workdir, row)}], "machine": runtime.machine()}
    write_results(comparison, tier_name, known)


def seeds_of(known: Mapping[str, Any], entry: str) -> list[int]:
    """The seeds that an entry of `results_of` has."""
    return [row["override"]["seed"] for row in known.get(entry, {"runs": []})["runs"]]


def split(seeds: Sequence[int], several: int = 2) -> list[Sequence[int]]:
    """Seeds in parts; two of them, as two cores train them, unless a part would take more than two hours."""
    return [seeds[first : first + several] for first in range(0, len(seeds), several)]


def finite(runs: Sequence[Row]) -> tuple[list[Row], str]:
    """The runs that did not diverge, and the seeds of those that did as words for the table."""
    diverged = [str(row["override"]["seed"]) for row in runs if row["diverged"] is not None]
    return [row for row in runs if row["diverged"] is None], ", ".join(diverged)
