"""Trials: the settings that a search has tried, with their states and values.

trials.json    {"search": its settings, "importance": .., "trials": {number: trial}}, sealed

The search writes the file whenever its study changes; tables and the page read the file, and so do not need Optuna.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scaledis.core import UserError
from scaledis.core.files import read_json, write_lines
from scaledis.sweeps.aim import Aim

STATES = ("running", "complete", "pruned", "failed")
KEYS = ("search", "importance", "trials")


class Trial(NamedTuple):
    """A setting that was tried.

    number: from 0, in the order in which trials were begun.
    state: one of `STATES`; a pruned trial was dropped at a rung or diverged, a failed one could not run.
    params: the value of each key of the space, by dotted key.
    runs: the names of its runs; [] if it could not run.
    values: one for each objective, the mean over the runs that went on; [] unless the trial is complete.
    why: the reason why a trial failed or was pruned, else "".
    batch: the number of the first trial of its batch.
    shard: the shard that trains it.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    runs: Sequence[str] = ()
    values: Sequence[float] = ()
    why: str = ""
    batch: int = 0
    shard: int = 0


class Trials(NamedTuple):
    """All that a work directory keeps of its search.

    objectives: one, or several with a Pareto front.
    space: the text of each key's range, such as {"method.beta": "log:1..64"}.
    trials: in the order of their numbers.
    importance: for each objective by its name the share of its variance that each key explains, largest first; {} until
      enough trials are complete.
    """

    objectives: Sequence[Aim]
    space: Mapping[str, str]
    trials: Sequence[Trial] = ()
    importance: Mapping[str, Mapping[str, float]] = {}

    @property
    def of_run(self) -> dict[str, Trial]:
        """The trial of each run."""
        return {name: trial for trial in self.trials for name in trial.runs}


def read(path: Path) -> Trials | None:
    """Returns the content of the file; None without one. Raises UserError if it is damaged."""
    if not path.exists():
        return None
    held = read_json(path, *KEYS, needs_seal=True)
    try:
        objectives = [Aim(*each) for each in held["search"]["objectives"]]
        trials = [Trial(int(number), **each) for number, each in held["trials"].items()]
        found = Trials(objectives, dict(held["search"]["space"]), trials, dict(held["importance"]))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}.") from error
    for trial in trials:
        if trial.state not in STATES or len(trial.values) != (len(objectives) if trial.state == "complete" else 0):
            raise UserError(f"{path} is damaged: trial {trial.number} has a state or values that no trial has.")
    return found


def write(path: Path, found: Trials) -> None:
    """Writes all trials, sealed."""
    trials = {str(each.number): {k: v for k, v in each._asdict().items() if k != "number"} for each in found.trials}
    search = {"objectives": list(found.objectives), "space": dict(found.space)}
    write_lines(path, {"search": search, "importance": dict(found.importance), "trials": trials})
