import numpy as np
import pytest
from scipy.stats import bernoulli, norm

from scaledis.objectives import aggregate_posterior, decomposition, gaussian, likelihood, partition
from tests.objectives.test_aggregate_posterior import posteriors


def test_gaussian_likelihood_in_nats_per_image():
    rng = np.random.default_rng(0)
    output, images = rng.normal(size=(2, 3, 4, 4, 5)).astype(np.float32)
    truth = -norm.logpdf(images, output, 0.7).sum((0, 1, 2))
    np.testing.assert_allclose(likelihood.LIKELIHOODS["gaussian"].nats(output, images, 0.7), truth, rtol=1e-5)


def test_bernoulli_likelihood_in_nats_per_image():
    rng = np.random.default_rng(0)
    output, images = rng.normal(size=(3, 4, 4, 5)).astype(np.float32), rng.integers(0, 2, (3, 4, 4, 5))
    likelihood = likelihood.LIKELIHOODS["bernoulli"]
    truth = -bernoulli.logpmf(images, likelihood.mean(output)).sum((0, 1, 2))
    np.testing.assert_allclose(likelihood.nats(output, images, 1.0), truth, rtol=1e-5)


def test_kl_to_the_standard_normal_by_quadrature():
    z = np.linspace(-12, 12, 20001)
    for mean, log_variance in [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0)]:
        q = norm.pdf(z, mean, np.exp(0.5 * log_variance))
        integrand = q * (norm.logpdf(z, mean, np.exp(0.5 * log_variance)) - norm.logpdf(z))
        truth = np.trapezoid(integrand, z)
        assert float(gaussian.kl_to_standard(mean, log_variance)) == pytest.approx(truth, abs=1e-5)


WEIGHTS = {"weighted": aggregate_posterior.minibatch_weighted, "stratified": aggregate_posterior.minibatch_stratified}


@pytest.mark.parametrize("weights", WEIGHTS)
def test_mutual_information_total_correlation_and_dimension_wise_kl_make_up_the_kl_of_every_sample(weights):
    codes, mean, log_variance = posteriors(9, 6)
    parts = partition.levels((3, 2, 1))
    log_q = aggregate_posterior.log_density(
        codes, mean, log_variance, WEIGHTS[weights](9, 1000), partition.membership(parts)
    )
    split = decomposition.decompose(codes, mean, log_variance, log_q, parts)
    log_ratio = norm.logpdf(codes, mean, np.exp(0.5 * log_variance)) - norm.logpdf(codes)
    whole = split.mutual_information + split.total_correlation + split.dimension_wise
    np.testing.assert_allclose(whole, log_ratio @ parts.T, atol=2e-4)
    total = log_q[:, 0] - log_q[:, 4:].sum(1)
    np.testing.assert_allclose(split.total_correlation.sum(1) + split.inter, total, atol=2e-4)
