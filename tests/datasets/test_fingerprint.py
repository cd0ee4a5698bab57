"""What a data set's fingerprint stands for."""

import dataclasses
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.datasets import Dataset
from scaledis.datasets.base import dataset
from tests import tiny

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
VALUES = (np.array([0.1, 0.2]), np.array(["a", "b", "c"]), np.arange(4))
DATA = Dataset("stored", ("hue", "kind", "size"), VALUES, (16, 16, 3), IMAGES, datasets.rows)


def changed(image: int, data: np.ndarray = IMAGES) -> np.ndarray:
    data = data.copy()
    data[image, 3, 4, 1] ^= 1
    return data


def test_it_is_a_short_hex_digest_that_does_not_change():
    assert DATA.fingerprint == "6a28b0c5c1c4f5f3"  # on every machine, and in every later version
    assert tiny.dataset().fingerprint == dataclasses.replace(tiny.dataset(), name="other").fingerprint


@pytest.mark.parametrize(
    "change",
    [
        *({"source": changed(image)} for image in range(24)),
        {"factor_names": ("hue", "kind", "scale")},
        {"factor_values": (np.array([0.1, 0.3]), *VALUES[1:])},
        {"factor_values": (VALUES[0], np.array(["a", "b", "d"]), VALUES[2])},
        {"source": IMAGES[:12], "factor_values": (*VALUES[:2], np.arange(2))},
        {"table": DATA.factors(np.arange(24))},
        {"table": DATA.factors(np.arange(24))[::-1]},
        {"held_out": np.arange(4)},
        {"source": IMAGES.reshape(24, 8, 32, 3), "image_shape": (8, 32, 3)},
    ],
)
def test_any_other_content_is_seen(change):
    assert dataclasses.replace(DATA, **change).fingerprint != DATA.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"name": "the same under another name"},
        {"source": jnp.asarray(IMAGES)},
        {"factor_values": (VALUES[0] * (1 + 1e-15), *VALUES[1:])},
        {"factor_values": (*VALUES[:2], np.arange(4, dtype=np.int16))},
    ],
)
def test_the_same_content_has_the_same_fingerprint(change):
    assert dataclasses.replace(DATA, **change).fingerprint == DATA.fingerprint


def test_a_large_set_is_sampled(monkeypatch):
    monkeypatch.setattr(dataset, "WHOLE", 1000)
    monkeypatch.setattr(dataset, "SAMPLE", 4)
    read, gather = [], DATA.gather
    sampled = dataclasses.replace(DATA, gather=lambda source, index: (read.extend(index), gather(source, index))[1])
    before = sampled.fingerprint
    assert read == [0, 7, 15, 23]
    for image, seen in ((7, True), (23, True), (8, False)):
        assert (dataclasses.replace(sampled, source=changed(image)).fingerprint != before) == seen


def test_computed_images_are_known_by_their_version(tmp_path):
    data = datasets.load("rendered_dsprites", tmp_path)
    assert data.fingerprint == dataclasses.replace(data, source=data.source * 2).fingerprint  # no pixel is drawn
    assert data.fingerprint != dataclasses.replace(data, version="rendered_dsprites 0").fingerprint


def test_another_process_finds_the_same(tmp_path):
    np.savez(tmp_path / "my.npz", images=IMAGES, factors=DATA.factors(np.arange(24)), names=DATA.factor_names)
    code = (
        f"from scaledis import datasets; print(datasets.load('arrays', path={str(tmp_path / 'my.npz')!r}).fingerprint)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == datasets.load("arrays", tmp_path, path=tmp_path / "my.npz").fingerprint


def test_a_replaced_file_and_a_folder_with_more_images_differ(tmp_path):
    found = set()
    for seed in range(2):
        np.savez(tmp_path / "my.npz", images=IMAGES + np.uint8(seed))
        found.add(datasets.load("arrays", tmp_path, path=tmp_path / "my.npz").fingerprint)
    for number in range(5):
        (tmp_path / "folder of mine").mkdir(exist_ok=True)
        Image.fromarray(IMAGES[number]).save(tmp_path / "folder of mine" / f"{number}.png")
        found.add(datasets.load("folder", tmp_path, path=tmp_path / "folder of mine").fingerprint)
    assert len(found) == 7
