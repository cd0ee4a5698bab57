"""The information of sets of units by posteriors, against sums in plain numpy and where the truth is known."""

import numpy as np
import pytest

from experiments import posteriors

SIZES = (2, 3, 4)
FACTORS = np.stack(np.unravel_index(np.arange(24), SIZES), axis=1)


def densities(codes, mean, log_variance, subset):
    """q(z_S | x_n) of codes [M, K] under posteriors [N, K]: [M, N]."""
    square = (codes[:, None] - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi)
    return np.exp(-0.5 * square[..., list(subset)].sum(-1))


def test_both_bounds_are_the_sums_over_all_images():
    rng = np.random.default_rng(1)
    mean, log_variance = (rng.normal(loc=loc, size=(24, 3)).astype(np.float32) for loc in (0, -1))
    subsets = [(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)]
    found = posteriors.information(mean, log_variance, SIZES, subsets, draws=40, seed=3)
    rng = np.random.default_rng(3)
    index, noise = rng.integers(24, size=40), rng.standard_normal((40, 3)).astype(np.float32)
    codes = mean[index] + np.exp(log_variance[index] / 2) * noise
    others = np.arange(24) != index[:, None]
    for number, subset in enumerate(subsets):
        density = densities(codes.astype(float), mean.astype(float), log_variance.astype(float), subset)
        own = density[np.arange(40), index]
        for bound, among in (("upper", np.ones_like(others)), ("lower", others)):
            every = (density * among).sum(1) / among.sum(1)
            image = np.log(own / every).reshape(2, 20).mean(1)
            np.testing.assert_allclose(np.asarray(found["image"][bound])[:, number], image, atol=1e-5)
            for factor in range(3):
                alike = among & (FACTORS[index, factor][:, None] == FACTORS[:, factor])
                given = (density * alike).sum(1) / alike.sum(1)
                nats = np.log(given / every).reshape(2, 20).mean(1)
                np.testing.assert_allclose(np.asarray(found["factors"][bound])[:, number, factor], nats, atol=1e-5)


def test_a_unit_that_tells_a_factor_has_its_entropy_and_a_silent_one_nothing():
    mean = np.stack([20.0 * FACTORS[:, 2], np.zeros(24)], axis=1).astype(np.float32)
    found = posteriors.information(mean, np.zeros_like(mean), SIZES, [(0,), (1,), (0, 1)], draws=40)
    # Six images share a posterior: five of the 23 others, of which 2 of 11, 1 of 7 and 5 of 5 share a factor too.
    wanted = {"upper": [0, 0, np.log(4)], "lower": np.log(np.array([2 / 11, 1 / 7, 1]) * 23 / 5)}
    for bound in posteriors.BOUNDS:
        told, silent, both = np.mean(found["factors"][bound], axis=0)
        np.testing.assert_allclose(told, wanted[bound], atol=1e-4)
        np.testing.assert_allclose(both, wanted[bound], atol=1e-4)
        np.testing.assert_allclose(silent, 0, atol=1e-5)


def test_posteriors_that_do_not_overlap_saturate_above_and_show_it_below():
    mean = np.arange(24, dtype=np.float32)[:, None] * 100
    found = posteriors.information(mean, np.zeros_like(mean), SIZES, [(0,)], draws=40)
    np.testing.assert_allclose(np.mean(found["factors"]["upper"], axis=0)[0], np.log(SIZES), atol=1e-4)
    assert (np.mean(found["factors"]["lower"], axis=0)[0] < 0).any()  # nobody knows
    np.testing.assert_allclose(np.mean(found["image"]["upper"]), np.log(24), atol=1e-4)


def test_gaps_pairings_and_the_best_of_them():
    table = np.log([[4.0, 1.0], [2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(posteriors.gaps(table, (4, 3)), [0.5, 1.0])
    np.testing.assert_allclose(posteriors.mig_sup(table, (4, 3)), [1.0, 0.5, 1.0])
    ways = list(posteriors.pairings(list(range(8))))
    assert len(set(ways)) == 105 and all(
        sorted(unit for pair in way for unit in pair) == list(range(8)) for way in ways
    )
    pairs = posteriors.pairs_of(4)
    halves = np.full((2, 6, 2), 0.1)
    halves[:, [pairs.index((0, 3)), pairs.index((1, 2))]] = [[1.0, 0.1], [0.1, 0.6]]
    score = posteriors.best_pairing(halves, pairs, (np.e, np.e), (0, 1))
    assert score == pytest.approx((0.9 + 0.5) / 2)
