"""The variants of dSprites: what is added is fixed for an image, and the sprite stays where it was."""

import jax
import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import dsprites, dsprites_color, dsprites_noisy, dsprites_scream
from scaledis.datasets._builders import painted

SPRITES = datasets.load("rendered_dsprites")
INDEX = np.linspace(0, SPRITES.size - 1, 40).astype(int)
INSIDE = SPRITES.images(INDEX)[..., 0] > 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data directory with a picture, where dSprites are rendered ones."""
    monkeypatch.setattr(dsprites, "load", lambda directory, options: SPRITES)
    (tmp_path / "manual").mkdir()
    levels = np.linspace(0, 255, 548 * 700 * 3).astype(np.uint8).reshape(548, 700, 3)
    Image.fromarray(levels).save(tmp_path / "manual" / "scream.jpg")
    return tmp_path


@pytest.mark.parametrize("name", ("dsprites_color", "dsprites_noisy", "dsprites_scream"))
def test_an_image_is_the_same_alone_among_others_and_in_a_compiled_step(name, folder):
    data = datasets.load(name, folder)
    images = data.images(INDEX)
    assert data.name == name and images.shape == (40, 64, 64, 3) and data.factor_names == SPRITES.factor_names
    assert np.array_equal(images[7:8], data.images(INDEX[7:8])) and np.array_equal(
        images[::-1], data.images(INDEX[::-1])
    )
    assert np.array_equal(images, jax.jit(data.gather)(data.source, INDEX))
    assert data.fingerprint == datasets.load(name, folder).fingerprint != SPRITES.fingerprint
    assert data.at(32).images(INDEX[:2]).shape == (2, 32, 32, 3)


def test_stored_sprites_are_painted_as_computed_ones_are():
    stored = datasets.Dataset("s", (), (), (64, 64, 1), SPRITES.images(INDEX), datasets.rows, np.zeros((40, 0), int))
    images = painted.painted("s", stored, painted.colored).images(np.arange(40))
    assert np.array_equal(images[..., 0] > 0, INSIDE)


def test_a_colored_sprite_has_one_bright_color_on_black(folder):
    images = datasets.load("dsprites_color", folder).images(INDEX)
    assert not images[~INSIDE].any()
    colors = np.array([image[inside] for image, inside in zip(images, INSIDE, strict=True)], object)
    assert all((each == each[0]).all() for each in colors)
    first = np.array([each[0] for each in colors])
    assert first.min() >= 128 and len(np.unique(first, axis=0)) == 40 and abs(first.mean() - 191.5) < 15


def test_noise_is_uniform_outside_of_a_white_sprite(folder):
    images = datasets.load("dsprites_noisy", folder).images(INDEX)
    assert (images[INSIDE] == 255).all()
    noise = images[~INSIDE].astype(float)
    assert abs(noise.mean() - 127.5) < 1 and abs(noise.std() - 256 / np.sqrt(12)) < 1
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.01


def test_a_sprite_inverts_a_tinted_piece_of_the_picture():
    background = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    images = painted.painted("p", SPRITES, painted.on_background, background).images(INDEX[:8]).astype(int)
    whole = np.where(INSIDE[:8, ..., None], 255 - images, images)
    pieces = np.lib.stride_tricks.sliding_window_view(background, (64, 64), (0, 1)).transpose(0, 1, 3, 4, 2)
    found = []
    for image in whole:
        tint = 2 * image - pieces  # or one less than that
        [place] = np.argwhere((np.ptp(tint, axis=(2, 3)) <= 1).all(axis=-1))
        found.append((*place, *tint[tuple(place)].max(axis=(0, 1))))
    rows, columns, *tints = np.array(found).T
    assert len(set(rows)) > 3 and len(set(columns)) > 3 and np.min(tints) >= 0 and np.max(tints) <= 255
    assert np.ptp(tints, axis=1).min() > 50


def test_a_large_picture_is_scaled_down_as_in_the_paper(folder):
    assert datasets.load("dsprites_scream", folder).source[1].shape == (274, 350, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.unlink(), "place a picture of the painting at .*manual/scream.jpg"),
        (lambda path: path.write_bytes(b"no picture"), "scream.jpg cannot be read as a picture"),
        (lambda path: Image.new("RGB", (50, 80)).save(path), "scream.jpg has 50x80 pixels; at least 64x64"),
    ],
)
def test_a_picture_that_cannot_be_used_is_a_sentence(make, message, folder):
    make(folder / "manual" / "scream.jpg")
    with pytest.raises(UserError, match=message):
        datasets.load("dsprites_scream", folder)


def test_without_dsprites_the_file_is_named(tmp_path):
    for module in (dsprites_color, dsprites_noisy):
        with pytest.raises(UserError, match="dsprites_ndarray"):
            module.load(tmp_path, datasets.Options())
    assert dsprites_scream.OPTIONS == dsprites.OPTIONS
