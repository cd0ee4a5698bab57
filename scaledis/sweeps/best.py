"""The number by which the best state of a run is kept beside the newest ones, `train.keep_best`."""

from collections.abc import Sequence
from typing import NamedTuple

from scaledis import metrics
from scaledis.config import Config
from scaledis.core import UserError, registry
from scaledis.datasets import Dataset
from scaledis.sweeps.starts import BEST

KEY = "train.keep_best"


class Criterion(NamedTuple):
    """What states of a run are compared by.

    by: a number of the log, or a score, which has a slash in its name.
    best: "max" or "min".
    """

    by: str
    best: str

    def __str__(self) -> str:
        return f"{self.by}:{self.best}"

    @property
    def is_score(self) -> bool:
        return "/" in self.by

    def better(self, new: float | None, old: float | None) -> bool:
        """Returns whether a number takes the place of an older one: an equal one does not, and None never does."""
        if new is None or old is None:
            return new is not None
        return new > old if self.best == "max" else new < old


def parse(text: str) -> Criterion:
    """Returns the criterion of "elbo_nats", "loss_nats:min" or "dci/disentanglement". Raises UserError for others."""
    by, colon, best = text.partition(":")
    if not by or (colon and best not in BEST):
        raise UserError(
            f"{KEY}: {registry.short(text)} must be a number of the log or a score, with :min behind it where the "
            "least is the best, such as elbo_nats, loss_nats:min or dci/disentanglement."
        )
    return Criterion(by, best or BEST[0])


def check(config: Config) -> None:
    """Raises UserError for no criterion, and for a score that is not computed while a run trains.

    A score is one that its metric declares. Which numbers the log has is known once the method is built (`check_log`).
    """
    if not config.train.keep_best or not (wanted := parse(config.train.keep_best)).is_score:
        return
    if not config.train.evaluate_every:
        raise UserError(f"{KEY}: the score {wanted.by} needs train.evaluate_every, the steps between scores.")
    own = [metric for metric in config.evaluate.metrics if metric in metrics.names()]
    registry.check(KEY, wanted.by, [f"{name}/{score}" for name in own for score in metrics.spec(name).with_chance])


def check_log(config: Config, terms: Sequence[str], dataset: Dataset) -> None:
    """Raises UserError for a number that is none of the `terms` of a step, and for a score of data without factors."""
    wanted = parse(config.train.keep_best)
    if not wanted.is_score:
        registry.check(KEY, wanted.by, terms)
    elif not dataset.factor_names:
        found = f"{wanted.by} is a score, and {dataset.name} has no factors"
        raise UserError(f"{KEY}: {found}; take a number of the log: {registry.listed(terms)}.")
