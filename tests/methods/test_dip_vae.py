import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.dip_vae import of_codes, of_means
from tests.methods import KEY, arrays, flat, kl_of, make_config, make_posterior

POSTERIOR = flat(make_posterior(batch=40))
HYPERPARAMETERS = arrays(make_config("dip_vae_i", method__off_diagonal=2.0, method__diagonal=3.0))


def whitened(variance):
    """Means whose covariance over the batch is `variance` times the identity, exactly."""
    means = np.random.default_rng(0).normal(size=(40, 6))
    means -= means.mean(0)
    means = means @ np.linalg.inv(np.linalg.cholesky(means.T @ means / 40)).T
    return jnp.asarray(np.sqrt(variance) * means, jnp.float32)


def test_dip_vae_i_is_zero_on_whitened_means():
    posterior = POSTERIOR._replace(mean=whitened(1.0))
    total, terms = of_means(HYPERPARAMETERS, posterior, KEY)
    assert float(total) - kl_of(posterior) == pytest.approx(0, abs=1e-4)
    assert all(0 <= float(term) < 1e-8 for term in terms.values())


def test_dip_vae_ii_is_zero_where_means_and_noise_together_are_whitened():
    posterior = POSTERIOR._replace(mean=whitened(0.75), log_variance=jnp.full((40, 6), jnp.log(0.25)))
    assert float(of_codes(HYPERPARAMETERS, posterior, KEY)[0]) - kl_of(posterior) == pytest.approx(0, abs=1e-4)
    of_means_alone = of_means(HYPERPARAMETERS, posterior, KEY)[1]["covariance_diagonal"]
    assert float(of_means_alone) == pytest.approx(6 * 0.25**2, rel=1e-4)


def test_they_are_the_equations():
    covariance = np.cov(POSTERIOR.mean.T, bias=True)
    for penalty, matrix in [
        (of_means, covariance),
        (of_codes, covariance + np.diag(np.exp(POSTERIOR.log_variance).mean(0))),
    ]:
        off = matrix - np.diag(np.diag(matrix))
        expected = kl_of(POSTERIOR) + 2 * np.square(off).sum() + 3 * np.square(np.diag(matrix) - 1).sum()
        assert float(penalty(HYPERPARAMETERS, POSTERIOR, KEY)[0]) == pytest.approx(expected, rel=1e-5)
