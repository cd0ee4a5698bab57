"""The user's own arrays of images and factors."""

import os
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from scaledis import datasets
from scaledis.datasets import arrays
from scaledis.errors import UserError

GRID = np.stack(np.unravel_index(np.arange(24), (2, 3, 4)), axis=-1)


def archive(tmp_path, **content) -> str:
    np.savez(tmp_path / "my set.npz", **content)
    return str(tmp_path / "my set.npz")


def images(count: int = 24, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *(shape or (32, 32, 3))), np.uint8)


def test_arrays_on_a_full_grid(tmp_path):
    names = ["colour", "size", "side"]
    data = datasets.load("arrays", tmp_path, archive(tmp_path, images=images(), factors=GRID, names=names))
    assert (data.name, data.size, data.image_shape) == ("arrays: my set", 24, (32, 32, 3))
    assert data.table is None and data.factor_names == tuple(names) and data.factor_sizes == (2, 3, 4)
    np.testing.assert_array_equal(data.factors(np.arange(24)), GRID)
    np.testing.assert_array_equal(data.index(GRID), np.arange(24))
    np.testing.assert_array_equal(data.images([5, 0]), images()[[5, 0]])
    gathered = jax.jit(data.gather)(data.source, np.array([5, 0]))
    np.testing.assert_array_equal(gathered, images()[[5, 0]])
    assert os.listdir(tmp_path) == ["my set.npz"]


@pytest.mark.parametrize(
    "rows", [np.arange(24)[::-1], np.arange(23), np.r_[np.arange(23), 22], np.r_[np.arange(24), np.arange(24)]]
)
def test_arrays_that_are_no_full_grid_have_a_table(tmp_path, rows):
    content = {"images": images()[rows], "factors": GRID[rows].astype(np.uint8)}
    data = datasets.load("arrays", tmp_path, archive(tmp_path, **content))
    assert data.size == len(rows) and data.factor_names == ("factor_0", "factor_1", "factor_2")
    assert data.table.dtype == np.int32
    np.testing.assert_array_equal(data.factors(np.arange(len(rows))), GRID[rows])
    chosen = data.matching(np.random.default_rng(0), 50, factor_1=2)
    assert (data.factors(chosen)[:, 1] == 2).all()


def test_factor_values_become_ranks(tmp_path):
    values = (np.array([-7, 2]), np.array([10, 15, 90]), np.array([1, 2, 4, 8]))
    factors = np.stack([column[ranks] for column, ranks in zip(values, GRID.T, strict=True)], axis=-1)
    data = datasets.load("arrays", tmp_path, archive(tmp_path, images=images(), factors=factors))
    assert data.table is None
    np.testing.assert_array_equal(data.factors(np.arange(24)), GRID)
    for found, expected in zip(data.factor_values, values, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(48, 48), (16, 16, 1)])
def test_arrays_without_factors_and_in_grey(tmp_path, shape):
    data = datasets.load("arrays", tmp_path, archive(tmp_path, images=images(5, *shape)))
    assert data.image_shape == (*shape[:2], 1) and data.size == 5
    assert data.factor_names == data.factor_values == () and data.table.shape == (5, 0)
    np.testing.assert_array_equal(data.images([4])[0, ..., 0], images(5, *shape)[4].reshape(shape[:2]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pictures": images()}, "key: 'pictures' is unknown. Choices: factors, images, names"),
        ({"images": images(), "factor": GRID}, "key: 'factor' is unknown. Did you mean 'factors'?"),
        ({"factors": GRID}, r"list of keys is \['factors'\], expected images"),
        ({"images": images().astype(float)}, r"images is float64 \(24, 32, 32, 3\), expected uint8 \[N, H, W, C\]"),
        ({"images": images()[0, 0]}, r"images is uint8 \(32, 3\), expected"),
        ({"images": images(24, 32, 48, 3)}, r"images is uint8 \(24, 32, 48, 3\), expected .* H = W"),
        ({"images": images(24, 40, 40)}, r"images is uint8 \(24, 40, 40\), expected .* multiple of 16"),
        ({"images": images(24, 3, 32, 32)}, r"images is uint8 \(24, 3, 32, 32\), expected"),
        ({"images": images(24, 32, 32, 4)}, r"images is uint8 \(24, 32, 32, 4\), expected .* C 1 or 3"),
        ({"images": images()[:0]}, r"images is uint8 \(0, 32, 32, 3\), expected"),
        ({"images": images(), "factors": GRID[:20]}, r"factors is int64 \(20, 3\), expected integers .* N = 24"),
        ({"images": images(), "factors": GRID[:, 0]}, r"factors is int64 \(24,\), expected integers \[N, F\]"),
        ({"images": images(), "factors": GRID / 2}, r"factors is float64 \(24, 3\), expected integers"),
        ({"images": images(), "factors": GRID, "names": ["a", "b"]}, r"names is <U1 \['a', 'b'\], expected 3 diff"),
        (
            {"images": images(), "factors": GRID, "names": ["a", "b", "a"]},
            r"names is .*\['a', 'b', 'a'\], expected 3 different strings",
        ),
        ({"images": images(), "factors": GRID, "names": [1, 2, 3]}, r"names is int64 \[1, 2, 3\], expected 3 diff"),
        ({"images": images(), "names": ["a"]}, "names is .*, expected 0 different strings, one for each column"),
        ({"images": images(), "factors": GRID.astype(object)}, "factors is an object array.*, expected integers"),
        ({"images": np.array([None])}, "images is an object array.*, expected uint8"),
    ],
)
def test_an_archive_that_holds_something_else(tmp_path, content, message):
    path = archive(tmp_path, **content)
    with pytest.raises(ValueError, match=f"{path}: {message}") as error:
        datasets.load("arrays", tmp_path, path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_no_archive(tmp_path):
    with pytest.raises(UserError, match="data.path: there is no file .*/nowhere.npz"):
        datasets.load("arrays", tmp_path, str(tmp_path / "nowhere.npz"))
    np.save(tmp_path / "images.npy", images())
    with pytest.raises(ValueError, match="images.npy: content is no archive of arrays, expected a file of numpy.savez"):
        datasets.load("arrays", tmp_path, str(tmp_path / "images.npy"))


def test_an_archive_of_something_but_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "my.npz", "w") as file:
        file.writestr("images.npy", "text")
    with pytest.raises(ValueError, match=r"my.npz: images is \|S4 \(\), expected uint8"):
        datasets.load("arrays", tmp_path, str(tmp_path / "my.npz"))


def test_arrays_in_columns_are_brought_in_rows(tmp_path):
    content = {"images": np.asfortranarray(images()), "factors": np.asfortranarray(GRID)}
    data = datasets.load("arrays", tmp_path, archive(tmp_path, **content))
    assert data.table is None and data.source.flags.c_contiguous
    np.testing.assert_array_equal(data.images(range(24)), images())


def test_a_damaged_archive_is_named(tmp_path):
    path = Path(archive(tmp_path, images=images(), factors=GRID))
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="my set.npz: images is unreadable .*CRC"):
        datasets.load("arrays", tmp_path, str(path))


def test_every_key_is_documented():
    assert all(f"\n    {key} " in arrays.__doc__ for key in arrays.EXPECTED)
