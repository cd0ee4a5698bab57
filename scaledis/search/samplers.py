"""Samplers: which setting a search tries next, as a function of the trials so far, a seed, and the trial's number.

So a search that was stopped continues as if it had not been stopped, and no state of a sampler needs to be kept.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import qmc

from scaledis.core import UserError
from scaledis.search.space import Range, Space

Study = Any  # of Optuna, whose library may be missing
Params = dict[str, Any]  # the value of each key


class Question(NamedTuple):
    """The arguments of a sampler.

    study: the study with all trials so far; a sampler does not change it.
    space: the range of each key.
    seed: that of the search.
    number: that of the trial.
    """

    study: Study
    space: Space
    seed: int
    number: int

    @property
    def own_seed(self) -> int:
        """A seed of this trial's own."""
        return int(np.random.SeedSequence([self.seed, self.number]).generate_state(1)[0])


def tpe(asked: Question) -> Params:
    """Returns what the tree-structured Parzen estimator proposes (Bergstra et al. 2011; Optuna's, multivariate).

    Trials that still run count as poor ones, so that the trials of a batch spread over the space.
    """
    library = optuna()
    sampler = library.samplers.TPESampler(seed=asked.own_seed, multivariate=True, constant_liar=True)
    beside = library.create_study(directions=asked.study.directions, sampler=sampler)  # in memory: it leaves no trace
    beside.add_trials(asked.study.get_trials(deepcopy=False))
    held = beside.ask(distributions(asked.space)).params
    return {key: given(each, held[key]) for key, each in asked.space.items()}


def random(asked: Question) -> Params:
    """Returns a setting at random."""
    return _at(asked.space, np.random.default_rng(asked.own_seed).random(len(asked.space)))


def quasi(asked: Question) -> Params:
    """Returns a point of a scrambled Sobol sequence, whose points fill the space evenly."""
    sequence = qmc.Sobol(len(asked.space), rng=asked.seed)
    return _at(asked.space, (sequence.fast_forward(asked.number) if asked.number else sequence).random(1)[0])


def _at(space: Space, shares: np.ndarray) -> Params:
    """Returns the values at shares [K] of the ranges."""
    return {key: each.at(float(share)) for (key, each), share in zip(space.items(), shares, strict=True)}


SAMPLERS: Mapping[str, Callable[[Question], Params]] = {"tpe": tpe, "random": random, "quasi": quasi}


def optuna() -> Any:
    """Returns Optuna, which reports errors only. Raises UserError if it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("--search: optuna needs Optuna; pip install scaledis[search].") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def distributions(space: Space) -> dict[str, Any]:
    """Returns the ranges as Optuna's distributions."""
    kinds = optuna().distributions
    makes: Mapping[str, Callable[..., Any]] = {
        "uniform": kinds.FloatDistribution,
        "log": lambda low, high: kinds.FloatDistribution(low, high, log=True),
        "int": kinds.IntDistribution,
        "logint": lambda low, high: kinds.IntDistribution(low, high, log=True),
        "choice": lambda *values: kinds.CategoricalDistribution([str(each) for each in values]),
    }
    return {key: makes[each.kind](*each.bounds) for key, each in space.items()}


def kept(range_: Range, value: Any) -> Any:
    """Returns a value as a study keeps it: a choice as its text, since Optuna takes no tuples."""
    return str(value) if range_.kind == "choice" else value


def given(range_: Range, value: Any) -> Any:
    """Returns a value of a study as the config takes it: the choice that the text stands for."""
    return {str(each): each for each in range_.bounds}[value] if range_.kind == "choice" else value
