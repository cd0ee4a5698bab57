"""Reconstruction, ELBO and diversity against closed forms and plain numpy."""

import functools

import numpy as np
import pytest

from scaledis.core import UserError
from scaledis.metrics import of_models
from scaledis.metrics.of_models import quality
from scaledis.model import Model
from scaledis.objectives.likelihood import of_expected
from scaledis.types import Codes
from tests import tiny

DATA = tiny.dataset()
RNG = np.random.default_rng(0)


def model(shift=0.1):
    """A unit that is the mean grey of an image; it decodes to an image of that grey, `shift` brighter."""

    def encode(images):
        mean = (images / 255).mean(axis=(1, 2, 3), dtype=np.float64)[:, None].astype(np.float32)
        return Codes(mean, np.full_like(mean, -20), np.zeros(1, int))

    def decode(codes):
        return np.clip(np.broadcast_to(codes[:, :, None, None] + shift, (len(codes), 16, 16, 3)), 0, 1)

    nll = functools.partial(of_expected, "gaussian", 0.5)
    return Model(tiny.config(), 0, None, encode, decode, negative_log_likelihood=nll)


def test_mse_psnr_and_the_terms_of_the_elbo_have_their_closed_forms():
    index = np.arange(20)
    found = of_models.compute("quality", model(), DATA, index=index)
    images = DATA.images(index) / 255
    grey = images.mean(axis=(1, 2, 3))
    squares = np.square(images - np.clip(grey + 0.1, 0, 1)[:, None, None, None])
    error = squares.mean(axis=(1, 2, 3))
    assert found["quality/mse"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["quality/psnr"] == pytest.approx(-10 * np.log10(error).mean(), rel=1e-5)
    nll = (squares / (2 * 0.25) + 0.5 * np.log(2 * np.pi * 0.25)).sum(axis=(1, 2, 3)).mean()
    kl = 0.5 * (np.square(grey) + np.exp(-20) - 1 + 20).mean()
    assert found["quality/reconstruction_nats"] == pytest.approx(nll, rel=1e-4)
    assert found["quality/kl_nats"] == pytest.approx(kl, rel=1e-5)
    assert found["quality/elbo_nats"] == pytest.approx(-nll - kl, rel=1e-4)
    assert found["quality/images"] == 20 and 0 < found["quality/ssim"] < 1


def test_the_likelihood_of_images_given_their_expected_values_is_that_of_its_name():
    images, expected = (RNG.uniform(0.1, 0.9, (3, 16, 16, 3)).astype(np.float32) for _ in range(2))
    bernoulli = -(images * np.log(expected) + (1 - images) * np.log(1 - expected)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(of_expected("bernoulli", 1.0, expected, images), bernoulli, rtol=1e-5)
    gaussian = (np.square(images - expected) / (2 * 0.04) + 0.5 * np.log(2 * np.pi * 0.04)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(of_expected("gaussian_learned", 0.2, expected, images), gaussian, rtol=1e-4)


def test_exact_reconstructions_have_no_psnr():
    grey = model(0)

    def decode(codes):
        return DATA.images(np.zeros(len(codes), int)) / np.float32(255)

    found = of_models.compute("quality", grey._replace(decode=decode), DATA, index=np.zeros(4, int))
    assert found["quality/mse"] == 0 and found["quality/psnr"] is None and found["quality/warnings"]
    assert found["quality/ssim"] == pytest.approx(1, abs=1e-12) and found["quality/vendi"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed: -1 must be a number from 0"),
        ({"names": "qualty"}, "model metrics: 'qualty' is unknown.*'quality'"),
        ({"options": {"qualty": {"images": 5}}}, "model metrics: 'qualty' is unknown.*'quality'"),
        ({"options": {"level": {"image": 5}}}, "option of metric 'level': 'image' is unknown.*'images'"),
        *(
            ({"names": each, "options": {each: {"images": 0}}}, "images: 0 must be .* from 1")
            for each in of_models.names()
        ),
    ],
)
def test_settings_that_cannot_be_used_are_a_sentence(settings, message):
    with pytest.raises(UserError, match=message):
        of_models.compute(**({"names": "quality", "model": model(), "dataset": DATA, "index": np.arange(9)} | settings))


def test_ssim_is_that_of_plain_windows():
    one, other = RNG.random((2, 13, 14, 3)), RNG.random((2, 13, 14, 3))
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window = (window / window.sum())[..., None]
    expected = []
    for x_image, y_image in zip(one, other, strict=True):
        values = []
        for top in range(13 - 10):
            for left in range(14 - 10):
                x, y = (image[top : top + 11, left : left + 11] for image in (x_image, y_image))
                m_x, m_y = ((window * each).sum((0, 1)) for each in (x, y))
                s_x, s_y = ((window * (each - m) ** 2).sum((0, 1)) for each, m in ((x, m_x), (y, m_y)))
                s_xy = (window * (x - m_x) * (y - m_y)).sum((0, 1))
                values.append(
                    (2 * m_x * m_y + 1e-4) * (2 * s_xy + 9e-4) / ((m_x**2 + m_y**2 + 1e-4) * (s_x + s_y + 9e-4))
                )
        expected.append(np.mean(values))
    np.testing.assert_allclose(quality.ssim(one, other), expected, rtol=1e-9)
    np.testing.assert_allclose(quality.ssim(one, one), 1, rtol=1e-12)
    flat = quality.ssim(np.full((1, 16, 16, 1), 0.2), np.full((1, 16, 16, 1), 0.6))
    np.testing.assert_allclose(flat, (2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4), rtol=1e-6)


def test_the_vendi_score_counts_the_different_rows():
    assert quality.vendi(np.ones((7, 4))) == pytest.approx(1)
    assert quality.vendi(np.zeros((7, 4))) == pytest.approx(1)
    assert quality.vendi(np.eye(5)) == pytest.approx(5)
    assert quality.vendi(np.repeat(np.eye(3), 4, axis=0)) == pytest.approx(3)
    assert quality.vendi(np.r_[np.zeros((2, 2)), np.ones((2, 2))]) == pytest.approx(2)
    weights = np.array([0.75, 0.25])  # the eigenvalues of [[1, 1/2], [1/2, 1]] / 2
    rows = np.array([[1, 0], [0.5, np.sqrt(0.75)]])
    assert quality.vendi(rows) == pytest.approx(np.exp(-(weights * np.log(weights)).sum()))


def test_a_posterior_without_noise_has_no_elbo_and_all_else():
    index = np.arange(20)
    codes = model().encode(DATA.images(index))
    still = codes._replace(log_variance=np.full_like(codes.mean, -np.inf))
    expected, found = (quality.compute(model(), DATA, index, each) for each in (codes, still))
    assert found["elbo_nats"] is None and found["kl_nats"] is None
    assert [each.partition(":")[0] for each in found["warnings"]] == ["elbo_nats", "kl_nats"]
    for key in ("mse", "ssim", "vendi", "reconstruction_nats"):
        assert found[key] == pytest.approx(expected[key], rel=1e-3)
