"""Data sets that the user has from TFDS: tiny ones with the features of TFDS's builders, shuffled as TFDS does."""

import dataclasses
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import Options, celeba, dsprites, shapes3d, smallnorb
from scaledis.datasets._builders import prepare, records
from tests.datasets import grid, holds, reduced, shortened

RNG = np.random.default_rng(0)
LABEL = tfds.features.ClassLabel(num_classes=200)


def png(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, kind)
    return file.getvalue()


def write(directory: Path, name: str, features: dict[str, Any], **splits: list[dict[str, Any]]) -> Path:
    """A data set below `directory`, as TFDS writes it, with the examples of each split shuffled."""
    folder = directory / name / "2.0.0"
    folder.mkdir(parents=True)
    identity = tfds.core.dataset_info.DatasetIdentity(name, "2.0.0", str(folder), "")
    info = tfds.core.DatasetInfo(builder=identity, features=tfds.features.FeaturesDict(features))
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=20, file_format="array_record")
    writer.initialize_splits(list(splits))
    for split, examples in splits.items():
        writer.add_examples({split: [examples[row] for row in RNG.permutation(len(examples))]})
    writer.close_all()
    return folder


def write_grid(directory: Path, source: prepare.Source, images: np.ndarray, factors: np.ndarray) -> Path:
    """A copy of a set on a full grid, as its TFDS builder makes it."""
    labels = source.copy.factors
    features = {"image": tfds.features.Image(shape=images.shape[1:]), **dict.fromkeys(labels, LABEL)}
    values = {label.replace("label", "value"): np.float32 for label in labels}
    examples = [
        {"image": png(image), **dict(zip(labels, row.tolist(), strict=True)), **dict.fromkeys(values, 0.5)}
        for image, row in zip(images, factors, strict=True)
    ]
    return write(directory, source.copy.name, features | values, train=examples)


SHAPES = dataclasses.replace(shapes3d.SOURCE, factor_values=shortened(shapes3d.SOURCE, (2, 3, 2, 2, 2, 2)))
SHAPES_FACTORS = grid(2, 3, 2, 2, 2, 2)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """A directory of TFDS with a copy of shapes3d, and its images."""
    images = RNG.integers(0, 256, (len(SHAPES_FACTORS), 64, 64, 3), np.uint8)
    directory = tmp_path_factory.mktemp("tfds")
    write_grid(directory, SHAPES, images, SHAPES_FACTORS)
    return directory, images


@pytest.mark.parametrize("below", [".", "shapes3d", "shapes3d/2.0.0"])
def test_shapes3d_by_its_path(tmp_path, shapes, monkeypatch, below, capsys):
    monkeypatch.setattr(shapes3d, "SOURCE", SHAPES)
    monkeypatch.setattr(records, "BLOCK", 17)
    directory, images = shapes
    data = datasets.load("shapes3d", tmp_path, path=directory / below)
    holds(data, images, SHAPES_FACTORS)
    folder = tmp_path / "shapes3d" / "1.0.0"
    assert sorted(os.listdir(folder)) == ["images.npy", "manifest.json"] and "tensorflow" not in sys.modules
    assert json.loads((folder / "manifest.json").read_text())["origin"] == str(directory / "shapes3d" / "2.0.0")
    assert datasets.load("shapes3d", tmp_path).fingerprint == data.fingerprint  # the copy is needed no more
    (folder / "images.npy").unlink()
    holds(datasets.load("shapes3d", tmp_path, path=directory), images, SHAPES_FACTORS)
    assert "is not read" not in capsys.readouterr().err
    datasets.load("shapes3d", tmp_path, path=tmp_path / "other")
    assert f"was prepared from {directory}/shapes3d/2.0.0, and data.path={tmp_path}/other is" in capsys.readouterr().err


def test_a_copy_in_the_directory_of_tfds_is_found(tmp_path, shapes, monkeypatch, capsys):
    directory, images = shapes
    monkeypatch.setenv("TFDS_DATA_DIR", str(directory))
    holds(prepare.load(SHAPES, None, tmp_path, Options(download=True)), images, SHAPES_FACTORS)
    assert f"reading the TFDS copy in {directory}/shapes3d/2.0.0" in capsys.readouterr().err


def test_the_newest_version_is_taken(tmp_path):
    for version in ("2.0.0", "10.0.0", "9.0.0"):
        (tmp_path / "shapes3d" / version).mkdir(parents=True)
        (tmp_path / "shapes3d" / version / "dataset_info.json").write_text(
            json.dumps({"name": "shapes3d", "fileFormat": "array_record"})
        )
    assert records.find(shapes3d.SOURCE.copy, tmp_path) == tmp_path / "shapes3d" / "10.0.0"


def test_dsprites_has_pixels_of_0_and_255(tmp_path):
    source = dataclasses.replace(dsprites.SOURCE, factor_values=shortened(dsprites.SOURCE, (2, 2, 3, 2, 2)))
    factors = grid(2, 2, 3, 2, 2)
    images = RNG.integers(0, 2, (len(factors), 64, 64, 1), np.uint8)
    write_grid(tmp_path, source, images, factors)
    holds(prepare.load(source, None, tmp_path / "data", Options(path=tmp_path)), 255 * images, factors)


def test_smallnorb_has_left_images_of_training_then_test_toys(tmp_path):
    features = {key: tfds.features.Image(shape=(96, 96, 1)) for key in ("image", "image2")}
    names = ("label_category", "instance", "label_elevation", "label_azimuth", "label_lighting")
    splits, images, factors = {}, [], []
    for split in ("train", "test"):
        rows = grid(2, 2, 1, 2, 2)
        pixels = RNG.integers(0, 256, (len(rows), 96, 96), np.uint8)
        splits[split] = [
            {"image": png(image), "image2": png(255 - image), **dict(zip(names, row.tolist(), strict=True))}
            for image, row in zip(pixels, rows, strict=True)
        ]
        images += [reduced(image)[..., None] for image in pixels]
        factors += [row[[0, 2, 3, 4]] for row in rows]
    write(tmp_path, "smallnorb", features | dict.fromkeys(names, LABEL), test=splits["test"], train=splits["train"])
    source = dataclasses.replace(smallnorb.SOURCE, count=len(images))
    data = prepare.load(source, None, tmp_path / "data", Options(path=tmp_path))
    holds(data, np.stack(images), np.stack(factors))


def test_celeba_keeps_the_official_split(tmp_path, monkeypatch):
    attributes = dict.fromkeys(celeba.ATTRIBUTES, np.bool_)
    features = {
        "image": tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg"),
        "attributes": attributes,
        "landmarks": {"lefteye_x": np.int64},
    }
    splits, expected = {}, {}
    for split, count in (("validation", 2), ("test", 2), ("train", 5)):
        splits[split] = []
        for _ in range(count):
            photograph = png(
                np.asarray(Image.fromarray(RNG.integers(0, 256, (7, 7, 3), np.uint8)).resize((178, 218))), "JPEG"
            )
            present = RNG.integers(0, 2, 40).astype(bool)
            splits[split].append(
                {
                    "image": photograph,
                    "attributes": dict(zip(celeba.ATTRIBUTES, present.tolist(), strict=True)),
                    "landmarks": {"lefteye_x": 3},
                }
            )
            image = reduced(np.asarray(Image.open(io.BytesIO(photograph)))[35:183, 15:163])
            expected.setdefault(split, {})[image.tobytes()] = present
    write(tmp_path, "celeb_a", features, **splits)
    monkeypatch.setattr(celeba, "SPLITS", {"train": range(5), "validation": range(5, 7), "test": range(7, 9)})
    monkeypatch.setattr(celeba, "SOURCE", dataclasses.replace(celeba.SOURCE, count=9))
    data = datasets.load("celeba", tmp_path / "data", path=tmp_path)
    for split, index in celeba.SPLITS.items():
        found = zip(data.images(index), data.factors(index), strict=True)
        assert {image.tobytes(): tuple(row) for image, row in found} == {
            image: tuple(present) for image, present in expected[split].items()
        }
    assert data.held_out.tolist() == [5, 6, 7, 8]


def test_a_path_without_a_copy(tmp_path, shapes):
    with pytest.raises(UserError, match="data.path: .* holds no dsprites of TFDS; expected .*/dsprites/VERSION"):
        datasets.load("dsprites", tmp_path / "data", path=shapes[0])
    with pytest.raises(UserError, match="data.path: 'somewhere' is not understood by cars3d"):
        datasets.load("cars3d", tmp_path, path="somewhere")


def test_a_copy_in_a_format_of_tensorflow(tmp_path, shapes, monkeypatch, capsys):
    folder = tmp_path / "shapes3d" / "2.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(json.dumps({"name": "shapes3d", "version": "2.0.0"}))
    said = f"{folder} is stored as tfrecord, .* run `tfds convert_format --dataset_version_dir={folder} "
    with pytest.raises(UserError, match=f"data.path: {said}"):
        datasets.load("shapes3d", tmp_path / "data", path=tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="shapes3d needs files that are not there"):
        datasets.load("shapes3d", tmp_path / "data")
    assert "is stored as tfrecord" in capsys.readouterr().err


def test_a_copy_of_something_else(tmp_path, shapes):
    directory, images = shapes
    with pytest.raises(UserError, match="2.0.0: number of images is 96, expected 480000"):
        datasets.load("shapes3d", tmp_path, path=directory)
    assert os.listdir(tmp_path / "shapes3d") == [".lock"]
    folder = write_grid(tmp_path / "twice", SHAPES, images, SHAPES_FACTORS[[0, *range(95)]])
    with pytest.raises(UserError, match=r"factor index of image 1 is \[0 0 0 0 0 0\], expected \[0 0 0 0 0 1\]"):
        prepare.load(SHAPES, None, tmp_path, Options(path=folder))
    features = {"image": tfds.features.Image(shape=(64, 64, 3)), "label_scale": LABEL}
    examples = [{"image": png(image), "label_scale": 0} for image in images]
    folder = write(tmp_path / "split", "shapes3d", features, test=examples)
    with pytest.raises(UserError, match=r"list of splits is \['test'\], expected \['train'\]"):
        prepare.load(SHAPES, None, tmp_path, Options(path=folder))
    folder = write(tmp_path / "features", "shapes3d", features, train=examples)
    with pytest.raises(UserError, match=r"list of features is \['image', 'label_scale'\], expected one with label_flo"):
        prepare.load(SHAPES, None, tmp_path, Options(path=folder))


@pytest.mark.parametrize("module", [shapes3d, dsprites, smallnorb, celeba])
def test_the_builders_of_tfds_have_what_is_read(tmp_path, module):
    copy = module.SOURCE.copy
    features = tfds.builder(copy.name, data_dir=tmp_path).info.features
    for key in ("image", *copy.factors, *copy.order):
        place = features
        for part in key.split("/"):
            place = place[part]
    assert len(copy.factors) == len(module.SOURCE.factor_names) == len(set(copy.factors))
    sizes = [features[key].num_classes for key in copy.factors if key.startswith("label")]
    assert sizes == [len(values) for values in module.SOURCE.factor_values[: len(sizes)]]


@pytest.mark.parametrize("name", ["features.json", "*.array_record-*"])
def test_a_damaged_copy_is_named(tmp_path, shapes, name):
    folder = tmp_path / "copy"
    shutil.copytree(shapes[0] / "shapes3d" / "2.0.0", folder)
    for path in folder.glob(name):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[:50] if path.suffix == ".json" else content)
    with pytest.raises(UserError, match=f"{folder}"):
        prepare.load(SHAPES, None, tmp_path, Options(path=folder))
    assert os.listdir(tmp_path / "shapes3d") == [".lock"]
