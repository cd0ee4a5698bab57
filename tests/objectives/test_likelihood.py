import numpy as np
import pytest
from scipy.stats import bernoulli, norm

from scaledis.objectives.likelihood import LIKELIHOODS


@pytest.mark.parametrize("name", ["gaussian", "gaussian_learned"])
def test_gaussian_likelihood_in_nats_per_image(name):
    rng = np.random.default_rng(0)
    output, images = rng.normal(size=(2, 3, 4, 4, 5)).astype(np.float32)
    truth = -norm.logpdf(images, output, 0.7).sum((0, 1, 2))
    np.testing.assert_allclose(LIKELIHOODS[name].negative_log_likelihood(output, images, 0.7), truth, rtol=1e-5)
    np.testing.assert_array_equal(LIKELIHOODS[name].mean(np.asarray([-1.0, 0.25, 2.0])), [0, 0.25, 1])
    assert LIKELIHOODS[name].learns_sigma == (name == "gaussian_learned")


def test_bernoulli_likelihood_in_nats_per_image():
    rng = np.random.default_rng(0)
    output, images = rng.normal(size=(3, 4, 4, 5)).astype(np.float32), rng.integers(0, 2, (3, 4, 4, 5))
    likelihood = LIKELIHOODS["bernoulli"]
    truth = -bernoulli.logpmf(images, likelihood.mean(output)).sum((0, 1, 2))
    np.testing.assert_allclose(likelihood.negative_log_likelihood(output, images, 1.0), truth, rtol=1e-5)
    assert not likelihood.learns_sigma


def test_bernoulli_likelihood_of_grey_pixels_is_the_cross_entropy():
    rng = np.random.default_rng(0)
    output, images = rng.normal(size=(1, 2, 2, 3)).astype(np.float32), rng.random((1, 2, 2, 3)).astype(np.float32)
    likelihood = LIKELIHOODS["bernoulli"]
    p = np.asarray(likelihood.mean(output))
    truth = -(images * np.log(p) + (1 - images) * np.log(1 - p)).sum((0, 1, 2))
    np.testing.assert_allclose(likelihood.negative_log_likelihood(output, images, 1.0), truth, rtol=1e-5)
