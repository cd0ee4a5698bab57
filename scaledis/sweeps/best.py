"""The number by which the best state of a run is kept beside the newest ones, `train.keep_best`."""

from collections.abc import Sequence

from scaledis import metrics
from scaledis.config import Config
from scaledis.core import UserError, registry
from scaledis.datasets import Dataset
from scaledis.sweeps.aim import Aim, is_score, parse

KEY = "train.keep_best"


def of(config: Config) -> Aim:
    """Returns the aim of a config that keeps its best states. Raises UserError for a text that is no aim."""
    return parse(KEY, config.train.keep_best)


def check(config: Config) -> None:
    """Raises UserError for a text that is no aim, and for a score that is not computed while a run trains.

    A score must be one that its metric declares. Numbers of the log are checked once the method is built (`check_log`).
    """
    if not config.train.keep_best or not is_score((wanted := of(config)).by):
        return
    if not config.train.evaluate_every:
        raise UserError(f"{KEY}: the score {wanted.by} needs train.evaluate_every, the steps between scores.")
    own = [metric for metric in config.evaluate.metrics if metric in metrics.names()]
    registry.check(KEY, wanted.by, [f"{name}/{score}" for name in own for score in metrics.spec(name).with_chance])


def check_log(config: Config, terms: Sequence[str], dataset: Dataset) -> None:
    """Raises UserError for a number that is none of the `terms` of a step, and for a score of data without factors."""
    wanted = of(config)
    if not is_score(wanted.by):
        registry.check(KEY, wanted.by, terms)
    elif not dataset.factor_names:
        found = f"{wanted.by} is a score, and {dataset.name} has no factors"
        raise UserError(f"{KEY}: {found}; take a number of the log: {registry.listed(terms)}.")
