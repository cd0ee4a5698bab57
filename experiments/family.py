"""The eight primary rows of experiments/results/plan.md, judged as one family; nothing trains here.

    python -m experiments.family --tier=small

The runs are those of primary.py and blocks.py. A row has an interval as soon as two of its seeds have run, and a
verdict once all of its seeds have and no p-values of the rows to come can change it, since Holm's method takes all
eight. Writes experiments/results/family/<tier>.md and, for each row with a verdict, a row of claims.md.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import blocks, primary, protocol
from experiments.protocol import arguments
from experiments.tables import claim, made_with, results_of, shown_gap, side_of, write_markdown
from scaledis.core.statistics import LEVEL, Difference, Judged, difference, judge, paired

ROWS, APART = 8, 0.02  # APART: of the bounds of an information, beyond which it is no number
COLUMNS = ("row", "one - other", "score of one", "seeds", "diverged", "difference", "p", "Holm's p", "verdict")

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # by the name of their setting
NOTHING = Difference("paired", (0, 0), (math.nan, math.nan), math.nan, math.nan, math.nan, 0)  # p counts as 1
CERTAIN = NOTHING._replace(difference=1.0, error=0.0)  # p = 0


class Row(NamedTuple):
    """A row of the plan.

    title: one - other.
    of: the experiment that has the runs, "primary" or "blocks".
    seeds: of each side, as planned.
    one, other: the settings, over which the scores of a seed are averaged.
    scores: the columns that are compared, of the one and of the other.
    """

    title: str
    of: str
    seeds: int
    one: Sequence[str]
    other: Sequence[str]
    scores: tuple[str, str] = ("DCI-D", "DCI-D")


def rows_of(tier_name: str, flat: str) -> list[Row]:
    """The rows in the order of the plan, with its choice of a flat method."""
    steps = primary.TIMES * protocol.tier(tier_name)["train"]["steps"]
    ours, vlae, flat, few = (f"{each}, {steps} steps" for each in ("scale_vlae", "vlae", flat, "few units first"))
    own, others = zip(*primary.ALLOCATIONS, strict=True)
    of_blocks, of_units, of_pairs = (f"MIG of {each}, upper" for each in ("blocks", "units", "best pairs"))
    return [
        Row("ours - VLAE", "primary", 20, [ours], [vlae]),
        Row("ours - the best flat method", "primary", 20, [ours], [flat]),
        Row("few units first with a bank - ours", "primary", 20, [few], [ours]),
        Row("both penalties - intra only", "primary", 24, ["figure 1, both"], ["figure 1, intra"]),
        Row("ours: (3, 3, 4) - (4, 6)", "primary", 24, ["ours, (3, 3, 4)"], ["ours, (4, 6)"]),
        Row("ours - VLAE, mean of nine allocations", "primary", 8, own, others),
        Row("blocks of 2 - units of b = 1", "blocks", 24, ["b = 2, free"], ["b = 1"], (of_blocks, of_units)),
        Row("blocks of 2 - best pairs of b = 1", "blocks", 24, ["b = 2, free"], ["b = 1"], (of_blocks, of_pairs)),
    ]


def scores_of(runs: Runs, settings: Sequence[str], score: str) -> dict[int, float]:
    """The score of each seed that all settings have, the mean over them; runs that diverged are left out."""
    healthy = [
        {row["override"]["seed"]: row[score] for row in runs.get(name, ()) if row["diverged"] is None}
        for name in settings
    ]
    seeds = sorted(set.intersection(*map(set, healthy)))
    return {seed: float(np.mean([of[seed] for of in healthy])) for seed in seeds}


def compared(row: Row, runs: Runs) -> Difference | None:
    """The difference over the seeds that have run, paired if both sides share seeds; None without any."""
    one, other = (scores_of(runs, *side) for side in zip((row.one, row.other), row.scores, strict=True))
    if not one or not other:
        return None
    return paired(one, other) if one.keys() & other.keys() else difference(one, other)


def is_number(row: Row, runs: Runs) -> bool:
    """Whether the bounds of each information agree, of what has bounds."""
    for settings, score in zip((row.one, row.other), row.scores, strict=True):
        bounds = [score, score.replace("upper", "lower")]
        upper, lower = ([*scores_of(runs, settings, bound).values()] for bound in bounds)
        if upper and abs(np.mean(upper) - np.mean(lower)) > APART:
            return False
    return True


def counted(row: Row, runs: Runs) -> tuple[int, int]:
    """How many seeds have run on both sides, and how many of their runs diverged."""
    of = [runs.get(name, ()) for name in {*row.one, *row.other}]
    return min(map(len, of)), sum(run["diverged"] is not None for own in of for run in own)


def family(rows: Sequence[Row], runs: Mapping[str, Runs]) -> list[Judged | None]:
    """The verdicts of the rows that have one; None for a row without all of its seeds, or which later rows can change.

    Holm's p of a row is largest if all rows to come have p = 1, and smallest if all have p = 0. A verdict that is the
    same in both cases is final; it stands with the larger p. A row with a side whose runs all diverged is undecided,
    and counts as a test with p = 1.
    """
    complete = [counted(row, runs[row.of])[0] >= row.seeds for row in rows]
    found = [tested(row, runs[row.of]) for row in rows]
    largest, smallest = (
        judge([each if ran else later for each, ran in zip(found, complete, strict=True)])
        for later in (NOTHING, CERTAIN)
    )
    return [
        most if ran and most.verdict == least.verdict else None
        for ran, most, least in zip(complete, largest, smallest, strict=True)
    ]


def tested(row: Row, runs: Runs) -> Difference:
    """The difference as a test of the family; where it is no number, or nothing has run, its p is NaN."""
    found = compared(row, runs) or NOTHING
    return found if is_number(row, runs) else found._replace(error=math.nan)


def cells_of(row: Row, runs: Runs, judged: Judged | None) -> list[str]:
    """The cells of a row of the table, behind its number."""
    (seeds, diverged), found = counted(row, runs), compared(row, runs)
    words, p = (shown_gap(found), f"{found.p:.2g}") if found and found.interval() else ("", "")
    open_for = "other rows can change it" if seeds >= row.seeds else "not all seeds have run"
    verdict = (f"{judged.holm:.2g}", verdict_of(judged)) if judged else ("", open_for)
    return [row.title, row.scores[0], f"{seeds} of {row.seeds}", str(diverged), words, p, *verdict]


def found_of(row: Row, runs: Runs, gap: Difference) -> str:
    """ "0.490, 0.354; difference 0.136 [0.103, 0.170], n = 8": the means of one and of other, and their difference."""
    sides = zip((row.one, row.other), row.scores, strict=True)
    means = [float(np.mean([*scores_of(runs, *side).values()])) for side in sides]
    return f"{means[0]:.3f}, {means[1]:.3f}; difference {shown_gap(gap)}"


def verdict_of(judged: Judged) -> str:
    """The verdict; where nothing is decided, with the seeds that would decide it, or why none would."""
    if not judged.difference.interval():
        return f"{judged.verdict}; no number"
    needed = judged.difference.seeds_needed(LEVEL / ROWS) if judged.verdict == "undecided" else None
    return f"{judged.verdict}; {needed} seeds would decide it" if needed else judged.verdict


def main() -> None:
    given = arguments(__doc__)
    known = {name: results_of(name, given.tier) for name in ("primary", "blocks")}
    runs = {name: {title: found["runs"] for title, found in held.items()} for name, held in known.items()}
    runs["blocks"] = blocks.with_columns(runs["blocks"])
    ran = [each for each in primary.FLAT for name in runs["primary"] if name.startswith(f"{each},")]
    rows = rows_of(given.tier, (ran or primary.FLAT)[0])
    verdicts = family(rows, runs)
    cells = [cells_of(row, runs[row.of], judged) for row, judged in zip(rows, verdicts, strict=True)]
    about = (
        f"{' '.join(made_with(each) for each in known.values() if each)} Paired t-tests over seeds, Welch's in row 3, "
        "two-sided, corrected together by Holm's method. [The plan](../plan.md) says what verdicts mean. Until all "
        "rows have run, Holm's p is the largest that the others can lead to, and none of them can change a verdict. "
        f"No number: the bounds of an information are more than {APART} apart, or all runs of a side diverged; "
        "Holm's p is then 1."
    )
    numbered = [[str(number), *own] for number, own in enumerate(cells, 1)]
    write_markdown("family", given.tier, "The primary rows", about, COLUMNS, numbered)
    for number, (row, judged) in enumerate(zip(rows, verdicts, strict=True), 1):
        if judged:
            key, title, gap = f"{row.of}, row {number}", f"{row.title}, in {row.scores[0]}", judged.difference
            words, side = (
                (found_of(row, runs[row.of], gap), side_of(*ends))
                if (ends := gap.interval())
                else ("no number", "none")
            )
            claim(key, title, "plan.md", words, side, given.tier, verdict_of(judged))


if __name__ == "__main__":
    main()
