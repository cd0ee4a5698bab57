"""What the tests of the objectives share: a batch of posteriors with a code of each, without any network."""

import numpy as np

from scaledis.objectives import aggregate_posterior

ALLOCATION = (3, 2, 1)
WEIGHTS = {"weighted": aggregate_posterior.minibatch_weighted, "stratified": aggregate_posterior.minibatch_stratified}


def posteriors(batch: int, units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """codes, mean and log_variance, each [batch, units]."""
    rng = np.random.default_rng(seed)
    mean, log_variance = rng.normal(size=(batch, units)), rng.normal(-1.5, 0.7, (batch, units))
    codes = mean + np.exp(0.5 * log_variance) * rng.normal(size=mean.shape)
    return tuple(array.astype(np.float32) for array in (codes, mean, log_variance))
