import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.methods.base.elbo import stateless
from scaledis.methods.hfs import drawn_pairs, factorized_support, weighted_kl, with_support
from tests import tiny
from tests.methods import KEY, arrays, flat, kl_of, make_config, make_posterior

PAIRS = np.asarray(list(itertools.combinations(range(3), 2)))


def triple_loop(means, pairs):
    total = 0.0
    for a, b in pairs:
        worst = 0.0
        for i in range(len(means)):
            for j in range(len(means)):
                point = np.array([means[i, a], means[j, b]])
                worst = max(worst, min(np.sum((point - means[k, [a, b]]) ** 2) for k in range(len(means))))
        total += worst
    return total


def test_it_is_the_triple_loop():
    means = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    assert float(factorized_support(means, PAIRS)) == pytest.approx(triple_loop(means, PAIRS), rel=1e-5)


def test_it_is_zero_on_a_full_factor_grid_and_on_that_alone():
    grid = np.asarray(list(itertools.product([-1.0, 0.3, 2.0], [0.0, 1.0], [-2.0, 1.0])), np.float32)
    assert float(factorized_support(grid, PAIRS)) == 0
    without_a_pair = grid[~((grid[:, 0] == 2) & (grid[:, 1] == 1))]
    assert float(factorized_support(without_a_pair, PAIRS)) == pytest.approx(1.0)  # (2, 1) is 1 away from (2, 0)


def test_the_gradient_reaches_the_factorized_set_and_the_batch():
    """Along a line the worst combination (z_a of one image, z_b of another) is pulled from both of its images."""
    means = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    gradient = np.asarray(jax.grad(factorized_support)(means, PAIRS))
    step = 1e-3
    for unit in range(3):
        for image in range(8):
            moved = np.zeros_like(means)
            moved[image, unit] = step
            slope = (triple_loop(means + moved, PAIRS) - triple_loop(means - moved, PAIRS)) / (2 * step)
            assert gradient[image, unit] == pytest.approx(slope, abs=2e-2)
    assert (gradient != 0).any(1).sum() >= 3  # i, j and k of a pair


def test_pairs_are_different_and_of_active_units():
    active = jnp.asarray([1.0, 1, 0, 1, 1, 0])
    pairs = np.asarray(drawn_pairs(KEY, active, 6))
    assert len({tuple(pair) for pair in pairs}) == 6 and set(pairs.ravel()) == {0, 1, 3, 4}
    assert not np.array_equal(pairs, drawn_pairs(jax.random.key(1), active, 6))


def test_the_penalty_is_the_kl_and_gamma_times_the_support_of_the_means_of_active_units():
    run = make_config("beta_vae_hfs", method__beta=2.0, method__gamma=5.0)
    posterior = flat(make_posterior())
    posterior = posterior._replace(levels=posterior.levels.at[0, 5].set(0))
    total, terms = with_support(stateless(weighted_kl)).value(arrays(run), (), posterior, KEY)
    pairs = list(itertools.combinations(range(5), 2))  # 10 of the 15 pairs of 6 units, of which all 15 are drawn
    pairs += [(unit, 5) for unit in range(5)]
    expected = triple_loop(np.asarray(posterior.mean), pairs)
    assert float(terms["factorized_support"]) == pytest.approx(expected, rel=1e-5)
    assert float(total) == pytest.approx(2 * kl_of(posterior) + 5 * expected, rel=1e-5)


@pytest.mark.parametrize("name", ["beta_vae_hfs", "beta_tcvae_hfs"])
def test_one_latent_has_no_pair_and_is_an_error_before_anything_compiles(name):
    with pytest.raises(UserError, match=f"model.latents: 1; {name} needs 2 units or more"):
        tiny.config(method__name=name, model__latents=1)
    assert tiny.config(method__name=name, model__latents=2).model.allocation == (2,)
