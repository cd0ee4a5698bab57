"""The user's own arrays of images and factors."""

import os
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import arrays
from tests import archives

GRID = np.stack(np.unravel_index(np.arange(24), (2, 3, 4)), axis=-1)


def archive(tmp_path, **content) -> str:
    np.savez(tmp_path / "my set.npz", **content)
    return str(tmp_path / "my set.npz")


def images(count: int = 24, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *(shape or (32, 32, 3))), np.uint8)


def test_arrays_on_a_full_grid(tmp_path):
    names = ["color", "size", "side"]
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images(), factors=GRID, names=names))
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
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, **content))
    assert data.size == len(rows) and data.factor_names == ("factor_0", "factor_1", "factor_2")
    assert data.table.dtype == np.int32
    np.testing.assert_array_equal(data.factors(np.arange(len(rows))), GRID[rows])
    chosen = data.matching(np.random.default_rng(0), 50, factor_1=2)
    assert (data.factors(chosen)[:, 1] == 2).all()


def test_factor_values_become_ranks(tmp_path):
    values = (np.array([-7, 2]), np.array([10, 15, 90]), np.array([1, 2, 4, 8]))
    factors = np.stack([column[ranks] for column, ranks in zip(values, GRID.T, strict=True)], axis=-1)
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images(), factors=factors))
    assert data.table is None
    np.testing.assert_array_equal(data.factors(np.arange(24)), GRID)
    for found, expected in zip(data.factor_values, values, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(48, 48), (16, 16, 1)])
def test_arrays_without_factors_and_in_gray(tmp_path, shape):
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images(5, *shape)))
    assert data.image_shape == (*shape[:2], 1) and data.size == 5
    assert data.factor_names == data.factor_values == () and data.table.shape == (5, 0)
    np.testing.assert_array_equal(data.images([4])[0, ..., 0], images(5, *shape)[4].reshape(shape[:2]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pictures": images()}, "key: 'pictures' is unknown. Choices: factors, images, names"),
        ({"images": images(), "factor": GRID}, "key: 'factor' is unknown. Did you mean 'factors'?"),
        ({"factors": GRID}, r"list of keys is \['factors'\], expected images"),
        ({"images": images() / 255 + 1}, "images: float64 pixels are not all whole numbers; save them as uint8"),
        ({"images": images() * 257.0}, r"images: range is from 0 to 65535 \(float64\), expected 0 to 255"),
        ({"images": images() - 128.0}, "images: range is from -128 to 127"),
        ({"images": np.where(images() > 3, images(), np.nan)}, "images: range is from nan to nan"),
        ({"images": images().astype(str)}, "images: dtype is <U3, expected uint8, 0 to 255"),
        ({"images": images()[0, 0]}, r"images is uint8 \(32, 3\), expected uint8 \[N, H, W, C\]"),
        ({"images": images(24, 32, 48, 3)}, "images: images of 32x48 must be squares .* data.resolution=48 pads them"),
        ({"images": images(24, 40, 40)}, "images: images of 40x40 must be squares .* of 16 .* data.resolution=48 pads"),
        ({"images": images(24, 3, 32, 32)}, r"images is uint8 \(24, 3, 32, 32\), expected .*transpose\(0, 2, 3, 1\)"),
        ({"images": images(24, 32, 32, 4)}, r"images is uint8 \(24, 32, 32, 4\), expected .*\[..., :3\] leaves"),
        ({"images": images(24, 32, 32, 2)}, r"images is uint8 \(24, 32, 32, 2\), expected .* with C 1 or 3"),
        ({"images": images()[:0]}, r"images is uint8 \(0, 32, 32, 3\), expected"),
        ({"images": images(), "factors": GRID[:20]}, r"factors is int64 \(20, 3\), expected numbers.* N = 24"),
        ({"images": images(), "factors": GRID[None]}, r"factors is int64 \(1, 24, 3\), expected numbers"),
        ({"images": images(), "factors": GRID[:, 0] * np.nan}, "'factor_0' is missing in every row; leave the column"),
        (
            {"images": images(), "factors": np.where(GRID, np.inf, 0)},
            "'factor_0' holds an infinite number; NaN stands for",
        ),
        (
            {"images": images(), "factors": GRID * 1j},
            "factors is complex128 .*, expected numbers, bools",
        ),
        ({"images": images(), "factors": GRID, "names": ["a", "b"]}, r"names is <U1 \['a', 'b'\], expected 3 diff"),
        (
            {"images": images(), "factors": GRID, "names": ["a", "b", "a"]},
            r"names is .*\['a', 'b', 'a'\], expected 3 different strings",
        ),
        ({"images": images(), "factors": GRID, "names": [1, 2, 3]}, r"names is int64 \[1, 2, 3\], expected 3 diff"),
        ({"images": images(), "names": ["a"]}, "names is .*, expected 0 different strings, one for each column"),
        (
            {"images": images(), "factors": GRID.astype(object)},
            "factors is an object array, .*dtype=int makes a plain one",
        ),
        ({"images": np.array([None])}, "images is an object array.*, expected uint8"),
    ],
)
def test_an_archive_that_holds_something_else(tmp_path, content, message):
    path = archive(tmp_path, **content)
    with pytest.raises(ValueError, match=f"{path}: {message}") as error:
        datasets.load("arrays", tmp_path, path=path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pixels", "scaled"),
    [
        (np.arange(24) % 2 == 1, 255),
        (np.arange(24, dtype=np.uint8) % 2, 255),
        (np.arange(24) % 2 / 4, 64),  # 63.75
        (np.float32(np.arange(24) % 2), 255),
    ],
)
def test_images_of_0_to_1_are_refused_or_scaled(tmp_path, pixels, scaled):
    path = archive(tmp_path, images=np.broadcast_to(pixels[:, None, None], (24, 16, 16)))
    with pytest.raises(UserError, match="largest pixel is .*nearly black; data.scale=True multiplies them by 255."):
        datasets.load("arrays", tmp_path, path=path)
    data = datasets.load("arrays", tmp_path, path=path, scale=True)
    assert data.source.dtype == np.uint8 and np.unique(data.source).tolist() == [0, scaled]


def test_images_that_need_no_scale_are_not_scaled(tmp_path):
    path = archive(tmp_path, images=images())
    with pytest.raises(UserError, match="data.scale=True is for pixels from 0 to 1, and the largest is 255"):
        datasets.load("arrays", tmp_path, path=path, scale=True)


@pytest.mark.parametrize("kind", [float, np.float32, np.int64, np.uint16])
def test_pixels_that_are_whole_numbers_of_another_type(tmp_path, kind):
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images().astype(kind)))
    assert data.source.dtype == np.uint8
    np.testing.assert_array_equal(data.source, images())


def test_small_images_are_padded_with_their_borders(tmp_path, capsys):
    small = images(5, 28, 28)
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=small), resolution=32)
    assert data.image_shape == (32, 32, 1) and data.name == "arrays: my set, padded to 32x32"
    np.testing.assert_array_equal(data.source[:, 2:-2, 2:-2, 0], small)
    np.testing.assert_array_equal(data.source[:, 0, 2:-2, 0], small[:, 0])
    np.testing.assert_array_equal(data.source[:, 2:-2, -1, 0], small[:, :, -1])
    assert "images of 28x28 are padded to 32x32 (data.resolution)" in capsys.readouterr().err


@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_are_not_square_are_padded_and_resized(tmp_path, capsys, channels):
    wide = images(3, 20, 40, channels)
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=wide), resolution=16)
    square = np.pad(wide, [(0, 0), (10, 10), (0, 0), (0, 0)], mode="edge")
    for found, image in zip(data.source, square.squeeze(), strict=True):
        expected = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(found.squeeze(), expected)
    assert "images of 20x40 are padded to 40x40 and resized to 16x16" in capsys.readouterr().err


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, 2.0, 7.0, 90.0]),
        np.array(["back", "front", "left", "right"]),
        np.array([b"back", b"front", b"left", b"right"]),
    ],
)
def test_factors_of_any_type_are_ranked_and_their_values_kept(tmp_path, values):
    factors = values[GRID[:, [2]]]
    for given in (factors, factors[:, 0]):  # a single factor may be a vector
        data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images(), factors=given, names="side"))
        assert data.factor_names == ("side",)
        np.testing.assert_array_equal(data.factors(np.arange(24)), GRID[:, [2]])
        assert [str(value) for value in data.factor_values[0]] == [
            str(v) for v in values.astype(data.factor_values[0].dtype)
        ]


def test_strings_are_in_the_order_of_the_numbers_in_them(tmp_path):
    values = np.array(["scale_-1", "scale_0.5", "scale_2", "scale_10"])
    factors = np.stack([values[GRID[:, 2]], GRID[:, 1].astype(str)], axis=-1)
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images(), factors=factors))
    assert data.factor_values[0].tolist() == values.tolist()
    np.testing.assert_array_equal(data.factors(np.arange(24)), GRID[:, [2, 1]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"names": ["a\ud800", "b", "c"]}, r"the name 'a\\ud800' is no UTF-8 text; rename it"),
        ({"factors": np.where(GRID, "\udcff", "b")}, r"the name '\\udcff' is no UTF-8 text; rename it"),
        ({"factors": np.where(GRID, b"\xff", b"\xfe")}, "factors is .S1 .*, not in UTF-8 .*, expected numbers"),
    ],
)
def test_names_that_could_not_be_written_down_are_refused(tmp_path, content, message):
    path = archive(tmp_path, **{"images": images(), "factors": GRID, **content})
    with pytest.raises(UserError, match=message):
        datasets.load("arrays", tmp_path, path=path)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, ">u2", np.uint64])
@pytest.mark.parametrize("bits", [12, 16])
def test_whole_numbers_of_more_than_8_bits(tmp_path, kind, bits):
    deep = np.random.default_rng(0).integers(0, 4096, (5, 16, 16, 3))
    path = archive(tmp_path, images=deep.astype(kind))
    with pytest.raises(UserError, match=r"range is from 0 to 4095 .*, or 0 to 4095 with data.bits=12; bring"):
        datasets.load("arrays", tmp_path, path=path)
    data = datasets.load("arrays", tmp_path, path=path, bits=bits)
    assert data.source.dtype == np.uint8
    np.testing.assert_array_equal(data.source, deep // 2 ** (bits - 8))
    with pytest.raises(
        UserError, match=r"range is from 0 to 4095 .*, expected 0 to 1023 by data.bits=10, or 0 to 4095 w"
    ):
        datasets.load("arrays", tmp_path, path=path, bits=10)


@pytest.mark.parametrize("kind", [np.uint8, bool, float])
def test_bits_are_for_whole_numbers_of_more_than_8(tmp_path, kind):
    with pytest.raises(UserError, match="data.bits=12 is for whole numbers of more bits than 8, not "):
        datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images().astype(kind)), bits=12)


def test_bools_are_factors(tmp_path):
    factors = GRID[:, :2] > 0
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, images=images(), factors=factors))
    np.testing.assert_array_equal(data.factors(np.arange(24)), factors)
    assert data.factor_values[0].tolist() == [False, True] and data.fingerprint


def test_a_file_that_is_missing_or_no_archive(tmp_path):
    with pytest.raises(UserError, match="data.path: .*/nowhere.npz: there is no such file"):
        datasets.load("arrays", tmp_path, path=str(tmp_path / "nowhere.npz"))
    np.save(tmp_path / "images.npy", images())
    (tmp_path / "images.npy").rename(tmp_path / "my.npz")
    with pytest.raises(ValueError, match="my.npz: not an .npz file of plain arrays"):
        datasets.load("arrays", tmp_path, path=str(tmp_path / "my.npz"))
    with pytest.raises(
        UserError, match="data.path: .*my.mat must be a file that ends in .h5, .hdf, .hdf5, .npy, .npz."
    ):
        datasets.load("arrays", tmp_path, path=str(tmp_path / "my.mat"))


def test_an_archive_of_something_but_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "my.npz", "w") as file:
        file.writestr("images.npy", "text")
    with pytest.raises(ValueError, match=r"my.npz: images is \|S4 \(\), expected uint8"):
        datasets.load("arrays", tmp_path, path=str(tmp_path / "my.npz"))


def test_arrays_in_columns_are_brought_in_rows(tmp_path):
    content = {"images": np.asfortranarray(images()), "factors": np.asfortranarray(GRID)}
    data = datasets.load("arrays", tmp_path, path=archive(tmp_path, **content))
    assert data.table is None and data.source.flags.c_contiguous
    np.testing.assert_array_equal(data.images(range(24)), images())


def test_a_damaged_archive_is_named(tmp_path):
    path = Path(archive(tmp_path, images=images(), factors=GRID))
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="my set.npz: images is unreadable .*CRC"):
        datasets.load("arrays", tmp_path, path=str(path))


def test_a_header_that_claims_petabytes_is_a_sentence(tmp_path):
    archives.claiming(tmp_path / "my.npz", "images", (2**50, 16, 16))
    with pytest.raises(UserError, match="my.npz: images is unreadable .*, expected uint8"):
        datasets.load("arrays", tmp_path, path=str(tmp_path / "my.npz"))


def test_a_file_damaged_anywhere_is_a_sentence(tmp_path):
    path = Path(archive(tmp_path, images=images(6, 16, 16), factors=np.arange(6), names="a"))
    whole, rng, errors = path.read_bytes(), np.random.default_rng(0), 0
    headers = [place for place in range(len(whole)) if whole[place : place + 2] == b"PK"]
    for _ in range(300):
        content = bytearray(whole)
        for place in [rng.integers(len(whole)), rng.choice(headers) + rng.integers(46)]:
            content[min(place, len(whole) - 1)] = rng.integers(256)
        path.write_bytes(content)
        try:
            datasets.load("arrays", tmp_path, path=path)
        except UserError as error:
            errors += str(path) in str(error)
    assert errors > 250


def test_every_key_is_documented():
    assert all(f"\n    {key} " in arrays.__doc__ for key in arrays.EXPECTED)
