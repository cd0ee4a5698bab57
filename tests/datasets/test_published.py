"""Every published set, from small files of exactly the published layout to images and factors; and its own errors."""

import dataclasses
import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
import scipy.io
from PIL import Image

from scaledis import datasets, population, sampling
from scaledis.config import Data
from scaledis.datasets import _mpi3d, _prepared, cars3d, celeba, dsprites, mpi3d_real, smallnorb
from tests import tiny

RNG = np.random.default_rng(0)


def place(source: _prepared.Source, directory: Path, files: list[bytes], **changes) -> _prepared.Source:
    """Writes the files into their places; the source of just these files, with other sizes."""
    (directory / "manual").mkdir(parents=True, exist_ok=True)
    specifications = []
    for file, data in zip(source.files, files, strict=True):
        (directory / "manual" / file.name).write_bytes(data)
        digest = hashlib.new(file.algorithm, data).hexdigest()
        specifications.append(dataclasses.replace(file, size=file.size and len(data), digest=digest))
    return dataclasses.replace(source, files=tuple(specifications), **changes)


def shortened(source: _prepared.Source, sizes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    return tuple(values[:size] for values, size in zip(source.factor_values, sizes, strict=True))


def grid(*sizes: int) -> np.ndarray:
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=-1)


def reduced(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS))


def agrees(data: datasets.Dataset, images: np.ndarray, factors: np.ndarray) -> None:
    """The set holds these images and factors, also when it samples in a compiled step."""
    index = np.random.default_rng(1).permutation(len(images))
    assert data.size == len(images) and isinstance(data.source, np.memmap) and data.source.dtype == np.uint8
    np.testing.assert_array_equal(data.images(index), images[index])
    np.testing.assert_array_equal(data.factors(index), factors[index])
    assert data.factors(index).dtype == np.int32
    arrays = sampling.sampling(data, Data())
    drawn = jax.jit(lambda source, key: data.gather(source, sampling.draw(arrays, key, 8)))(
        data.source, jax.random.key(0)
    )
    assert all((image == images).all(axis=(1, 2, 3)).any() for image in np.asarray(drawn))
    trains(data, drawn)


def trains(data: datasets.Dataset, images: np.ndarray) -> None:
    """One step on these images; sets of equal image shape share its compilation."""
    config = tiny.config(method__name="vae", model__parameters=0)
    method = population.build([config], data)
    state = jax.jit(method.init)(jax.random.key(0), population.hyperparameters(config, config.model.allocation))
    after, terms = jax.jit(method.update)(state, images, jax.random.key(1))
    assert all(np.isfinite(term) for term in terms.values()) and int(after.step) == 1


def raises(source, read, directory, message, **options) -> None:
    with pytest.raises(ValueError, match=message):
        _prepared.load(source, read, directory, **options)
    assert [path.name for path in (directory / source.name).iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("name", "size", "sizes"),
    [
        ("shapes3d", 480_000, (10, 10, 10, 8, 4, 15)),
        ("dsprites", 737_280, (3, 6, 40, 32, 32)),
        ("mpi3d_real", 1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        ("mpi3d_realistic", 1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        ("mpi3d_toy", 1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        ("cars3d", 17_568, (4, 24, 183)),
        ("smallnorb", 48_600, (5, 9, 18, 6)),
        ("celeba", 202_599, (2,) * 40),
    ],
)
def test_specifications_of_the_published_files(name, size, sizes, tmp_path):
    source = datasets.choices.module("set", datasets, name).SOURCE
    assert (source.name, source.shape[0], source.factor_sizes) == (name, size, sizes)
    assert len(source.factor_names) == len(sizes)
    assert all(len(bytes.fromhex(file.digest)) == hashlib.new(file.algorithm).digest_size for file in source.files)
    with pytest.raises(FileNotFoundError) as error:
        datasets.load(name, tmp_path)
    for file in source.files:
        assert f"{tmp_path}/manual/{file.name} (" in str(error.value) and file.url in str(error.value)
    assert not list(tmp_path.iterdir())


def hdf5(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, chunks=(16, *array.shape[1:]), compression="gzip")
    return buffer.getvalue()


def sprites(largest: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    sizes = (2, 2, 3, 2, 2)
    factors = grid(*sizes)
    classes = np.concatenate([np.zeros((len(factors), 1)), factors], axis=1).astype(np.int64)  # the colour comes first
    images = RNG.integers(0, largest + 1, (len(factors), 64, 64), np.uint8)
    values = classes.astype(np.float64)
    return {"imgs": images, "latents/classes": classes, "latents/values": values}, factors


def test_dsprites(tmp_path):
    arrays, factors = sprites()
    changes = {"factor_values": shortened(dsprites.SOURCE, (2, 2, 3, 2, 2))}
    source = place(dsprites.SOURCE, tmp_path, [hdf5(arrays)], **changes)
    agrees(_prepared.load(source, dsprites.read, tmp_path), 255 * arrays["imgs"][..., None], factors)


def test_dsprites_of_other_pixels(tmp_path):
    source = place(
        dsprites.SOURCE,
        tmp_path,
        [hdf5(sprites(largest=255)[0])],
        factor_values=shortened(dsprites.SOURCE, (2, 2, 3, 2, 2)),
    )
    raises(source, dsprites.read, tmp_path, "largest pixel is 255, expected 1")


def npz(header: dict, data: bytes, member: str = "images.npy", compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, archive.open(member, "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False} | header)
        file.write(data)
    return buffer.getvalue()


ARM_SIZES = (2, 2, 1, 2, 1, 3, 2)
ARM = {"factor_values": shortened(mpi3d_real.SOURCE, ARM_SIZES)}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_mpi3d_in_blocks(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(_mpi3d, "ROWS", 7)
    factors = grid(*ARM_SIZES)
    images = RNG.integers(0, 256, (len(factors), 64, 64, 3), np.uint8)
    file = npz({"shape": images.shape}, images.tobytes(), compression=compression)
    source = place(mpi3d_real.SOURCE, tmp_path, [file], **ARM)
    monkeypatch.setattr(mpi3d_real, "SOURCE", source)
    blocks = [len(block) for block, _ in _mpi3d.read(source, [tmp_path / "manual" / "mpi3d_real.npz"])]
    assert blocks == [7] * 6 + [6]
    agrees(datasets.load("mpi3d_real", tmp_path), images, factors)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (npz({"shape": (460_800, 64, 64, 3)}, b""), "is 460,800, as in the `complex` set .* expected 48 of mpi3d_real"),
        (npz({"shape": (47, 64, 64, 3)}, b""), r"images is uint8 \(47, 64, 64, 3\), expected uint8 \(48, 64, 64, 3\)"),
        (npz({"shape": (48, 64, 64, 3), "fortran_order": True}, b""), "last axis first, expected uint8"),
        (npz({"shape": (48, 64, 64, 3), "descr": "<f4"}, b""), "images is float32"),
        (
            npz({"shape": (48, 64, 64, 3)}, b"", member="a.npy"),
            r"list of members is \['a.npy'\], expected \['images.npy",
        ),
        (npz({"shape": (48, 64, 64, 3)}, b"few"), "size of images from 0 on is 3, expected 589824 bytes"),
        (npz({"shape": (48, 64, 64, 3)}, b"few")[:100], "cannot be read: File is not a zip file"),
    ],
)
def test_mpi3d_of_something_else(tmp_path, file, message):
    source = place(mpi3d_real.SOURCE, tmp_path, [file], **ARM)
    raises(source, _mpi3d.read, tmp_path, f"mpi3d_real.npz.*{message}", check=_mpi3d.check)


def test_mpi3d_complex_is_recognised_before_its_checksum_is_wrong(tmp_path):
    place(mpi3d_real.SOURCE, tmp_path, [npz({"shape": (460_800, 64, 64, 3)}, b"")])
    with pytest.raises(ValueError, match="460,800, as in the `complex` set.* expected 1,036,800 of mpi3d_real"):
        datasets.load("mpi3d_real", tmp_path)


CARS = {"factor_values": shortened(cars3d.SOURCE, (2, 3, 3))}


def cars(names: list[str], listed: list[str], key: str = "im", side: int = 128) -> tuple[bytes, dict[str, np.ndarray]]:
    """The archive, with the list after the cars and other sets beside them; and the views of each car."""
    buffer, views = io.BytesIO(), {}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:

        def add(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        add("data/shapes48.mat", b"another set")
        for name in names:
            views[name] = RNG.integers(0, 256, (side, side, 3, 3, 2), np.uint8)  # rows, columns, colours, az., el.
            file = io.BytesIO()
            scipy.io.savemat(file, {key: views[name], "mask": np.zeros((side, side, 3, 2), np.uint8)})
            add(f"data/cars/{name}.mat", file.getvalue())
        add("data/cars/list.txt", "".join(f"{name}\n" for name in listed).encode())
    return buffer.getvalue(), views


def test_cars3d(tmp_path):
    listed = ["car_017_mesh", "car_002_mesh", "car_009_mesh"]
    file, views = cars(sorted(listed), listed)
    factors = grid(2, 3, 3)
    images = np.stack([reduced(views[listed[kind]][..., azimuth, elevation]) for elevation, azimuth, kind in factors])
    source = place(cars3d.SOURCE, tmp_path, [file], **CARS)
    agrees(_prepared.load(source, cars3d.read, tmp_path), images, factors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], ["a", "b"]), "number of cars in data/cars/list.txt is 2, expected 3"),
        ((["a", "b"], ["a", "b", "c"]), "data/cars/c.mat is missing, expected a car of list.txt"),
        (
            (["a"], ["a", "b", "c"], "image"),
            r"cars/a.mat: list of arrays is \['image', 'mask'\], expected \['im'\]",
        ),
        ((["a"], ["a", "b", "c"], "im", 64), r"cars/a.mat: im is uint8 \(64, 64, 3, 3, 2\), expected uint8 \(128,"),
    ],
)
def test_cars3d_of_something_else(tmp_path, arguments, message):
    source = place(cars3d.SOURCE, tmp_path, [cars(*arguments)[0]], **CARS)
    raises(source, cars3d.read, tmp_path, f"{source.files[0].name}.*{message}")


def test_an_archive_that_ends_early(tmp_path):
    source = place(cars3d.SOURCE, tmp_path, [cars(["a"], ["a"])[0][:5000]], **CARS)
    raises(source, cars3d.read, tmp_path, "analogy-data.tar.gz cannot be read: ")


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
    data = _prepared.load(source, smallnorb.read, tmp_path)
    agrees(data, images, factors)
    assert (data.factors(data.matching(np.random.default_rng(0), 5, category=category[0]))[:, 0] == category[0]).all()
    np.testing.assert_array_equal(data.factors(smallnorb.SPLITS["test"]), factors[7:])
    folder = tmp_path / "smallnorb" / "1.0.0"
    assert sorted(path.name for path in folder.iterdir()) == ["factors.npy", "images.npy", "manifest.json"]
    np.save(folder / "factors.npy", factors[:3])
    with pytest.raises(
        ValueError, match=r"delete .* it is damaged: .*factors.npy: shape is \(3, 4\), expected \(12, 4\)"
    ):
        _prepared.load(source, smallnorb.read, tmp_path)


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


def faces(size: tuple[int, int] = (178, 218), absent: int = 0) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """The three files; the photographs as they are decoded [9, 218, 178, 3], and the attributes [9, 40]."""
    photographs, buffer = [], io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("img_align_celeba/", b"")
        for number in (3, 1, 2, 4, 5, 6, 7, 8, 9):
            pixels = RNG.integers(0, 256, (7, 7, 3), np.uint8)
            jpeg = io.BytesIO()
            Image.fromarray(pixels).resize(size).save(jpeg, "JPEG")
            if number != absent:
                archive.writestr(f"img_align_celeba/{number:06}.jpg", jpeg.getvalue())
            photographs.append((number, np.asarray(Image.open(jpeg))))
    present = RNG.integers(0, 2, (9, 40))
    rows = [f"{n:06}.jpg " + " ".join(f"{2 * x - 1:2d}" for x in row) for n, row in enumerate(present, start=1)]
    attributes = "\n".join(["9", " ".join(celeba.ATTRIBUTES) + " ", *rows, ""])
    partition = "".join(f"{n:06}.jpg {split}\n" for n, split in enumerate([0] * 5 + [1] * 2 + [2] * 2, start=1))
    images = [image for _, image in sorted(photographs, key=lambda pair: pair[0])]
    return [buffer.getvalue(), attributes.encode(), partition.encode()], np.stack(images), present


@pytest.fixture
def face_splits(monkeypatch):
    monkeypatch.setattr(celeba, "SPLITS", {"train": range(5), "validation": range(5, 7), "test": range(7, 9)})


def test_celeba(tmp_path, monkeypatch, face_splits):
    monkeypatch.setattr(celeba, "ROWS", 4)
    files, photographs, present = faces()
    source = place(celeba.SOURCE, tmp_path, files, count=9)
    data = _prepared.load(source, celeba.read, tmp_path)
    agrees(data, np.stack([reduced(np.array(image[35:183, 15:163])) for image in photographs]), present)
    np.testing.assert_array_equal(data.factors(celeba.SPLITS["test"]), present[7:])
    assert data.factor_names[20] == "Male"
    monkeypatch.setattr(celeba, "SOURCE", source)
    np.testing.assert_array_equal(celeba.load(tmp_path).held_out, [5, 6, 7, 8])


def test_celeba_is_not_fetched(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manual/img_align_celeba.zip .*: by hand, from https://"):
        datasets.load("celeba", tmp_path, download=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda zip_, a, p: (zip_, a.replace(b"Male", b"Mail"), p), "list_attr_celeba.txt: list of attributes is "),
        (lambda zip_, a, p: (zip_, a[: a.rindex(b"000009")], p), "number of images is 8, expected 9"),
        (lambda zip_, a, p: (zip_, a.replace(b"000004.jpg", b"000005.jpg"), p), "line of image 3 is '000005.jpg "),
        (lambda zip_, a, p: (zip_, a[:-3] + b" 0\n", p), "line of image 8 is '000009.jpg "),
        (lambda zip_, a, p: (zip_, a, p.replace(b"5.jpg 0", b"5.jpg 1")), "split of 000005.jpg is 1, expected 0"),
        (lambda *_: faces(absent=4)[0], "img_align_celeba/000004.jpg is missing, expected a photograph"),
        (
            lambda *_: faces(size=(64, 64))[0],
            r"size of img_align_celeba/000001.jpg is \(64, 64\), expected \(178, 218\)",
        ),
        (lambda zip_, a, p: (zip_.replace(b"\xff\xd8\xff", b"\xff\xd9\xff"), a, p), "celeba.zip cannot be read: "),
    ],
)
def test_celeba_of_something_else(tmp_path, face_splits, change, message):
    source = place(celeba.SOURCE, tmp_path, list(change(*faces()[0])), count=9)
    raises(source, celeba.read, tmp_path, message)
