import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.methods.dip_vae import of_codes, of_means
from tests.methods import KEY, arrays, config, flat, inference

SEEN = flat(inference(batch=40))
KL = float(SEEN.kl.sum(1).mean())
HYPERPARAMETERS = arrays(config("dip_vae_i", method__off_diagonal=2.0, method__diagonal=3.0))


def whitened(variance):
    """Means whose covariance over the batch is `variance` times the identity, exactly."""
    means = np.random.default_rng(0).normal(size=(40, 6))
    means -= means.mean(0)
    means = means @ np.linalg.inv(np.linalg.cholesky(means.T @ means / 40)).T
    return jnp.asarray(np.sqrt(variance) * means, jnp.float32)


def test_dip_vae_i_is_zero_on_whitened_means():
    seen = SEEN._replace(mean=whitened(1.0))
    total, terms = of_means(HYPERPARAMETERS, seen, KEY)
    assert float(total - seen.kl.sum(1).mean()) == pytest.approx(0, abs=1e-4)
    assert all(float(term) < 1e-8 for term in terms.values())


def test_dip_vae_ii_is_zero_where_means_and_noise_together_are_whitened():
    seen = SEEN._replace(mean=whitened(0.75), log_variance=jnp.full((40, 6), jnp.log(0.25)))
    assert float(of_codes(HYPERPARAMETERS, seen, KEY)[0] - seen.kl.sum(1).mean()) == pytest.approx(0, abs=1e-4)
    assert float(of_means(HYPERPARAMETERS, seen, KEY)[1]["covariance_diagonal"]) == pytest.approx(6 * 0.25**2, rel=1e-4)


def test_they_are_the_equations():
    covariance = np.cov(SEEN.mean.T, bias=True)
    for penalty, matrix in [
        (of_means, covariance),
        (of_codes, covariance + np.diag(np.exp(SEEN.log_variance).mean(0))),
    ]:
        off = matrix - np.diag(np.diag(matrix))
        expected = KL + 2 * np.square(off).sum() + 3 * np.square(np.diag(matrix) - 1).sum()
        assert float(penalty(HYPERPARAMETERS, SEEN, KEY)[0]) == pytest.approx(expected, rel=1e-5)
