"""The settings of a search: the number of trials, the sampler, the objectives and the space.

--search=optuna:200,sampler:tpe,seed:0,batch:16 --objective=dci/disentanglement --space=method.beta=log:1..64
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scaledis.core import UserError, registry
from scaledis.search import samplers
from scaledis.search.space import Range
from scaledis.sweeps.aim import Aim
from scaledis.sweeps.aim import parse as parse_aim

KEY = "search"  # the key of config.json that keeps them
OBJECTIVE = "--objective"
BACKENDS = ("optuna",)
MOST = 1_000_000  # trials


class Settings(NamedTuple):
    """The settings of a search.

    trials: their number at the end of the search.
    objectives: the numbers that the search maximizes or minimizes.
    space: the range of each key.
    sampler: one of `samplers.SAMPLERS`.
    seed: that of the sampler.
    batch: the number of trials that are proposed at once; 0 for as many as a population holds.
    """

    trials: int
    objectives: Sequence[Aim]
    space: Mapping[str, Range]
    sampler: str = "tpe"
    seed: int = 0
    batch: int = 0

    def record(self) -> dict[str, Any]:
        """Returns the settings as JSON holds them."""
        words = {"objectives": [str(each) for each in self.objectives]}
        return self._asdict() | words | {"space": {key: str(each) for key, each in self.space.items()}}


def parse(text: str, objectives: Sequence[str], space: Mapping[str, Range]) -> Settings:
    """Returns the settings of "optuna:200" or "optuna:200,sampler:quasi,seed:3,batch:16".

    Raises UserError for anything else, and for an objective that is given twice.
    """
    backend, *others = text.split(",")
    found = re.fullmatch(r"([a-z]+):(\d{1,6})", backend, re.ASCII)
    if not found:
        raise UserError(f"--search: {registry.short(text)} must be optuna and a number of trials, such as optuna:200.")
    registry.check("--search", found[1], BACKENDS)
    options: dict[str, Any] = {}
    for each in others:
        key, _, value = each.partition(":")
        registry.check("--search: option", key, ("sampler", "seed", "batch"))
        options[key] = int(value) if re.fullmatch(r"\d{1,9}", value, re.ASCII) else value
    return make(int(found[2]), objectives, space, **options)


def make(
    trials: int,
    objectives: Sequence[str],
    space: Mapping[str, Range],
    sampler: str = "tpe",
    seed: int = 0,
    batch: int = 0,
) -> Settings:
    """Returns the settings of a search. Raises UserError for invalid numbers, samplers or objectives."""
    for key, value, least in (("trials", trials, 1), ("seed", seed, 0), ("batch", batch, 0)):
        if type(value) is not int or not least <= value <= MOST:
            raise UserError(
                f"--search: {key} of {registry.short(value)} must be a whole number from {least} to {MOST:,}."
            )
    registry.check("--search: sampler", sampler, samplers.SAMPLERS)
    if not objectives:
        known = "such as dci/disentanglement, or without factors udr with --seeds=3"
        raise UserError(f"--objective: missing; give a score, {known}.")
    looked_for = [parse_aim(OBJECTIVE, each) for each in objectives]
    if len({each.by for each in looked_for}) < len(looked_for):
        raise UserError(f"--objective: {', '.join(each.by for each in looked_for)} has one twice.")
    return Settings(trials, looked_for, space, sampler, seed, batch)


def check_same(there: Mapping[str, Any] | None, here: Settings | None) -> None:
    """Raises UserError if a work directory was begun with another search, or if only one of both is a search.

    Searches that differ only in the number of trials are the same.
    """
    one, other = (_compared(each) for each in (there, here and here.record()))
    if one != other:
        keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
        words = "; ".join(f"{key} is {one.get(key, 'none')} there and {other.get(key, 'none')} here" for key in keys)
        raise UserError(f"--search: the directory holds another search: {words}; take another workdir.")


def _compared(record: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (record or {}).items() if key != "trials"}
