"""The posteriors of the minibatch alone, weighted (Beyond Flat Latent, Eq. 12) or stratified (Chen et al. 2018)."""

import numpy as np

from scaledis.estimators.setting import Setting
from scaledis.objectives import aggregate_posterior, partition
from scaledis.types import Estimator


def make_of_batch(log_weights: np.ndarray) -> Estimator:
    """The estimator of log weights [B, B] over the batch; it carries nothing."""
    log_weights = aggregate_posterior.normalize(log_weights)
    return Estimator(
        init=lambda key, parts: (),
        log_density=lambda extra, codes, mean, log_variance, parts: aggregate_posterior.log_density(
            codes, mean, log_variance, log_weights, partition.membership(parts)
        ),
        update=lambda extra, codes, mean, log_variance, parts, key: (extra, {}),
    )


def make_weighted(setting: Setting) -> Estimator:
    """1 / (B N) each (the paper's, Eq. 12)."""
    return make_of_batch(aggregate_posterior.minibatch_weighted(setting.batch, setting.size))


def make_stratified(setting: Setting) -> Estimator:
    """1 / N for the own posterior, the rest shared evenly: unbiased in q, noisier."""
    return make_of_batch(aggregate_posterior.minibatch_stratified(setting.batch, setting.size))


ESTIMATORS = {"minibatch_weighted": make_weighted, "minibatch_stratified": make_stratified}
