import numpy as np
import pytest
from scipy.stats import norm

from scaledis.objectives import aggregate_posterior, decomposition, partition
from tests.objectives import ALLOCATION, WEIGHTS, posteriors

PARTS = partition.levels(ALLOCATION)


def split(weights):
    batch = posteriors(9, 6)
    log_weights = WEIGHTS[weights](9, 1000)
    log_q = aggregate_posterior.log_density(*batch, log_weights, partition.membership(PARTS))
    return batch, log_q, decomposition.decompose(*batch, log_q, PARTS)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_mutual_information_total_correlation_and_dimension_wise_kl_make_up_the_kl_of_every_sample(weights):
    (codes, mean, log_variance), log_q, found = split(weights)
    log_ratio = norm.logpdf(codes, mean, np.exp(0.5 * log_variance)) - norm.logpdf(codes)
    whole = found.mutual_information + found.total_correlation + found.dimension_wise
    np.testing.assert_allclose(whole, log_ratio @ PARTS.T, atol=2e-4)
    total = log_q[:, 0] - log_q[:, 4:].sum(1)
    np.testing.assert_allclose(found.total_correlation.sum(1) + found.inter, total, atol=2e-4)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_each_term_is_its_own_ratio_of_densities(weights):
    """Eq. 9 and 11 from the table of log densities: all units, three levels, six units."""
    (codes, mean, log_variance), log_q, found = split(weights)
    log_q, own = np.asarray(log_q), norm.logpdf(codes, mean, np.exp(0.5 * log_variance))
    units = [[0, 1, 2], [3, 4], [5]]
    for level, members in enumerate(units):
        of_units = log_q[:, [4 + unit for unit in members]].sum(1)
        of_level = log_q[:, 1 + level]
        for term, expected in [
            (found.mutual_information, own[:, members].sum(1) - of_level),
            (found.total_correlation, of_level - of_units),
            (found.dimension_wise, of_units - norm.logpdf(codes[:, members]).sum(1)),
        ]:
            np.testing.assert_allclose(term[:, level], expected, atol=2e-4)
    np.testing.assert_allclose(found.inter, log_q[:, 0] - log_q[:, 1:4].sum(1), atol=2e-4)
