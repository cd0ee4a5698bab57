"""Aims: a number that runs or states are compared by, and whether the largest or the least is the best."""

from typing import NamedTuple

from scaledis.core import UserError, registry
from scaledis.sweeps.starts import BEST


class Aim(NamedTuple):
    """A number to maximize or to minimize.

    by: a number of the log, or a score, which has a slash in its name; for a search also a criterion.
    best: "max" or "min".
    """

    by: str
    best: str

    def __str__(self) -> str:
        return f"{self.by}:{self.best}"

    def better(self, new: float | None, old: float | None) -> bool:
        """Returns whether a number takes the place of an older one: an equal one does not, and None never does."""
        if new is None or old is None:
            return new is not None
        return new > old if self.best == "max" else new < old


def is_score(by: str) -> bool:
    """Returns whether a name is that of a score, which has a slash; else it is a number of the log, or a criterion."""
    return "/" in by


def parse(key: str, text: str) -> Aim:
    """Returns the aim of "elbo_nats", "loss_nats:min" or "dci/disentanglement". Raises UserError, naming `key`."""
    by, colon, best = text.partition(":")
    if not by or (colon and best not in BEST):
        raise UserError(
            f"{key}: {registry.short(text)} must be a number of the log or a score, with :min behind it where the "
            "least is the best, such as elbo_nats, loss_nats:min or dci/disentanglement."
        )
    return Aim(by, best or BEST[0])
