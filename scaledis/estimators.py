"""The estimators of the aggregate posterior, by name: `config.objective.estimator`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from scaledis import aggregate, density_ratio
from scaledis.aggregate import Estimator

if TYPE_CHECKING:
    from scaledis.config import Config


def minibatch_weighted(config: "Config", size: int) -> Estimator:
    """1 / (B N) each (the paper's, Eq. 12)."""
    return aggregate.of_batch(aggregate.minibatch_weighted(config.train.batch, size))


def minibatch_stratified(config: "Config", size: int) -> Estimator:
    """1 / N for the own posterior, the rest shared evenly: unbiased in q, noisier."""
    return aggregate.of_batch(aggregate.minibatch_stratified(config.train.batch, size))


def memory_bank(config: "Config", size: int) -> Estimator:
    """Stratified, over the batch and the posteriors of the last `objective.bank` images."""
    return aggregate.memory_bank(config.train.batch, size, config.objective.bank)


ESTIMATORS: dict[str, Callable[["Config", int], Estimator]] = {
    "minibatch_weighted": minibatch_weighted,
    "minibatch_stratified": minibatch_stratified,
    "memory_bank": memory_bank,
    "density_ratio": density_ratio.estimator,
}
