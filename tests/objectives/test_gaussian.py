import numpy as np
import pytest
from scipy.stats import norm

from scaledis.objectives import gaussian


def test_the_log_density_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    x, mean, log_variance = rng.normal(size=(3, 5, 4)).astype(np.float32)
    expected = norm.logpdf(x, mean, np.exp(0.5 * log_variance))
    np.testing.assert_allclose(gaussian.log_density(x, mean, log_variance), expected, rtol=1e-5, atol=1e-5)


def test_kl_to_the_standard_normal_by_quadrature():
    z = np.linspace(-12, 12, 20001)
    for mean, log_variance in [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0)]:
        q = norm.pdf(z, mean, np.exp(0.5 * log_variance))
        integrand = q * (norm.logpdf(z, mean, np.exp(0.5 * log_variance)) - norm.logpdf(z))
        truth = np.trapezoid(integrand, z)
        assert float(gaussian.kl_to_standard(mean, log_variance)) == pytest.approx(truth, abs=1e-5)
