"""The estimators of the minibatch alone, on codes whose dependences are known."""

import numpy as np
import pytest

from scaledis.objectives import aggregate_posterior, partition
from tests.estimators import ACROSS, WITHIN, error, estimate, make, seen
from tests.objectives import ALLOCATION, posteriors

WEIGHTS = {
    "minibatch_weighted": aggregate_posterior.minibatch_weighted,
    "minibatch_stratified": aggregate_posterior.minibatch_stratified,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_they_agree_with_the_closed_form(name):
    np.testing.assert_allclose(estimate(name, 256), [WITHIN, ACROSS], atol=0.03)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_bias_shrinks_as_the_batch_grows(name):
    errors = [error(name, batch) for batch in (16, 64, 256)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("name", WEIGHTS)
def test_they_are_mixtures_of_the_batch_whose_weights_sum_to_one_and_carry_nothing(name):
    batch, parts = posteriors(7, 6), partition.levels(ALLOCATION)
    estimator = make(name, 7, 1000, allocation=ALLOCATION)
    weights = np.exp(WEIGHTS[name](7, 1000))
    log_weights = np.log(weights / weights.sum(1, keepdims=True))
    expected = aggregate_posterior.log_density(*batch, log_weights, partition.membership(parts))
    np.testing.assert_allclose(estimator.log_density((), seen(*batch), parts), expected, rtol=1e-5, atol=1e-5)
    assert estimator.init(None, parts) == () and estimator.update((), seen(*batch), parts, None) == ((), {})
