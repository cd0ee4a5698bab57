"""Cars3D from a small archive of the published layout."""

import io
import tarfile

import numpy as np
import pytest
import scipy.io

from scaledis.datasets import Options, cars3d
from scaledis.datasets._builders import prepare
from tests.datasets import agrees, grid, place, raises, reduced, shortened

RNG = np.random.default_rng(0)
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
            views[name] = RNG.integers(0, 256, (side, side, 3, 3, 2), np.uint8)  # rows, columns, colors, az., el.
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
    agrees(prepare.load(source, cars3d.read, tmp_path, Options()), images, factors)


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
