import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, qmc

from scaledis.objectives import aggregate_posterior, gaussian, partition
from tests.objectives import ALLOCATION, WEIGHTS, posteriors

LOG_DENSITY = jax.jit(aggregate_posterior.log_density, static_argnames="block")


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
    found = LOG_DENSITY(*batch, log_weights, membership, block=block)
    np.testing.assert_allclose(found, oracle(*batch, log_weights, membership), rtol=1e-4)


@pytest.mark.parametrize("block", [1, 3, 5, 64])
def test_gradients_in_one_block_and_in_several_are_the_same(block):
    batch, membership = posteriors(10, 6), partition.membership(partition.levels(ALLOCATION))
    weights = np.random.default_rng(1).normal(size=(10, len(membership)))

    def loss(batch, block):
        log_weights = aggregate_posterior.minibatch_weighted(10, 1000)
        return jnp.sum(weights * aggregate_posterior.log_density(*batch, log_weights, membership, block=block))

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    whole, blocked = gradient(batch, 10), gradient(batch, block)
    for a, b in zip(whole, blocked, strict=True):
        assert np.abs(a).max() > 0.1
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


def test_one_weight_for_all_is_held_once_a_posterior_and_gives_the_same_numbers():
    batch, (_, *mixture), membership = posteriors(5, 6, 1), posteriors(70, 6), np.ones((1, 6), np.float32)
    for shape in ((1, 1), (1, 70)):
        weights = np.full(shape, -np.log(70), np.float32)
        found, expected = (
            LOG_DENSITY(batch[0], *mixture, each, membership, block=16)
            for each in (weights, np.broadcast_to(weights, (5, 70)))
        )
        np.testing.assert_array_equal(found, expected)

    count, size = 1000, 100_000
    codes, posterior = (jax.ShapeDtypeStruct((n, 2), jnp.float32) for n in (count, size))
    lowered = LOG_DENSITY.lower(codes, posterior, posterior, aggregate_posterior.exact(size), np.ones((1, 2)), block=64)
    assert lowered.compile().memory_analysis().temp_size_in_bytes < 4 * count * size / 10


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
            lambda mean, log_variance: LOG_DENSITY(codes[:1], mean, log_variance, log_weights[:1], membership)
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
    log_q = LOG_DENSITY(*batch, aggregate_posterior.exact(size), partition.membership(partition.levels((2, 1))))
    rows = partition.contrasts(partition.levels((2, 1)))
    intra, inter = partition.combine(log_q, rows.intra).mean(0), partition.combine(log_q, rows.inter).mean()
    assert float(intra[0]) == pytest.approx(truth, abs=0.03)
    assert float(intra[1]) == pytest.approx(0, abs=1e-5)
    assert float(inter) == pytest.approx(0, abs=0.03)


def independent_units(units, deviation, batch, batches=400, seed=0):
    """Batches of codes [batches, batch, units] whose units are N(0, 1) and independent: perfectly disentangled."""
    rng = np.random.default_rng(seed)
    mean = np.sqrt(1 - deviation**2) * rng.normal(size=(batches, batch, units))
    codes = mean + deviation * rng.normal(size=mean.shape)
    return tuple(np.asarray(array, np.float32) for array in (codes, mean, np.full_like(mean, 2 * np.log(deviation))))


def estimates(allocation, deviation, batch=64):
    """By weighted sampling: information of all units, of each unit; TC within the levels, dependence across them."""
    parts = partition.levels(allocation)
    log_weights = aggregate_posterior.normalize(aggregate_posterior.minibatch_weighted(batch, 480_000))

    @jax.jit
    @jax.vmap
    def of_batch(codes, mean, log_variance):
        log_q = aggregate_posterior.log_density(codes, mean, log_variance, log_weights, partition.membership(parts))
        rows, own = partition.contrasts(parts), gaussian.log_density(codes, mean, log_variance)
        whole, units = own.sum(1) - log_q[:, 0], own - log_q[:, 1 + len(allocation) :]
        within, across = partition.combine(log_q, rows.intra).sum(1), partition.combine(log_q, rows.inter)
        return whole.mean(), units.mean(0), within.mean(), across.mean()

    return [np.asarray(each).mean(0) for each in of_batch(*independent_units(sum(allocation), deviation, batch))]


def test_weighted_sampling_overestimates_the_total_correlation_of_a_disentangled_code():
    """Five independent units of posterior deviation .1: the truth is 0, and -5 log .1 - log 64 = 7.35 is the most.

    The information of all five is at its ceiling, log 64; that of a single unit, -log .1 = 2.30, is nearly right.
    """
    whole, units, found, across = estimates((5,), 0.1)
    assert whole == pytest.approx(np.log(64), abs=0.01)
    np.testing.assert_allclose(units, -np.log(0.1), atol=0.15)
    assert found == pytest.approx(units.sum() - np.log(64), abs=0.01)  # sum_j I_j - log B
    assert 6.6 < found < -5 * np.log(0.1) - np.log(64) < 7.4
    assert across == pytest.approx(0, abs=1e-4)  # one level
    codes, mean, log_variance = (array[0] for array in independent_units(5, 0.1, 64))
    log_q = norm.logpdf(codes[:, None], mean[None], np.exp(0.5 * log_variance)).sum(2)
    own_share = np.exp(np.diag(log_q) - logsumexp(log_q, axis=1))
    assert own_share.mean() > 0.99  # which is why the information is at its ceiling


@pytest.mark.parametrize("deviation", [0.3, 0.1, 0.01, 1e-3])
def test_the_overestimate_has_the_ceilings_of_the_docstring(deviation):
    """(K - 1) log B within a group of K units, (L - 1) log B across L levels; both are met by very sharp posteriors."""
    within = estimates((4,), deviation)[2]
    across = estimates((1, 1, 1), deviation)[3]
    for found, ceiling in [(within, 3 * np.log(64)), (across, 2 * np.log(64))]:
        assert -0.05 < found <= ceiling + 1e-3
        assert (found > 0.9 * ceiling) == (deviation < 5e-3)
