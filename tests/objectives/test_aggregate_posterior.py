import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, qmc

from scaledis.objectives import aggregate_posterior, partition

ALLOCATION = (3, 2, 1)
WEIGHTS = {"weighted": aggregate_posterior.minibatch_weighted, "stratified": aggregate_posterior.minibatch_stratified}


def posteriors(batch: int, units: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    mean, log_variance = rng.normal(size=(batch, units)), rng.normal(-1.5, 0.7, (batch, units))
    codes = mean + np.exp(0.5 * log_variance) * rng.normal(size=mean.shape)
    return tuple(array.astype(np.float32) for array in (codes, mean, log_variance))


def oracle(codes, mean, log_variance, log_weights, membership):
    """Eq. 12 as three loops."""
    result = np.zeros((len(codes), len(membership)))
    for i in range(len(codes)):
        for g, group in enumerate(membership):
            terms = []
            for j in range(len(mean)):
                log_q = norm.logpdf(codes[i], mean[j], np.exp(0.5 * log_variance[j]))
                terms.append(log_weights[i, j] + log_q[group > 0].sum())
            result[i, g] = logsumexp(terms)
    return result


@pytest.mark.parametrize("block", [1, 5, 7, 64])
@pytest.mark.parametrize("estimator", WEIGHTS)
def test_log_density_is_the_weighted_mixture_of_posteriors(block, estimator):
    batch = posteriors(7, 6)
    log_weights = WEIGHTS[estimator](7, 1000)
    membership = partition.membership(partition.levels(ALLOCATION))
    found = aggregate_posterior.log_density(*batch, log_weights, membership, block=block)
    np.testing.assert_allclose(found, oracle(*batch, log_weights, membership), rtol=1e-4)


def test_gradients_do_not_depend_on_the_block():
    batch, membership = posteriors(10, 6), partition.membership(partition.levels(ALLOCATION))
    weights = np.random.default_rng(1).normal(size=(10, len(membership)))

    def loss(batch, block):
        log_weights = aggregate_posterior.minibatch_weighted(10, 1000)
        return jnp.sum(weights * aggregate_posterior.log_density(*batch, log_weights, membership, block=block))

    whole, blocked = jax.grad(loss)(batch, 10), jax.grad(loss)(batch, 3)
    for a, b in zip(whole, blocked, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_no_array_of_the_size_batch_batch_units_is_held():
    batch, units, block = 2048, 10, 128
    membership = partition.membership(partition.levels((4, 2, 2, 2)))
    spec = jax.ShapeDtypeStruct((batch, units), jnp.float32)

    def loss(codes, mean, log_variance):
        log_weights = aggregate_posterior.minibatch_weighted(batch, 480_000)
        return aggregate_posterior.log_density(codes, mean, log_variance, log_weights, membership, block=block).sum()

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(spec, spec, spec).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * batch * batch * units  # holds [B, B] weights, not more


def test_weights_of_the_paper_and_of_stratified_sampling():
    np.testing.assert_allclose(
        np.exp(aggregate_posterior.minibatch_weighted(4, 100)), np.full((4, 4), 1 / 400), rtol=1e-6
    )
    stratified = np.exp(aggregate_posterior.minibatch_stratified(4, 100))
    np.testing.assert_allclose(np.diag(stratified), 1 / 100, rtol=1e-6)
    np.testing.assert_allclose(stratified.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(stratified[0, 1:], (1 - 1 / 100) / 3, rtol=1e-6)
    np.testing.assert_allclose(np.exp(aggregate_posterior.exact(50)), 1 / 50, rtol=1e-6)


def test_stratified_sampling_is_unbiased_and_weighted_sampling_is_not():
    """Mean over many batches that hold x_0 of the estimate of q(z_0), against the mixture over the whole data set."""
    size, batch, batches = 60, 4, 4000
    codes, mean, log_variance = posteriors(size, 1)
    membership = np.ones((1, 1), np.float32)
    truth = np.exp(
        aggregate_posterior.log_density(codes[:1], mean, log_variance, aggregate_posterior.exact(size), membership)
    )[0, 0]
    rng = np.random.default_rng(2)
    others = np.stack([rng.choice(np.arange(1, size), batch - 1, replace=False) for _ in range(batches)])
    index = np.concatenate([np.zeros((batches, 1), int), others], axis=1)

    def estimate(log_weights):
        density = jax.vmap(
            lambda mean, log_variance: aggregate_posterior.log_density(
                codes[:1], mean, log_variance, log_weights[:1], membership
            )
        )
        return np.exp(density(mean[index], log_variance[index])).mean()

    assert estimate(aggregate_posterior.minibatch_stratified(batch, size)) == pytest.approx(truth, rel=0.03)
    normalised = aggregate_posterior.normalize(aggregate_posterior.minibatch_weighted(batch, size))
    assert estimate(normalised) > 1.2 * truth


def test_normalising_drops_a_constant_only():
    batch, membership = posteriors(6, 6), partition.membership(partition.levels(ALLOCATION))
    raw = aggregate_posterior.minibatch_weighted(6, 480_000)
    shift = aggregate_posterior.log_density(
        *batch, aggregate_posterior.normalize(raw), membership
    ) - aggregate_posterior.log_density(*batch, raw, membership)
    np.testing.assert_allclose(shift, np.log(480_000), rtol=1e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_exact_estimator_on_linear_gaussian_codes_meets_the_closed_form(correlation):
    """Codes z = mean(x) + noise with Gaussian means: TC = -1/2 log det of the correlation matrix of z."""
    size, noise = 4096, 0.3
    covariance = np.array([[1, correlation, 0], [correlation, 1, 0], [0, 0, 1]]) * 0.7
    points = norm.ppf(qmc.Sobol(6, seed=0).random(size))  # quasi-random: the mixture is nearly the Gaussian itself
    mean = points[:, :3] @ np.linalg.cholesky(covariance).T
    codes = mean + noise * points[:, 3:]
    full = covariance + noise**2 * np.eye(3)
    scale = np.sqrt(np.diag(full))
    truth = -0.5 * np.linalg.slogdet(full / np.outer(scale, scale))[1]

    batch = [np.asarray(a, np.float32) for a in (codes, mean, np.full_like(mean, 2 * np.log(noise)))]
    log_q = aggregate_posterior.log_density(
        *batch, aggregate_posterior.exact(size), partition.membership(partition.levels((2, 1)))
    )
    rows = partition.contrasts(partition.levels((2, 1)))
    intra, inter = partition.combine(log_q, rows.intra).mean(0), partition.combine(log_q, rows.inter).mean()
    assert float(intra[0]) == pytest.approx(truth, abs=0.03)
    assert float(intra[1]) == pytest.approx(0, abs=1e-5)
    assert float(inter) == pytest.approx(0, abs=0.03)
