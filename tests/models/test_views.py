"""What a model shows of images: reconstructions, traversals and the ELBO, each against its definition."""

import jax
import numpy as np
import pytest

from scaledis.core.errors import UserError
from tests import tiny

DATA = tiny.dataset()
IMAGES = DATA.images(np.arange(6))


@pytest.fixture(scope="module", params=("gaussian", "gaussian_learned"))
def trained(request):
    """A model after three steps, whose units move something."""
    population = tiny.population([tiny.config(objective__likelihood=request.param)], DATA)
    runs, _ = population.make_advance(DATA)(population.init(), 3)
    return population.model(runs, 0)


def test_a_traversal_moves_one_unit_and_a_reconstruction_none(trained):
    found = trained.traverse(IMAGES[2], -2.0, 2.0, 5)
    mean = trained.encode(IMAGES[2:3]).mean[0]
    assert found.shape == (3, 5, 16, 16, 3)
    for unit, step in ((0, 0), (2, 3)):
        codes = mean.copy()
        codes[unit] = (-2, -1, 0, 1, 2)[step]
        np.testing.assert_allclose(found[unit, step], trained.decode(codes[None])[0], atol=1e-6)
    np.testing.assert_array_equal(trained.reconstruct(IMAGES), trained.decode(trained.encode(IMAGES).mean))


def test_the_elbo_of_each_image_is_its_likelihood_less_its_kl(trained):
    found, codes = trained.elbo(IMAGES, seed=3), trained.encode(IMAGES)
    noise = np.random.default_rng(3).standard_normal(codes.mean.shape).astype(np.float32)
    expected = trained.decode(codes.mean + np.exp(codes.log_variance / 2) * noise)
    learned = trained.config.objective.likelihood == "gaussian_learned"
    sigma = np.exp(trained.state.params["log_sigma"]) if learned else 0.5
    squares = np.square(IMAGES / 255 - expected) / (2 * sigma**2) + 0.5 * np.log(2 * np.pi * sigma**2)
    kl = 0.5 * (codes.mean**2 + np.exp(codes.log_variance) - 1 - codes.log_variance).sum(axis=1)
    np.testing.assert_allclose(found, -squares.sum(axis=(1, 2, 3)) - kl, rtol=1e-4)
    assert found.shape == (6,) and trained.elbo(IMAGES[:0]).shape == (0,)
    several = trained.elbo(IMAGES, samples=64)
    assert np.abs(several - trained.elbo(IMAGES, samples=64, seed=1)).max() < np.abs(several - found).max() + 1


def test_what_cannot_be_shown_is_a_sentence(trained):
    for call, message in (
        (lambda: trained.traverse(IMAGES), "images: uint8"),
        (lambda: trained.traverse(IMAGES[0], steps=0), "steps, low, high: 0, -3.0, 3.0; at least one step"),
        (lambda: trained.elbo(IMAGES, samples=0), "samples: 0 must be at least 1"),
        (lambda: trained.elbo(IMAGES, seed=-1), "seed: -1 must be at least 0"),
        (lambda: trained.elbo(IMAGES / 255), "images: float64"),
        (
            lambda: trained._replace(negative_log_likelihood=type(trained)._field_defaults["make"]).elbo(IMAGES),
            "model: it",
        ),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_pure_functions_live_in_jit_vmap_and_grad_without_the_padding_of_the_population():
    configs = [tiny.config(model__allocation=allocation) for allocation in ((2, 1), (1, 2))]
    population = tiny.population(configs, DATA)
    runs = population.init()
    model = population.model(runs, 1)
    encode, decode = model.functions
    codes = jax.jit(encode)(model.state, IMAGES)
    np.testing.assert_allclose(codes.mean, model.encode(IMAGES).mean, atol=1e-6)
    assert codes.mean.shape == (6, 3) and np.array_equal(codes.levels, model.encode(IMAGES).levels)
    np.testing.assert_allclose(decode(model.state, codes.mean), model.reconstruct(IMAGES), atol=1e-6)
    alone = jax.vmap(lambda image: encode(model.state, image[None]).mean[0])(IMAGES)
    np.testing.assert_allclose(alone, codes.mean, atol=1e-6)

    def first(images):
        return encode(model.state, images).mean[:, 0].sum()

    images = IMAGES.astype(np.float32)
    gradient = np.asarray(jax.grad(first)(images))
    length = np.linalg.norm(gradient)
    step = gradient / length  # one level, along the gradient
    assert (first(images + step) - first(images - step)) / 2 == pytest.approx(length, rel=0.1) and length > 0
