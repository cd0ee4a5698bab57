"""Data sets of Hugging Face's library, from the disk and as objects. Nothing is downloaded."""

import builtins
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.config import Data
from scaledis.core.errors import UserError
from scaledis.datasets._builders import listing
from scaledis.datasets.base import sampling

for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ[variable] = "1"
library = pytest.importorskip("datasets")

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
COLUMNS = {
    "kind": [1, 0, 1, 2, -1, 1],
    "angle": [0.5, None, 2.0, 3.0, 4.0, 5.0],
    "view": ["v10", "v9", "v10", "v9", "v9", None],
    "boxes": [[1, 2]] * 6,
}
EXPECTED = [[2, 0.5, 1], [0, np.nan, 0], [2, 2, 1], [1, 3, 0], [np.nan, 4, 0], [2, 5, np.nan]]


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files that have just been written count as unchanged."""
    monkeypatch.setattr(listing, "CLOCK", 0)


def made(images=IMAGES, **columns):
    features = library.Features(
        {
            "image": library.Image(),
            "kind": library.ClassLabel(names=["ball", "cube", "cone"]),
            "angle": library.Value("float64"),
            "view": library.Value("string"),
            "boxes": library.List(library.Value("int64")),
        }
    )
    content = {key: values[: len(images)] for key, values in (COLUMNS | columns).items()}
    return library.Dataset.from_dict({"image": list(map(Image.fromarray, images)), **content}, features)


def saved(tmp_path: Path, found) -> Path:
    found.save_to_disk(tmp_path / "mine")
    return tmp_path / "mine"


def load(tmp_path: Path, **options) -> datasets.Dataset:
    return datasets.load("huggingface", tmp_path / "data", path=tmp_path / "mine", **options)


def test_only_that_of_a_folder_is_named_by_a_config(tmp_path):
    saved(tmp_path, made())
    sampling.check_named(sampling.facts(load(tmp_path), Data()), "run")
    with pytest.raises(UserError, match="run was trained on an object of Python"):
        sampling.check_named(sampling.facts(datasets.load(made(), tmp_path), Data()), "run")


def test_a_folder_is_prepared_once_and_its_columns_are_factors(tmp_path, capsys):
    saved(tmp_path, made())
    found = [load(tmp_path) for _ in range(2)]
    assert capsys.readouterr().err.count("preparing 6 images") == 1
    for data in found:
        assert data.name == "huggingface: mine" and data.factor_names == ("kind", "angle", "view")
        np.testing.assert_array_equal(data.images(np.arange(6)), IMAGES)
        np.testing.assert_array_equal(data.factors(np.arange(6)), EXPECTED)
    assert data.factor_values[0].tolist() == ["ball", "cone", "cube"]  # in their natural order
    assert isinstance(data.source, np.memmap) and found[0].fingerprint == found[1].fingerprint


def test_an_object_is_the_folder(tmp_path):
    saved(tmp_path, made())
    data = datasets.load(made(), tmp_path)
    assert data.fingerprint == load(tmp_path).fingerprint
    part = datasets.load(made().select([3, 1]), tmp_path)
    np.testing.assert_array_equal(part.images(np.arange(2)), IMAGES[[3, 1]])


def test_labels_are_chosen_by_name(tmp_path):
    saved(tmp_path, made())
    assert load(tmp_path, labels="view,kind").factor_names == ("view", "kind")
    data = Data(name="huggingface", path="nowhere", directory=str(tmp_path), labels="view,kind")
    assert sampling.prepared(made(), data).factor_names == ("view", "kind")
    with pytest.raises(UserError, match="data.labels: a column of .*mine: 'vew' is unknown. Did you mean 'view'"):
        load(tmp_path, labels="vew")
    with pytest.raises(
        UserError, match="data.labels: a column of .*mine: 'boxes' is unknown. Choices: angle, kind, view"
    ):
        load(tmp_path, labels="boxes")


def test_a_folder_that_is_written_again_is_seen(tmp_path):
    path = saved(tmp_path, made())
    before = load(tmp_path)
    made(IMAGES[::-1]).save_to_disk(path)
    after = load(tmp_path)
    np.testing.assert_array_equal(after.images(np.arange(6)), IMAGES[::-1])
    assert after.fingerprint != before.fingerprint
    assert len([*(tmp_path / "data").rglob("images-*.npy")]) == 1


def test_a_column_of_arrays(tmp_path):
    features = library.Features({"x": library.Array3D((16, 16, 3), "uint8"), "y": library.Value("int64")})
    saved(tmp_path, library.Dataset.from_dict({"x": IMAGES, "y": [5, 6, 7, 5, 6, 7]}, features))
    data = load(tmp_path)
    np.testing.assert_array_equal(data.images(np.arange(6)), IMAGES)
    assert data.factors(np.arange(6)).dtype == np.int32 and data.factor_names == ("y",)


def test_the_column_of_images_is_named_where_there_are_several(tmp_path):
    masks = made().select_columns(["image"]).rename_column("image", "mask")
    saved(tmp_path, library.concatenate_datasets([made(), masks], axis=1))
    with pytest.raises(UserError, match="data.images: the column of images of .*: '' is unknown. Choices: image, mask"):
        load(tmp_path)
    assert load(tmp_path, images="mask").factor_names == ("kind", "angle", "view")
    with pytest.raises(UserError, match="'kind' is unknown. Choices: image, mask"):
        load(tmp_path, images="kind")


def test_splits_have_to_be_chosen(tmp_path):
    both = library.DatasetDict({"train": made(), "test": made(IMAGES[:2])})
    saved(tmp_path, both)
    for given in (lambda: load(tmp_path), lambda: datasets.load(both, tmp_path)):
        with pytest.raises(UserError, match="holds the splits train, test; take one of them"):
            given()
    assert datasets.load("huggingface", tmp_path, path=tmp_path / "mine" / "test").size == 2


def test_what_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="data.path: .*mine cannot be read as save_to_disk writes it: "):
        load(tmp_path)
    with pytest.raises(UserError, match="data.path: missing"):
        datasets.load("huggingface", tmp_path)
    sizes = library.Dataset.from_dict({"image": [Image.fromarray(IMAGES[0]), Image.new("RGB", (16, 8))]})
    with pytest.raises(UserError, match="image 1 is of 8x16x3, and the first one of 16x16x3"):
        datasets.load(sizes.cast_column("image", library.Image()), tmp_path)
    broken = library.Dataset.from_dict({"image": [{"bytes": b"no image", "path": None}]})
    with pytest.raises(UserError, match="image 0 cannot be read: cannot identify"):
        datasets.load(broken.cast_column("image", library.Image()), tmp_path)
    missing = library.Dataset.from_dict({"image": [Image.fromarray(IMAGES[0]), None]})
    with pytest.raises(UserError, match="image 1: None; an array of numbers is needed"):
        datasets.load(missing.cast_column("image", library.Image()), tmp_path)
    importing = builtins.__import__

    def without(name, *rest):
        if name == "datasets":
            raise ImportError("No module named 'datasets'")
        return importing(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"huggingface needs pip install 'scaledis\[huggingface\]'"):
        load(tmp_path)
