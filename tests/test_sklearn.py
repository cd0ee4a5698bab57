"""scikit-learn's door: all of its own checks, and each number against the model that was trained."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import scaledis
from scaledis import sklearn
from scaledis.core.errors import UserError
from scaledis.datasets import rows
from scaledis.sklearn import Pixels, ScaleVLAE
from tests import assert_same, doctested, tiny

SMALL = {"model.channels": (1, 1, 1, 1)}
MOST = 150  # images of a check
IMAGES = tiny.dataset().images(np.arange(0, 96, 2))


def estimator(**params):
    """The smallest flat VAE; one step."""
    return ScaleVLAE(**{"method": "vae", "allocation": (2,), "steps": 1, "batch": 2, "overrides": SMALL, **params})


@pytest.fixture
def one_program(monkeypatch):
    """Every X is repeated to as many images, so that all checks share one compiled program."""
    make = sklearn._dataset
    monkeypatch.setattr(sklearn, "_dataset", lambda images: make(np.resize(images, (MOST, *images.shape[1:]))))


@pytest.mark.filterwarnings("ignore")  # the checks' own
@parametrize_with_checks([estimator()], expected_failed_checks=lambda _: {})
def test_it_keeps_scikit_learns_contract(estimator, check, one_program):
    check(estimator)


@pytest.fixture(scope="module")
def fitted():
    return estimator(random_state=3).fit(IMAGES)


def test_it_trains_the_run_that_train_trains(fitted):
    config = scaledis.make_config(
        "vae", {"data.name": "arrays", "model.allocation": (2,), "train.steps": 1, "train.batch": 2, "seed": 3, **SMALL}
    )
    shape, nothing = IMAGES.shape[1:], np.zeros((48, 0), np.int32)
    data = scaledis.Dataset("X", (), (), shape, IMAGES, rows, table=nothing)
    [model] = scaledis.train(config, data)
    assert_same(model.arrays(), fitted.model_.arrays())
    assert fitted.model_.config == config and fitted.model_.about["data"]["fingerprint"] == data.fingerprint


def test_codes_images_and_scores_are_those_of_the_model(fitted):
    codes = fitted.transform(IMAGES)
    np.testing.assert_array_equal(codes, fitted.model_.encode(IMAGES).mean)
    np.testing.assert_allclose(fitted.inverse_transform(codes), 255 * fitted.model_.decode(codes), rtol=1e-6)
    assert fitted.score(IMAGES) == pytest.approx(fitted.model_.elbo(IMAGES).mean())
    assert fitted.get_feature_names_out().tolist() == ["scalevlae0", "scalevlae1"]


def test_rows_floats_and_bytes_are_the_same_images(fitted):
    codes = fitted.transform(IMAGES)
    for X, shape in (
        (IMAGES.reshape(48, -1), (16, 16, 3)),
        (IMAGES / 255, None),
        ((IMAGES / np.float32(255)).reshape(48, -1).tolist(), (16, 16, 3)),
    ):
        other = estimator(random_state=3, image_shape=shape).fit(X)
        np.testing.assert_array_equal(other.transform(X), codes)
        assert other.inverse_transform(codes).shape == np.shape(X)
    assert np.asarray(X).max() <= 1 and other.inverse_transform(codes).max() <= 1


def test_pixels_come_back_to_a_level_of_256_and_only_their_borders_are_copied():
    X = np.random.default_rng(0).normal(size=(5, 10 * 7 * 3))
    pixels = Pixels((10, 7, 3), X.min(), X.max())
    images = pixels.images(X)
    assert images.shape == (5, 16, 16, 3) and images.dtype == np.uint8 and (images.min(), images.max()) == (0, 255)
    np.testing.assert_allclose(pixels.rows(images / 255, 210), X, atol=np.ptp(X) / 509)
    np.testing.assert_array_equal(images[:, 3:13, :4], np.repeat(images[:, 3:13, 4:5], 4, 2))
    np.testing.assert_array_equal(images[:, :3], np.repeat(images[:, 3:4], 3, 1))
    clipped = pixels.images(np.full((1, 210), 9.0))
    assert clipped.min() == 255
    flat = Pixels((3, 3, 1), 2.0, 2.0)  # every number is the same
    assert flat.images(np.full((1, 7), 2.0)).max() == 0
    np.testing.assert_array_equal(flat.rows(np.ones((1, 16, 16, 1)), 7), np.full((1, 7), 2.0))


def test_it_works_in_a_pipeline_and_a_grid():
    ground = tiny.dataset().factors(np.arange(0, 96, 2))[:, 0]
    pipeline = make_pipeline(estimator(random_state=0), LogisticRegression()).fit(IMAGES, ground)
    assert pipeline.predict(IMAGES).shape == (48,)
    weights = [{"method.beta": beta, **SMALL} for beta in (1.0, 8.0)]
    flat = estimator(method="beta_vae", random_state=0)
    grid = GridSearchCV(flat, {"overrides": weights}, cv=2, error_score="raise").fit(IMAGES)
    held_out = [clone(flat).set_params(overrides=weights[1]).fit(IMAGES[a]).score(IMAGES[b]) for a, b in HALVES]
    assert grid.cv_results_["mean_test_score"][1] == pytest.approx(np.mean(held_out), rel=1e-5)
    assert (
        grid.best_estimator_.model_.config.method.hyperparameters["beta"]
        == grid.best_params_["overrides"]["method.beta"]
    )


HALVES = [(slice(24, 48), slice(24)), (slice(24), slice(24, 48))]


def test_a_ladder_and_a_config_of_ones_own():
    overrides = {"method.beta": 3.0, "model.parameters": 6000, **SMALL}
    ladder = ScaleVLAE(allocation=(2, 1), steps=1, batch=4, overrides=overrides, random_state=0)
    assert ladder.fit_transform(IMAGES).shape == (48, 3)
    assert ladder.model_.config.method.hyperparameters["beta"] == 3.0


def test_misuse_is_a_sentence(fitted):
    for make, X, message in (
        (estimator(method="vea"), IMAGES, "method: 'vea' is unknown. Did you mean 'vae'"),
        (estimator(image_shape=(4, 4, 1)), IMAGES.reshape(48, -1), "image_shape: .* is no image of 768 numbers"),
        (estimator(), IMAGES[..., :2], "image_shape: .* is no image of 512 numbers"),
        (estimator(overrides={"train.step": 3}), IMAGES, "'train.step' is unknown"),
        (estimator(steps=0), IMAGES, "train.steps: 0"),
        (estimator(allocation=10), IMAGES, "allocation: 10 must be a list .each a whole number. or None"),
        (estimator(image_shape=16), IMAGES, "image_shape: 16 must be a list"),
        (estimator(image_shape=np.array([4, 4])), IMAGES, r"image_shape: \(4, 4\) is no image of 768 numbers"),
        (estimator(overrides=["seed"]), IMAGES, r"overrides: \('seed',\) must be a dictionary"),
        (estimator(batch="a"), IMAGES, "train.batch: 'a'"),
        (estimator(method=3), IMAGES, "method: 3"),
    ):
        with pytest.raises(UserError, match=message):
            make.fit(X)
    with pytest.raises(ValueError, match="768 features"):
        fitted.transform(IMAGES[:, :8])
    with pytest.raises(UserError, match=r"X: images of shape \[768\]; fit has seen \[16, 16, 3\]"):
        fitted.transform(IMAGES.reshape(48, -1))
    with pytest.raises(ValueError, match="NaN"):
        estimator().fit(np.full((4, 16, 16), np.nan))
    with pytest.raises(NotFittedError):
        estimator().transform(IMAGES)


def test_its_example_runs():
    doctested(ScaleVLAE, np=np)
