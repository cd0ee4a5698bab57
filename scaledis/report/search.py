"""The search of a work directory: its trials in order, the best so far, the Pareto front, and their texts.

pictures/search.py draws the search by matplotlib, and page.py with assets/search.js on the page.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scaledis.report import axes, content
from scaledis.report.axes import Axis
from scaledis.report.scores import PAPERS
from scaledis.sweeps.aim import Aim, is_score
from scaledis.workdir.trials import STATES, Trial, Trials

BEST = 10  # trials of the table, whose runs the page shows
NAMES = PAPERS | {"udr": "UDR"}  # of objectives
EXTREME = {"max": "highest", "min": "lowest"}
NOISY = "the best of many noisy values looks better than it is"
UNKNOWN = "The importance of the keys is left out: it needs more complete trials."


def complete(found: Trials) -> list[Trial]:
    """The complete trials, in the order of their numbers."""
    return [trial for trial in found.trials if trial.state == "complete"]


def ranked(found: Trials, place: int = 0) -> list[Trial]:
    """The complete trials, the best by objective `place` first and of equal ones the earliest, then all others."""
    sign = -1 if found.objectives[place].best == "max" else 1
    best = sorted(complete(found), key=lambda trial: (sign * trial.values[place], trial.number))
    return best + [trial for trial in found.trials if trial.state != "complete"]


def best_so_far(found: Trials, place: int = 0) -> list[Trial]:
    """The complete trials that were better by objective `place` than all before them, in the order of their numbers."""
    sign = 1 if found.objectives[place].best == "max" else -1
    kept: list[Trial] = []
    for trial in complete(found):
        if not kept or sign * trial.values[place] > sign * kept[-1].values[place]:
            kept.append(trial)
    return kept


def front(found: Trials) -> list[Trial]:
    """The Pareto front, the best by the first objective first: the complete trials that no other one dominates.

    A trial dominates another if it is at least as good by every objective and better by one.
    """
    signs = [1 if each.best == "max" else -1 for each in found.objectives]
    values = np.array([trial.values for trial in complete(found)]).reshape(-1, len(signs)) * signs
    known = {
        trial.number
        for trial, own in zip(complete(found), values, strict=True)
        if not ((values >= own).all(axis=1) & (values > own).any(axis=1)).any()
    }
    return [trial for trial in ranked(found) if trial.number in known]


def shown(found: Trials) -> list[Trial]:
    """The trials whose runs a page shows: the best by the first objective, or the first ones while none is complete."""
    some = ranked(found)[: len(complete(found))] or [trial for trial in found.trials if trial.runs]
    return some[:BEST]


def settings(found: Trials) -> dict[str, str]:
    """{run: the name of its trial} of the trials that are shown, in their order."""
    return {name: f"trial {trial.number}" for trial in shown(found) for name in trial.runs}


def name_of(objective: Aim) -> str:
    """An objective in words: "ELBO", "DCI-D"."""
    by = objective.by
    return NAMES.get(by, content.words(by) if by.endswith("_nats") else by)


def value_of(objective: Aim, value: float) -> str:
    """The value of an objective in words, with its unit."""
    return axes.words(value, "#.4g") + (" nats" if objective.by.endswith("_nats") else "")


def labels(keys: Iterable[str]) -> dict[str, str]:
    """{key: its last word, or the whole key where two share it}; that of method.name is "method"."""
    short = {key: key.removesuffix(".name").rpartition(".")[2] for key in keys}
    counts = Counter(short.values())
    return {key: word if counts[word] == 1 else key for key, word in short.items()}


def counted(found: Trials) -> str:
    """The number of trials and of each state: "200 trials: 152 complete, 48 pruned"."""
    counts = Counter(trial.state for trial in found.trials)
    order = sorted(STATES, key=lambda state: state != "complete")
    states = ", ".join(f"{counts[state]:,} {state}" for state in order if counts[state])
    return f"{len(found.trials):,} trial{'' if len(found.trials) == 1 else 's'}: {states or 'none has begun'}"


def sentence(found: Trials) -> str:
    """What was tried, the best trial with its value and its setting, and what may be concluded from it."""
    first = found.objectives[0]
    names = _together(map(name_of, found.objectives))
    if not complete(found):
        return f"{counted(found)}. None is complete, so none is the best by {names} yet."
    best = ranked(found)[0]
    known = labels(found.space)
    setting = ", ".join(f"{word} {axes.words(best.params[key])}" for key, word in known.items() if key in best.params)
    several = len(found.objectives) > 1
    front_of = f" {len(front(found)):,} of them form the Pareto front of {names}." if several else ""
    told = f"Trial {best.number} has the {EXTREME[first.best]} {name_of(first)}, {value_of(first, best.values[0])}"
    return f"{counted(found)}.{front_of} {told}{f', with {setting}' if setting else ''}. {caveat(found.objectives)}"


def _together(names: Iterable[str]) -> str:
    """Names in a row: "A, B and C"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def caveat(objectives: Sequence[Aim]) -> str:
    """Returns a sentence on what one must not conclude from the best of a search."""
    if scores := [name_of(each) for each in objectives if is_score(each.by)]:
        return f"It was chosen with factors, by {_together(scores)}, and {NOISY}: score it again on fresh seeds."
    if any(each.by == "elbo_nats" for each in objectives):
        return f"Across penalties the ELBO favors the lowest penalty, and {NOISY}."
    return f"{NOISY.capitalize()}: train it again on fresh seeds."


def which(found: Trials) -> str:
    """The trials that are shown: "the best 10 of 200 trials by DCI-D"."""
    few, every = len(shown(found)), len(found.trials)
    number = f"{few:,} of {every:,} trials" if few < every else "all trials"
    if not complete(found):
        return f"the first {number}" if few < every else number
    return f"the best {number}" + f" by {name_of(found.objectives[0])}" if few < every else f"{number}, the best first"


class Parallel(NamedTuple):
    """The keys of the space, then the objectives, as axes, and the numbers of trials as one more."""

    numbers: Axis
    words: list[str]
    titles: list[str]  # the keys and objectives in full
    axes: list[Axis]
    places: list[list[float | None]]  # of each trial, on each axis; None for what it lacks
    beyond: list[int]  # trials of each objective whose value lies at the edge


def parallel(found: Trials) -> Parallel:
    """The trials over the keys of the space and the objectives."""
    known, names = labels(found.space), list(map(name_of, found.objectives))
    keys = [
        axes.of_range(text, [trial.params[key] for trial in found.trials if key in trial.params])
        for key, text in found.space.items()
    ]
    values = [[trial.values[n] for trial in complete(found)] for n in range(len(names))]
    ends = [axes.of_values(own or [0.0], each.best) for own, each in zip(values, found.objectives, strict=True)]
    places = [
        [axis.place(trial.params.get(key)) for key, axis in zip(known, keys, strict=True)]
        + [axis.place(trial.values[n]) if trial.values else None for n, axis in enumerate(ends)]
        for trial in found.trials
    ]
    beyond = [sum(not axis.low <= value <= axis.high for value in own) for own, axis in zip(values, ends, strict=True)]
    titles = [f"{key}, {text}" for key, text in found.space.items()]
    titles += [f"{each.by}, the {EXTREME[each.best]} is best" for each in found.objectives]
    numbers = Axis(0, max((trial.number for trial in found.trials), default=0), whole=True)
    return Parallel(numbers, [*known.values(), *names], titles, [*keys, *ends], places, beyond)


def strengths(found: Trials) -> dict[int, float]:
    """{number of a complete trial: the share of the others that it is better than}, by the first objective.

    Ranks, since one value that went astray would make all others equally strong.
    """
    best = ranked(found)[: len(complete(found))]
    return {trial.number: 1 - n / max(len(best) - 1, 1) for n, trial in enumerate(best)}


def importance(found: Trials) -> dict[str, dict[str, float]]:
    """For each objective, in words, the share of its variance that each key explains, in words; {} if unknown."""
    known = labels(found.space)
    return {
        name_of(each): {known.get(key, key): share for key, share in found.importance[each.by].items()}
        for each in found.objectives
        if found.importance.get(each.by)
    }


def rows(found: Trials, several: Sequence[Trial]) -> list[list[str]]:
    """The table of trials as text: a line of headings, then a line a trial: number, values, setting, state."""
    known = labels(found.space)
    heads = ["trial", *map(name_of, found.objectives), *known.values(), "state"]
    return [heads] + [
        [
            str(trial.number),
            *(map(value_of, found.objectives, trial.values) if trial.values else ["–"] * len(found.objectives)),
            *(axes.words(trial.params[key]) if key in trial.params else "–" for key in known),
            trial.state,
        ]
        for trial in several
    ]


def table(found: Trials) -> str:
    """The sentence and the best trials as aligned Markdown, for a terminal."""
    lines = rows(found, ranked(found)[:BEST])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *rest = (f"| {' | '.join(map(str.rjust, line, widths))} |" for line in lines)
    rule = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    scope = f"The scores are those of {which(found)}; load_results has all trials."
    return "\n".join([sentence(found), "", head, rule, *rest, "", scope])


def data(found: Trials) -> dict[str, Any]:
    """Returns what the script of the page draws of a search, as JSON; a trial is given by its place in the list."""
    across, place = parallel(found), {trial.number: n for n, trial in enumerate(found.trials)}
    keys = len(found.space)
    told, strong = rows(found, found.trials), strengths(found)
    several = len(found.objectives) > 1
    return {
        "sentence": sentence(found),
        "which": which(found),
        "keys": keys,
        "best": [each.best for each in found.objectives],
        "words": across.words,
        "titles": across.titles,
        "ticks": [axis.ticks() for axis in across.axes],
        "beyond": across.beyond,
        "numbers": across.numbers.ticks(),
        "heads": told[0],
        "trials": [
            {
                "number": trial.number,
                "x": across.numbers.place(trial.number),
                "state": trial.state,
                "why": trial.why,
                "cells": cells,
                "places": places,
                "strength": round(strong.get(trial.number, 0.0), 3),
            }
            for trial, cells, places in zip(found.trials, told[1:], across.places, strict=True)
        ],
        "ranked": [place[trial.number] for trial in ranked(found)[: len(complete(found))]],
        "table": [place[trial.number] for trial in ranked(found)[:BEST]],
        "so_far": [] if several else [place[trial.number] for trial in best_so_far(found)],
        "front": [place[trial.number] for trial in front(found)] if several else [],
        "importance": importance(found),
        "unknown": UNKNOWN,
    }
