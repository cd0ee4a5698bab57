"""What an estimator is made for."""

from typing import NamedTuple


class Setting(NamedTuple):
    """The arguments of every estimator; each reads those that it needs.

    batch: B, codes of a step.
    size: N, images of the data set.
    allocation: units of each level, top to bottom.
    bank: posteriors to remember.
    features, layers, learning_rate: of discriminators.
    """

    batch: int
    size: int
    allocation: tuple[int, ...]
    bank: int = 4096
    features: int = 1000
    layers: int = 6
    learning_rate: float = 1e-4
