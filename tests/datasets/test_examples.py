"""The user's own images as an object of Python."""

import os

import numpy as np
import pytest
from PIL import Image

import scaledis
from scaledis import datasets
from scaledis.config import Data
from scaledis.core.errors import UserError
from scaledis.datasets._builders import stream
from scaledis.datasets.base import sampling
from tests import tiny

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8)


class Mine:
    """An object that has just what is needed, and counts how often an example is asked for."""

    def __init__(self, examples):
        self.examples, self.asked = list(examples), []

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, place):
        self.asked.append(place)
        return self.examples[place]


def load(tmp_path, examples, **options):
    return datasets.load(Mine(examples), tmp_path, **options)


def test_each_example_is_asked_for_once_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 4 * IMAGES[0].nbytes)
    mine = Mine(IMAGES)
    data = datasets.load(mine, tmp_path)
    assert mine.asked == list(range(9)) and data.name == "examples: Mine" and data.factor_names == ()
    assert isinstance(data.source, np.memmap) and data.source.ctypes.data % 64 == 0
    np.testing.assert_array_equal(data.images(np.arange(9)), IMAGES)
    assert os.listdir(tmp_path / "examples") == []  # the file has no name, and ends with the process
    assert data.fingerprint == load(tmp_path, list(IMAGES)).fingerprint != load(tmp_path, IMAGES[:8]).fingerprint


def test_its_facts_say_that_no_config_names_it(tmp_path):
    with pytest.raises(UserError, match="run was trained on an object of Python, 'examples: Mine', which only"):
        sampling.check_named(sampling.facts(load(tmp_path, IMAGES), Data()), "run")
    sampling.check_named(sampling.facts(tiny.dataset(), Data()), "run")


def pillow(image):
    return Image.fromarray(image)


def chw(image):
    return np.moveaxis(image, 2, 0)


def framed(image):
    return {"name": "x", "image": image}


@pytest.mark.parametrize(
    "form", [np.asarray, pillow, chw, list, framed, lambda image: (image,), lambda image: [image, []]]
)
def test_images_of_every_form(tmp_path, form):
    np.testing.assert_array_equal(load(tmp_path, map(form, IMAGES)).source, IMAGES)


def test_images_of_torch_from_0_to_1(tmp_path):
    torch = pytest.importorskip("torch")
    pairs = [(torch.from_numpy(chw(image).copy()) / 255, torch.tensor(place)) for place, image in enumerate(IMAGES)]
    data = load(tmp_path, pairs, scale=True)
    np.testing.assert_array_equal(data.source, IMAGES)
    np.testing.assert_array_equal(data.factors(np.arange(9))[:, 0], np.arange(9))


def test_floats_from_0_to_1_need_a_scale(tmp_path):
    with pytest.raises(UserError, match="Mine: float64 pixels are not all whole numbers"):
        load(tmp_path, IMAGES / 255)
    np.testing.assert_array_equal(load(tmp_path, IMAGES / 255, scale=True).source, IMAGES)


def test_pillow_in_gray_and_with_transparency(tmp_path):
    gray = [Image.fromarray(image[..., 0]) for image in IMAGES]
    np.testing.assert_array_equal(load(tmp_path, gray).source[..., 0], IMAGES[..., 0])
    clear = Image.new("RGBA", (16, 16), (9, 9, 9, 0))
    data = load(tmp_path, [Image.fromarray(IMAGES[0]), gray[1], clear])  # gray among colored ones
    np.testing.assert_array_equal(data.source[1], np.repeat(IMAGES[1, ..., :1], 3, axis=2))
    assert (data.source[2] == 255).all()


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ([3, 1, 3], ("factor_0",), [[1], [0], [1]]),
        ([np.int64(3), np.int64(1), np.int64(3)], ("factor_0",), [[1], [0], [1]]),
        (["b10", "b9", "b10"], ("factor_0",), [[1], [0], [1]]),
        ([(1, 5), (2, 5), (1, 6)], ("factor_0", "factor_1"), [[0, 0], [1, 0], [0, 1]]),
        (list(np.array([[1, 5], [2, 5], [1, 6]])), ("factor_0", "factor_1"), [[0, 0], [1, 0], [0, 1]]),
        ([{"hue": 1}, {"hue": 2}, {"hue": 1}], ("hue",), [[0], [1], [0]]),
        ([0.5, None, -2.0], ("factor_0",), [[0.5], [np.nan], [-2]]),
        ([{"hue": 1}, {"size": 0.5}, {"hue": 3}], ("hue", "size"), [[1, np.nan], [np.nan, 0.5], [3, np.nan]]),
    ],
)
def test_labels_of_every_form(tmp_path, labels, names, expected):
    data = load(tmp_path, zip(IMAGES, labels, strict=False))
    assert data.factor_names == names
    np.testing.assert_array_equal(data.factors(np.arange(3)), expected)


def test_images_of_another_size_are_padded(tmp_path, capsys):
    data = load(tmp_path, IMAGES[:, :12], resolution=16)
    assert data.name == "examples: Mine, padded to 16x16" and "padded to 16x16" in capsys.readouterr().err
    np.testing.assert_array_equal(data.source[:, 2:14], IMAGES[:, :12])


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ([], {}, "Mine: there is no image."),
        ([IMAGES[0], IMAGES[1, :8]], {}, "Mine: image 1 is of 8x16x3, and the first one of 16x16x3; make them of one"),
        ([IMAGES], {}, r"Mine: example 0: shape \(9, 16, 16, 3\); an image \[H, W\], .* is needed"),
        ([IMAGES[0], "text"], {}, "Mine: example 1: text .str, <U4.; an array of numbers is needed"),
        ([IMAGES[0], ()], {}, r"Mine: example 1: shape \(0,\); an image"),
        ([IMAGES[0], None], {}, "Mine: example 1: None; an array of numbers is needed"),
        ([{"picture": IMAGES[0]}], {}, "data.images: the image of dataset Mine: example 0: '' is unknown. .*picture"),
        ([{"image": IMAGES[0]}], {"images": "imag"}, "data.images: .*'imag' is unknown. Did you mean 'image'"),
        ([(IMAGES[0], (1, 2)), (IMAGES[1], (1,))], {}, "Mine: examples come with 1 or 2 labels; one number each"),
        ([(IMAGES[0], IMAGES[1])], {}, "Mine: the label 'factor_0' of example 0 is of shape .16, 3.; one value each"),
        ([(IMAGES[0], 1), (IMAGES[1], "a")], {}, "Mine: 'factor_0' mixes text, bools and numbers"),
        ([IMAGES[0, :12]], {}, "Mine: images of 12x16 must be squares"),
        ([IMAGES[0]], {"labels": "x"}, "data.labels: 'x' is not understood by examples"),
    ],
)
def test_objects_that_hold_something_else(tmp_path, examples, options, message):
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, examples, **options)
    assert "\n" not in str(error.value)


def test_an_error_of_the_object_keeps_its_traceback(tmp_path):
    class Broken(Mine):
        def __getitem__(self, place):
            raise KeyError("a bug of the user's")

    with pytest.raises(KeyError, match="a bug of the user's"):
        datasets.load(Broken([1]), tmp_path)


def test_without_an_object_the_name_says_how(tmp_path):
    with pytest.raises(UserError, match="data.name: examples are an object of Python; scaledis.load_dataset"):
        datasets.load("examples", tmp_path)
    with pytest.raises(UserError, match="data.name: 5 is unknown"):
        datasets.load(5, tmp_path)
    with pytest.raises(UserError, match="data: 'examples' is unknown"):
        datasets.load("examples", tmp_path, examples=Mine(IMAGES))


def test_a_config_prepares_the_object_that_trains(tmp_path):
    config = tiny.config(method__name="vae", data__directory=str(tmp_path), data__scale=True, train__steps=2)
    pairs = Mine(zip(IMAGES / 255, np.linspace(0, 1, 9), strict=True))
    [model] = scaledis.train(config, pairs)
    assert model.encode(IMAGES).mean.shape == (9, 3) and pairs.asked == list(range(9))
    with pytest.raises(UserError, match="dataset: 'rendered' is a name; set data.name, or give load_dataset"):
        scaledis.train(config, "rendered")
    with pytest.raises(UserError, match="dataset: 5 must be"):
        scaledis.train(config, 5)
    assert sampling.prepared(None, Data()) is None and sampling.prepared(tiny.dataset(), Data()) is tiny.dataset()
