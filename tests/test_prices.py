"""What a nat costs under an estimator, where the answer is known."""

import numpy as np
import pytest

from experiments import prices

BETA = 5


def test_r_of_one_posterior_is_its_kl_whatever_the_block():
    mean, log_variance = np.array([[1.0, -2.0, 0.5, 0.0]]), np.log([[0.5, 1.0, 2.0, 1.0]])
    codes, own = np.array([[0.3, -1.0, 0.7, 0.1]]), np.array([0])
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum()
    for block in (1, 2, 3, 4):  # with one posterior every dependence is 0
        found = prices.regularization(codes, own, mean, log_variance, block, BETA)
        np.testing.assert_allclose(found, (kl, 0), atol=1e-12)


def test_r_and_the_information_are_the_sums_over_all_posteriors():
    rng = np.random.default_rng(0)
    mean, log_variance, codes = rng.normal(size=(3, 5, 4))
    own = np.arange(5)
    variance = np.exp(log_variance)
    density = np.exp(-0.5 * (codes[:, None] - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    units, blocks, whole = (
        np.log(density.mean(1)).sum(1),
        sum(np.log(density[..., pair].prod(2).mean(1)) for pair in ([0, 1], [2, 3])),
        np.log(density.prod(2).mean(1)),
    )
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1)
    wanted = (kl - (blocks - units) + (BETA - 1) * (whole - blocks)).mean()
    information = (np.log(density[own, own].prod(1)) - whole).mean()
    np.testing.assert_allclose(prices.regularization(codes, own, mean, log_variance, 2, BETA), (wanted, information))


@pytest.mark.parametrize(("seen", "draws"), [(64, 24), (1024, 4)])
def test_what_a_batch_does_not_see_of_a_block_is_free_and_costs_beta_between_units(seen, draws):
    """Eight units of 1.39 nats hold 11.1, of which 64 posteriors tell 4.2 and 1,024 tell 6.9."""
    nats = np.full(8, np.log(4))
    found = {block: prices.price(nats, block, BETA, seen, draws) for block in (1, 2, 4, 8)}
    wanted = {64: {1: 4.78, 2: 4.02, 4: 1.19, 8: 0.06}, 1024: {1: 4.74, 2: 4.63, 4: 3.48, 8: 0.06}}
    assert found == pytest.approx(wanted[seen], abs=0.15)


def test_few_nats_are_seen_whole_and_cost_the_kl_alone():
    few = np.array([0.3, 0.3, 0.0, 0.0])
    for block in (1, 2, 4):
        assert prices.price(few, block, BETA, 1024, draws=4) == pytest.approx(1, abs=0.1)
    assert prices.price(np.zeros(4), 1, BETA, 64) is None


def test_independent_units_cost_the_same_for_every_block_under_the_exact_aggregate_posterior():
    grid = np.stack(np.meshgrid(*[np.linspace(-1.5, 1.5, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    mean = np.concatenate([grid, np.zeros((64, 1))], axis=1)
    log_variance = np.concatenate([np.full((64, 3), 2 * np.log(0.5)), np.zeros((64, 1))], axis=1)
    one, two, four = (prices.exact_price(mean, log_variance, block, BETA) for block in (1, 2, 4))
    assert 0.5 < one < 1.5 and two == pytest.approx(one) and four == pytest.approx(one)
    apart = np.arange(64.0)[:, None] * np.full((1, 2), 50)  # it is log N whatever the variances
    assert prices.exact_price(apart, np.full((64, 2), -2.0), 1, BETA) is None
    assert prices.exact_price(np.zeros((64, 2)), np.zeros((64, 2)), 1, BETA) is None
