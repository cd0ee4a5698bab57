"""What a metric declares about its scores."""

from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

ROWS, TEST_ROWS, VOTES = "all rows", "test rows", "test votes"  # what the bootstrap draws
COMPONENT, JOINT = "first principal component", "summed importances"  # what stands for a group of units
PER_FIT = 4  # a metric that fits models takes one permutation in so many


class Spec(NamedTuple):
    """The declaration of a metric, `SPEC` in its module; a module without one declares the defaults.

    Attributes:
        scores: the scores that lie in [0, 1], the headline first; each has a chance level.
        chance: {score: level} for a level in closed form, {score: None} for one by permutations of a score that is not
            among `scores`.
        fits: whether the metric fits models, and so takes a quarter of the permutations.
        ratios: the scores that are None where no unit knows more of any factor than by chance.
        intervals: {score: what the bootstrap draws}, `ROWS`, `TEST_ROWS` or `VOTES`, for the scores that have an
            interval.
        groups: what stands for a group of units, `COMPONENT` or `JOINT`: the metric gets the first principal component
            of each group in its place, or the groups as its argument `groups`; None: the metric takes no groups.
    """

    scores: tuple[str, ...] = ()
    chance: Mapping[str, float | None] = {}
    fits: bool = False
    ratios: tuple[str, ...] = ()
    intervals: Mapping[str, str] = {}
    groups: str | None = None

    @property
    def with_chance(self) -> list[str]:
        """The scores that have a chance level."""
        return list(dict.fromkeys([*self.scores, *self.chance]))

    def permutations(self, chance: int) -> int:
        """The number of permutations that the metric takes where a user asks for `chance`."""
        if not self.with_chance:
            return 0
        return -(-chance // PER_FIT) if self.fits else chance


def spec_of(metric: ModuleType) -> Spec:
    """The declaration of the module of a metric."""
    spec: Spec = getattr(metric, "SPEC", Spec())
    return spec
