"""Which runs of a report are seeds of one setting, and what it is called."""

from collections import Counter
from collections.abc import Mapping, Sequence

from scaledis.config import differing
from scaledis.report import search
from scaledis.report.summary import shown
from scaledis.sweeps import starts
from scaledis.types import Run
from scaledis.workdir.trials import Trials

OF_SEEDS = ("seed", starts.KEY)  # keys in which runs of one setting differ


def of_runs(runs: Sequence[Run]) -> dict[str, str]:
    """{run: the name of its setting}: the method, then the keys in which settings differ, each with its value.

    Runs that differ only in the seed, or in the start that went on, share a setting. A key of a method counts only if
    the runs of the method differ.
    """
    columns = {key: each for key, each in differing(run.config for run in runs).items() if key not in OF_SEEDS}
    common = sorted(key for key in columns if not key.startswith("method."))
    places: dict[str, list[int]] = {}  # method -> its runs
    for place, run in enumerate(runs):
        places.setdefault(run.config.method.name, []).append(place)
    names = {}
    for method, members in places.items():
        own = [key for key in columns if key.startswith("method.") and key != "method.name"]
        keys = [*common, *(key for key in own if len({columns[key][place] for place in members}) > 1)]
        for place in members:
            words = [f"{key.rpartition('.')[2]}={shown(columns[key][place])}" for key in keys]
            names[runs[place].name] = ", ".join([method, *words])
    return names


def of_trials(runs: Sequence[Run], tried: Trials) -> dict[str, str]:
    """{run: the name of its trial} of those trials of a search that are shown (`search.shown`), in their order."""
    names = {run.name for run in runs}
    return {name: trial for name, trial in search.settings(tried).items() if name in names}


def undecided(runs: Sequence[Run], settings: Mapping[str, str]) -> dict[str, str]:
    """{run: its start in words} of the runs that stand beside another start of the same setting and seed."""
    beside: dict[tuple[str, int], dict[str, int]] = {}
    for run in runs:
        if run.name in settings:
            beside.setdefault((settings[run.name], run.config.seed), {})[run.name] = run.config.train.start
    several = [each for each in beside.values() if len({*each.values()}) > 1]
    return {name: f", undecided start {start}" for each in several for name, start in each.items()}


def first_seeds(settings: Mapping[str, str], count: int) -> set[str]:
    """The names of the first `count` runs by seed."""
    seen: Counter[str] = Counter()
    rank = {}
    for name, setting in settings.items():
        rank[name] = seen[setting]
        seen[setting] += 1
    return set(sorted(rank, key=rank.__getitem__)[:count])
