"""What the tests of the estimators share: Gaussian codes whose dependences are known in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from scaledis.config import Config, Discriminator, Model, Objective, Train
from scaledis.methods import estimators
from scaledis.objectives import partition
from scaledis.types import Estimator, ImageSpec, Posterior

COUNT, NOISE, STEPS = 480_000, 0.2, 60
ALLOCATION = (2, 1)
PARTS = partition.levels(ALLOCATION)
MEANS = 0.8 * np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])  # covariance of the posterior means


def total_correlation(covariance: np.ndarray) -> float:
    scale = np.sqrt(np.diag(covariance))
    return -0.5 * np.linalg.slogdet(covariance / np.outer(scale, scale))[1]


CODES = MEANS + NOISE * np.eye(3)
WITHIN = total_correlation(CODES[:2, :2])
ACROSS = total_correlation(CODES) - WITHIN


def make(name: str, batch: int, size: int = COUNT, bank: int = 1, allocation=ALLOCATION, **learns) -> Estimator:
    """An estimator of a data set of `size` images; `learns` are the keys of its discriminator."""
    settings = Objective(bank=bank), Discriminator(**learns)
    config = Config(model=Model(allocation), train=Train(batch=batch), objective=settings[0], discriminator=settings[1])
    return estimators.make(name, config, ImageSpec((16, 16, 3), size))


def seen(codes, mean, log_variance, number=None) -> Posterior:
    """A batch as an estimator sees it; by default of images that it sees for the first time."""
    number = jnp.arange(len(codes), dtype=jnp.int32) if number is None else number
    return Posterior(codes, mean, log_variance, PARTS, number)


@functools.cache
def estimate(name: str, batch: int, bank: int = 1) -> np.ndarray:
    """Mean dependence within the upper level and across the levels, over batches seen once the bank is full."""
    estimator = make(name, batch, bank=bank)
    rows, root = partition.contrasts(PARTS), np.linalg.cholesky(MEANS).astype(np.float32)

    def step(extra, drawn):
        key, number = drawn
        of_mean, of_noise = jax.random.split(key)
        mean = jax.random.normal(of_mean, (batch, 3)) @ root.T
        codes = mean + np.sqrt(NOISE) * jax.random.normal(of_noise, (batch, 3))
        posterior = seen(codes, mean, jnp.full((batch, 3), np.log(NOISE)), number)
        table = estimator.log_density(extra, posterior, PARTS)
        extra, _ = estimator.update(extra, posterior, PARTS, key)
        return extra, (partition.combine(table, rows.intra).mean(0)[0], partition.combine(table, rows.inter).mean())

    filling = -(-bank // batch)
    keys = jax.random.split(jax.random.key(1), STEPS + filling)
    drawn = keys, jnp.arange(len(keys) * batch, dtype=jnp.int32).reshape(-1, batch)  # every image is another one
    values = jax.jit(lambda: jax.lax.scan(step, estimator.init(jax.random.key(0), PARTS), drawn)[1])()
    return np.asarray([value[filling:].mean() for value in values])


def error(name: str, batch: int, bank: int = 1) -> float:
    """How far the two dependences are from the closed form."""
    return float(np.abs(estimate(name, batch, bank) - [WITHIN, ACROSS]).sum())
