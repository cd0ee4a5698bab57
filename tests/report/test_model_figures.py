"""`scaledis.figures`: the pixels, tables and words of each figure against the models that it shows."""

import jax
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from scaledis import figures, metrics
from scaledis.core.errors import UserError
from scaledis.report.content import pixels
from scaledis.report.pictures.traversals import mosaic
from tests import tiny
from tests.report.material import OWN_STYLE

DATA = tiny.dataset()
IMAGES = DATA.images(np.arange(0, 96, 7))


@pytest.fixture(scope="module")
def models():
    """Two ladders with random parameters."""
    population = tiny.population([tiny.config(method__name="vlae", seed=seed) for seed in (0, 1)], DATA)
    runs, rng = population.init(), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype("f"), runs.state.params)
    runs = runs._replace(state=runs.state._replace(params=params))
    return [population.model(runs, slot) for slot in (0, 1)]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


def pictures(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_traversals_are_those_of_the_first_image_with_the_kl_of_each_unit(models):
    drawn = figures.traversals(models, IMAGES)
    found = pictures(drawn)
    for model, picture in zip(models, found, strict=True):
        codes = model.encode(IMAGES)
        kl = 0.5 * (codes.mean**2 + np.exp(codes.log_variance) - 1 - codes.log_variance).mean(0)
        expected = pixels(model.traverse(IMAGES[0]))[kl > 0.1]
        for unit, row in zip(np.flatnonzero(kl > 0.1), expected, strict=True):
            tops = mosaic(pixels(model.traverse(IMAGES[0])), (2, 1), gap_of(picture))[1]
            np.testing.assert_array_equal(picture[tops[unit] : tops[unit] + 16, :16], row[0])
        assert all(f"{each:.2f} nats" in texts(drawn) for each in kl)
    assert {"vlae, seed 0", "vlae, seed 1"} < {*texts(drawn)} and (kl > 0.1).any()


def gap_of(picture):
    """White pixels between two levels, of three rows of 16 pixels and one between rows."""
    return picture.shape[0] - 3 * 16 - 2


def test_reconstructions_are_the_models(models):
    [picture] = pictures(figures.reconstructions(models[0], IMAGES))
    expected = mosaic(np.stack([pixels(IMAGES[:10]), pixels(models[0].reconstruct(IMAGES[:10]))]), (2,))[0]
    np.testing.assert_array_equal(picture, expected)


def test_samples_move_the_units_of_one_level(models):
    drawn = figures.samples({"mine": models[1]}, seed=5)
    [picture] = pictures(drawn)
    codes = np.tile(np.random.default_rng(5).standard_normal((10, 3)), (3, 1, 1))
    codes[1, :, 2], codes[2, :, :2] = 0, 0
    expected = pixels(models[1].decode(codes.reshape(-1, 3)).reshape(3, 10, 16, 16, 3))
    np.testing.assert_array_equal(picture, mosaic(expected, (1, 2), gap_of(picture))[0])
    assert [text for text in texts(drawn) if "level" in text][:3] == ["all levels", "level 2", "level 1"]
    assert "mine" in texts(drawn)


def test_information_is_that_of_the_metrics(models):
    drawn = figures.information(models, DATA)
    images, factors = DATA.sample(96)
    for model, top, low in zip(models, pictures(drawn)[::2], pictures(drawn)[1::2], strict=True):
        known = metrics.information(model.encode(images).mean, factors) / metrics.entropy(factors)
        np.testing.assert_allclose(np.concatenate([top, low]), known, rtol=1e-5)
    assert "ground" in [label.get_text() for label in drawn.axes[0].get_xticklabels()]
    best = figures.traversals(models[0], DATA)
    assert any(text.startswith(DATA.factor_names) for text in texts(best))


def test_they_look_the_same_in_any_style_and_open_no_window(models, tmp_path):
    made = []
    for style in ({}, OWN_STYLE):
        with matplotlib.rc_context(style):
            figure = figures.samples({"a_$b$": models[0]})
            assert isinstance(figure, Figure)
        figure.savefig(tmp_path / "one.png", dpi=50)
        made.append((tmp_path / "one.png").read_bytes())
    assert made[0] == made[1]


def test_misuse_is_a_sentence(models):
    for call, message in (
        (lambda: figures.samples([]), "models: there are none"),
        (lambda: figures.samples([3]), "models: 3 must be a Model"),
        (lambda: figures.samples({"a": None}), "models.*: None must be a Model"),
        (lambda: figures.traversals(models, IMAGES[0]), r"images: \(16, 16, 3\) must be a data set or"),
        (lambda: figures.traversals(models, IMAGES[:0]), "with N of at least 1"),
        (lambda: figures.reconstructions(models, IMAGES / 255), "images: float64"),
        (lambda: figures.reconstructions(models, IMAGES[:, :8]), "this model encodes uint8"),
        (lambda: figures.information(models, IMAGES), "data: .* must be a Dataset"),
    ):
        with pytest.raises(UserError, match=message):
            call()
