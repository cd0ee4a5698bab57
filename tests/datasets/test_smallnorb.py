"""smallNORB from small files of the published layout."""

import gzip

import numpy as np
import pytest

from scaledis.datasets import Options, smallnorb
from scaledis.datasets._builders import prepare
from tests.datasets import agrees, holds, place, raises, reduced

RNG = np.random.default_rng(0)


def norb(array: np.ndarray, magic: int | None = None) -> bytes:
    """NORB's binary format: magic number, rank, at least three sizes, and the array; all integers little-endian."""
    magic = {np.dtype("u1"): 0x1E3D4C55, np.dtype("<i4"): 0x1E3D4C54}[array.dtype] if magic is None else magic
    sizes = [*array.shape, 1, 1][: max(3, array.ndim)]
    return gzip.compress(np.array([magic, array.ndim, *sizes], "<i4").tobytes() + array.tobytes(), 1)


def toys(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stereo pairs [n, 2, 96, 96], categories [n] and (instance, elevation, azimuth, lighting) [n, 4]."""
    pairs = RNG.integers(0, 256, (count, 2, 96, 96), np.uint8)
    info = np.stack([RNG.integers(0, n, count) for n in (10, 9, 18, 6)], axis=-1).astype("<i4") * [1, 1, 2, 1]
    return pairs, RNG.integers(0, 5, count).astype("<i4"), info.astype("<i4")


@pytest.fixture
def toy_splits(monkeypatch):
    monkeypatch.setattr(smallnorb, "SPLITS", {"train": range(7), "test": range(7, 12)})


def test_smallnorb(tmp_path, monkeypatch, toy_splits):
    monkeypatch.setattr(smallnorb, "ROWS", 3)
    parts = [toys(7), toys(5)]
    source = place(smallnorb.SOURCE, tmp_path, [norb(array) for part in parts for array in part], count=12)
    pairs, category, info = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    images = np.stack([reduced(pair[0]) for pair in pairs])[..., None]
    factors = np.stack([category, info[:, 1], info[:, 2] // 2, info[:, 3]], axis=-1)
    data = prepare.load(source, smallnorb.read, tmp_path, Options())
    agrees(data, images, factors)
    assert (data.factors(data.matching(np.random.default_rng(0), 5, category=category[0]))[:, 0] == category[0]).all()
    np.testing.assert_array_equal(data.factors(smallnorb.SPLITS["test"]), factors[7:])
    folder = tmp_path / "smallnorb" / "1.0.0"
    assert {"factors.npy", "images.npy", "manifest.json"} < {path.name for path in folder.iterdir()}
    np.save(folder / "factors.npy", factors[:3])
    holds(prepare.load(source, None, tmp_path, Options()), images, factors)  # made again from the records


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (0, lambda pairs: norb(pairs, magic=0x1E3D4C51), "dat.mat.gz: content is magic number 0x1e3d4c51"),
        (0, lambda pairs: norb(pairs[:, :1]), r"content is uint8 \(7, 1, 96, 96\), expected uint8 \(7, 2, 96, 96\)"),
        (0, lambda pairs: norb(pairs)[:-2000], "dat.mat.gz cannot be read: "),
        (0, lambda pairs: gzip.compress(gzip.decompress(norb(pairs))[:-1], 1), "bytes left is 129023, expected 129024"),
        (0, lambda pairs: b"MATLAB", "dat.mat.gz cannot be read: Not a gzipped file"),
        (1, lambda category: norb(category[:6]), r"cat.mat.gz: content is int32 \(6,\), expected int32 \(7,\)"),
        (2, lambda info: norb(2 * info + 1), r"factor index of image 0 is .*, expected"),
    ],
)
def test_smallnorb_of_something_else(tmp_path, toy_splits, number, change, message):
    arrays = [*toys(7), *toys(5)]
    files = [change(array) if place == number else norb(array) for place, array in enumerate(arrays)]
    raises(place(smallnorb.SOURCE, tmp_path, files, count=12), smallnorb.read, tmp_path, message)
