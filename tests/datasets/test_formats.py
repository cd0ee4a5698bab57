"""The user's own images in .npy and HDF5 files: mapped where they lie, or prepared in a stream."""

import os
import shutil

import h5py
import jax
import numpy as np
import pytest

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets._builders import disk, listing, stream

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
ANGLES = np.linspace(-1, 1, 24)
SHAPES = np.array(["cube", "ball", "cone", "cube"] * 6)
CSV = "shape,hue\n" + "".join(f"{shape},{place % 5}\n" for place, shape in enumerate(SHAPES))


def load(tmp_path, name, **options):
    return datasets.load("arrays", tmp_path / "data", path=tmp_path / name, **options)


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files that have just been written count as unchanged."""
    monkeypatch.setattr(listing, "CLOCK", 0)


@pytest.fixture
def hdf5(tmp_path):
    """Writes tmp_path/my.h5: arrays by their keys, those of `options` with the options of h5py."""

    def write(arrays, **options):
        with h5py.File(tmp_path / "my.h5", "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=array, **(options if key == "images" else {}))
        return "my.h5"

    return write


def test_npy_is_mapped_where_it_lies_and_the_csv_beside_it_names_the_factors(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    (tmp_path / "factors.csv").write_text(CSV)
    data = load(tmp_path, "images.npy")
    assert isinstance(data.source, np.memmap) and not data.source.flags.writeable
    assert os.path.samefile(data.source.filename, tmp_path / "images.npy") and not (tmp_path / "data").exists()
    placed = jax.device_put(data.source, jax.devices("cpu")[0])
    assert placed.unsafe_buffer_pointer() == data.source.ctypes.data  # a CPU device shares the memory map
    np.testing.assert_array_equal(data.images([5, 0]), IMAGES[[5, 0]])
    assert data.name == "arrays: images" and data.factor_names == ("shape", "hue")
    assert data.factor_values[0].tolist() == ["ball", "cone", "cube"] and data.factors([0]).dtype == np.int32
    np.testing.assert_array_equal(data.factors([0, 1, 7]), [[2, 0], [0, 1], [2, 2]])


def test_npy_has_factors_of_an_array_beside_it_or_of_a_file_that_is_named(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES[..., 0])
    assert load(tmp_path, "images.npy").factor_names == () and load(tmp_path, "images.npy").image_shape == (32, 32, 1)
    np.save(tmp_path / "factors.npy", np.arange(24) % 3)
    np.testing.assert_array_equal(load(tmp_path, "images.npy").factors([0, 4, 5]), [[0], [1], [2]])
    (tmp_path / "factors.csv").write_text(CSV)
    with pytest.raises(UserError, match="data.labels: .*factors.csv and factors.npy are both there; name the one"):
        load(tmp_path, "images.npy")
    data = load(tmp_path, "images.npy", labels=str(tmp_path / "factors.csv"))
    assert data.factor_names == ("shape", "hue")


def test_a_full_grid_in_a_csv_is_a_grid(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    rows = [f"{a},{b},{c}" for a in "xy" for b in (10, 20, 30) for c in (0.5, 1, 2, 4)]
    (tmp_path / "factors.csv").write_text("\n".join(["a,b,c", *rows]))
    assert load(tmp_path, "images.npy").measured  # by c
    (tmp_path / "factors.csv").write_text("\n".join(["a,b,c", *rows]).replace("0.5", "0"))
    data = load(tmp_path, "images.npy")
    assert data.table is None and data.factor_sizes == (2, 3, 4) and not data.measured


def test_labels_come_back_as_they_lie(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES[:6])
    rows = ["-0.5,cube,3,True", ",ball,4,", "2.25,,5,False", "1e3,cone,6,True", "NaN,cube,7,NA", "0, cube,9,True"]
    text = "\n".join(["angle,shape,count,seen", *rows])
    (tmp_path / "factors.csv").write_text(text)
    data = load(tmp_path, "images.npy")
    nan = np.nan
    expected = [[-0.5, 2, 3, 1], [nan, 0, 4, nan], [2.25, nan, 5, 0], [1e3, 1, 6, 1], [nan, 2, 7, nan], [0, 2, 9, 1]]
    assert data.factors(np.arange(6)).dtype == np.float64 and data.measured
    np.testing.assert_array_equal(data.factors(np.arange(6)), expected)
    np.testing.assert_array_equal(data.ranks(np.array([0, 2])), [[0, 2, 0, 1], [2, -1, 2, 0]])
    assert [values.tolist() for values in data.factor_values] == [
        [-0.5, 0, 2.25, 1e3],
        ["ball", "cone", "cube"],
        [3, 4, 5, 6, 7, 9],
        [False, True],
    ]
    chosen = data.matching(np.random.default_rng(0), 20, shape=2)
    assert set(chosen) == {0, 4, 5}
    (tmp_path / "factors.csv").write_text(text.replace("2.25", "2.5"))
    assert load(tmp_path, "images.npy").fingerprint != data.fingerprint


def test_a_word_among_numbers_is_said(tmp_path, capsys):
    np.save(tmp_path / "images.npy", IMAGES[:5])
    (tmp_path / "factors.csv").write_text("a,b,c\n1,2,x\n0.5,?,1\nNone,3,y\n2,,z\n3,4,7\n")
    assert [values.tolist() for values in load(tmp_path, "images.npy").factor_values[:2]] == [
        ["0.5", "1", "2", "3", "None"],
        ["2", "3", "4", "?"],
    ]
    said = capsys.readouterr().err
    assert "factors.csv: 'a' is text, since 1 of 5 cells are no numbers, such as 'None'; a cell" in said
    assert "'b' is text, since 1 of 4 cells are no numbers, such as '?'" in said and "'c'" not in said


def test_nan_among_text_is_missing(tmp_path):
    factors = np.array([["red", 1.5], ["nan", 2], ["blue", np.nan]])  # numpy makes text of all
    np.savez(tmp_path / "my.npz", images=IMAGES[:3], factors=factors)
    nan = np.nan
    data = load(tmp_path, "my.npz")
    np.testing.assert_array_equal(data.factors(np.arange(3)), [[1, 0], [nan, 1], [0, nan]])
    assert [values.tolist() for values in data.factor_values] == [["blue", "red"], ["1.5", "2"]]


def test_npz_takes_fractions_and_missing_numbers_too(tmp_path):
    factors = np.stack([ANGLES, np.where(np.arange(24) % 4, np.arange(24), np.nan)], axis=1)
    np.savez(tmp_path / "my.npz", images=IMAGES, factors=factors)
    np.testing.assert_array_equal(load(tmp_path, "my.npz").factors(np.arange(24)), factors)


@pytest.mark.parametrize("chunks", [None, (5, 32, 32, 3)])
def test_hdf5_is_mapped_where_it_lies_in_one_piece_and_prepared_else(tmp_path, hdf5, chunks, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 7 * IMAGES[0].nbytes)
    names = np.array(["angle", "place"], "S")
    factors = np.stack([ANGLES, np.arange(24)], axis=1)
    arrays = {"images": IMAGES, "factors": factors, "names": names}
    path = hdf5(arrays, **({"chunks": chunks, "compression": "gzip"} if chunks else {}))
    data = load(tmp_path, path)
    where = tmp_path / "data" / "arrays" if chunks else tmp_path / "my.h5"
    assert isinstance(data.source, np.memmap) and str(where) in str(data.source.filename)
    assert data.source.ctypes.data % 64 == 0 and data.factor_names == ("angle", "place")
    np.testing.assert_array_equal(data.images(np.arange(24)), IMAGES)
    np.testing.assert_array_equal(data.factors(np.arange(24)), factors)


def test_hdf5_by_other_keys_and_a_group_of_columns(tmp_path, hdf5):
    text = np.array(SHAPES, h5py.string_dtype())
    path = hdf5({"a/pictures": IMAGES, "truth/shape": text, "truth/hue": np.arange(24) % 5, "images": IMAGES[:1]})
    data = load(tmp_path, path, images="a/pictures", labels="truth")
    assert data.factor_names == ("hue", "shape") and data.factor_values[1].tolist() == ["ball", "cone", "cube"]
    np.testing.assert_array_equal(data.images([3]), IMAGES[[3]])
    np.testing.assert_array_equal(data.factors([3]), [[3, 2]])
    alone = load(tmp_path, path, images="a/pictures", labels="truth/hue")
    assert alone.factor_names == ("factor_0",)


def test_a_stream_is_written_once_and_again_if_the_file_or_an_option_changes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stream, "BLOCK", 1)  # an image
    deep = (IMAGES >> 1).astype(np.uint16) << 5
    deep[0] = 0  # a dark image is not a dark data set
    np.save(tmp_path / "images.npy", deep)
    options = {"bits": 12, "resolution": 16}
    found = [load(tmp_path, "images.npy", **options) for _ in range(2)]
    assert capsys.readouterr().err.count("preparing 24 images in ") == 1
    wanted = (deep >> 4).astype(np.uint32).reshape(24, 16, 2, 16, 2, 3).sum((2, 4))
    np.testing.assert_array_equal(found[1].images(np.arange(24)), (wanted + 2) // 4)
    np.save(tmp_path / "images.npy", deep + 16)
    again = load(tmp_path, "images.npy", **options)
    assert again.fingerprint != found[0].fingerprint == found[1].fingerprint
    np.testing.assert_array_equal(again.source, (deep >> 4) + 1)
    assert len([*(tmp_path / "data" / "arrays").glob("*/images-*.npy")]) == 1  # the former one is gone
    assert load(tmp_path, "images.npy", bits=13).source.max() == (deep.max() + 16) >> 5


def test_a_prepared_file_that_is_damaged_is_named(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES.astype(float))
    load(tmp_path, "images.npy")
    [file] = (tmp_path / "data").rglob("images-*.npy")
    for content in (file.read_bytes()[:5000], b""):
        file.write_bytes(content)
        with pytest.raises(UserError, match="data.directory: .*images-.*npy is damaged .*; delete it"):
            load(tmp_path, "images.npy")
    file.unlink()
    np.testing.assert_array_equal(load(tmp_path, "images.npy").source, IMAGES)


@pytest.mark.parametrize("key", ["images", "labels"])
def test_npz_has_its_own_keys(tmp_path, key):
    np.savez(tmp_path / "my.npz", images=IMAGES)
    with pytest.raises(UserError, match=f"data.{key}: 'x' is not understood for .*my.npz, whose keys are images"):
        load(tmp_path, "my.npz", **{key: "x"})


def test_images_that_are_padded_are_those_of_an_npz(tmp_path):
    small = IMAGES[:, :28, :20]
    np.save(tmp_path / "images.npy", small)
    np.savez(tmp_path / "my.npz", images=small)
    mapped, whole = (load(tmp_path, name, resolution=32) for name in ("images.npy", "my.npz"))
    np.testing.assert_array_equal(mapped.source, whole.source)
    assert mapped.fingerprint == whole.fingerprint and mapped.name == "arrays: images, padded to 32x32"


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (IMAGES / 256 + 1, {}, "pixels are not all whole numbers"),
        (IMAGES / 255, {}, "pixels are not all whole numbers"),
        (IMAGES // 255, {}, "arrays: images: the largest pixel is 1, .*nearly black"),
        (IMAGES[:, :28], {}, "images of 28x32 must be squares"),
        (IMAGES[..., :2], {}, "expected uint8 .N, H, W, C. or .N, H, W. with C 1 or 3"),
        (np.array(5), {}, "images is int64 .., expected uint8"),
        (np.array([None]), {}, "images.npy: not an .npy file of a plain array"),
        (IMAGES, {"images": "x"}, "data.images: 'x' is not understood for .*images.npy, which holds one array"),
        (IMAGES, {"labels": "nowhere.csv"}, "nowhere.csv: not a CSV file with a header .there is no such file."),
        (IMAGES, {"labels": "nowhere.npy"}, "data.labels: nowhere.npy: there is no such file"),
    ],
)
def test_npy_that_holds_something_else(tmp_path, images, options, message):
    np.save(tmp_path / "images.npy", images)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, "images.npy", **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n" + "1\n" * 25, "'a' has 25 rows, and there are 24 images; one row each."),
        ("a\n" + "1\n" * 23, "'a' has 23 rows, and there are 24 images"),
        ("", "factors.csv: not a CSV file with a header .No columns"),
        ("a,b\n" + "1,\n" * 24, "'b' is missing in every row; leave the column out"),
        ("a,b\n" + "1,inf\n" * 24, "'b' holds an infinite number"),
        ("Unnamed: 0,b\n" + "".join(f"{row},2\n" for row in range(24)), "it numbers the rows, as the index does"),
    ],
)
def test_a_csv_that_does_not_fit(tmp_path, text, message):
    np.save(tmp_path / "images.npy", IMAGES)
    (tmp_path / "factors.csv").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, "images.npy")
    assert "factors.csv" in str(error.value) or "images.npy" in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"pictures": IMAGES}, {}, "data.images: of .*my.h5: 'images' is unknown. Choices: pictures."),
        ({"images": IMAGES}, {"images": "imags"}, "data.images: .*'imags' is unknown. Did you mean 'images'"),
        ({"images": IMAGES}, {"labels": "truth"}, "data.labels: of .*: 'truth' is unknown. Choices: images."),
        ({"images/a": IMAGES}, {}, "data.images: 'images' of .*my.h5 is a group, and no array"),
        ({"images": IMAGES, "factors/a/b": ANGLES}, {}, "data.labels: '/factors/a' of .* is a group in a group"),
        ({"images": IMAGES, "factors": ANGLES[:5]}, {}, r"factors is float64 \(5,\), expected numbers.* N = 24"),
        ({"images": IMAGES, "factors/a": ANGLES[:5]}, {}, "'a' has 5 rows, and there are 24 images"),
        ({"images": IMAGES[:, :, :, None]}, {}, "expected uint8 .N, H, W, C."),
    ],
)
def test_hdf5_that_holds_something_else(tmp_path, hdf5, arrays, options, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, hdf5(arrays), **options)


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_a_file_that_is_missing_cut_or_damaged(tmp_path, suffix, hdf5):
    path = tmp_path / f"my{suffix}"
    with pytest.raises(UserError, match=f"data.path: .*my{suffix}: there is no such file"):
        load(tmp_path, path.name)
    np.save(path, IMAGES) if suffix == ".npy" else hdf5({"images": IMAGES})
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"my{suffix}"):
            load(tmp_path, path.name)


def test_a_killed_or_failing_preparation_leaves_nothing_that_counts(tmp_path, monkeypatch):
    deep = IMAGES.astype(np.uint16) << 4
    deep[20] = 1 << 13
    monkeypatch.setattr(stream, "BLOCK", 1)
    np.save(tmp_path / "images.npy", deep)
    for _ in range(2):
        with pytest.raises(UserError, match="range is from 8192 to 8192 .*expected 0 to 4095 by data.bits=12"):
            load(tmp_path, "images.npy", bits=12)
    assert [file.name for file in (tmp_path / "data" / "arrays").glob("*/*")] == [".lock"]
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 0, 9))
    with pytest.raises(UserError, match="0.0 GB free, preparing takes"):
        load(tmp_path, "images.npy", bits=14)
