"""Cars3D (Reed, Zhang, Zhang and Lee, 2015): 17,568 renderings of 183 cars from all sides, on a full grid.

The object types are in the order of the published list, images are reduced from 128 to 64 pixels by Pillow's Lanczos
filter. The published file lies at DIRECTORY/manual/nips2015-analogy-data.tar.gz, placed there by the user or by
`load(..., download=True)`.
"""

import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, download, pixels, prepare, records

FILE = "nips2015-analogy-data.tar.gz"
SOURCE = prepare.Source(
    name="cars3d",
    version="1.0.0",
    files=(
        download.File(
            FILE, f"http://www.scottreed.info/files/{FILE}", None, "4e866a7919c1beedf53964e6f7a23686", algorithm="md5"
        ),
    ),
    factor_names=("elevation", "azimuth", "object_type"),
    factor_values=(np.arange(4), np.arange(0, 360, 15), np.arange(183)),  # azimuth in degrees
    image_shape=(64, 64, 3),
)
OPTIONS = prepare.OPTIONS
FOLDER = PurePosixPath("data/cars")


def load(directory: Path, options: Options) -> Dataset:
    """Cars3D below `directory`; images [64, 64, 3]. Raises what `prepare.load` raises."""
    return prepare.load(SOURCE, read, directory, options)


def read(source: prepare.Source, paths: list[Path]) -> records.Blocks:
    """Blocks (images uint8 [n, 64, 64, 3], factor indices int32 [n, F]) of a tar file of one MATLAB file for each car.

    Raises UserError for a missing list or car, a list of another length, and a car of another shape or dtype.
    """
    (path,) = paths
    elevations, azimuths, types = source.factor_sizes
    names, cars = None, {}
    with archives.reading(path), tarfile.open(path, "r|gz") as archive:  # as a stream: nothing is inflated twice
        for member in archive:
            place = PurePosixPath(member.name)
            if place == FOLDER / "list.txt":
                names = _content(archive, member).decode().split()
            elif place.parent == FOLDER and place.suffix == ".mat":
                cars[place.stem] = _views(source, f"{path}/{place}", _content(archive, member))
    if names is None:
        raise archives.mismatch(path, f"{FOLDER}/list.txt", "missing", "the list of cars")
    if len(set(names)) != types or len(names) != types:
        raise archives.mismatch(path, f"number of cars in {FOLDER}/list.txt", len(set(names)), types)
    for name in names:
        if name not in cars:
            raise archives.mismatch(path, f"{FOLDER}/{name}.mat", "missing", "a car of list.txt")
    images = np.stack([cars.pop(name) for name in names], axis=1)  # [elevation * azimuth, type, 64, 64, 3]
    yield images.reshape(source.shape), source.grid(np.arange(source.shape[0]))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()  # None for a folder


def _views(source: prepare.Source, name: str, data: bytes) -> np.ndarray:
    """A MATLAB file with `im` [128, 128, 3, azimuth, elevation] -> uint8 [elevation * azimuth, 64, 64, 3]."""
    import scipy.io  # a prepared set opens without it

    elevations, azimuths, _ = source.factor_sizes
    arrays = scipy.io.loadmat(io.BytesIO(data))
    if "im" not in arrays:
        raise archives.mismatch(name, "list of arrays", sorted(key for key in arrays if key[0] != "_"), ["im"])
    found, expected = arrays["im"], (128, 128, 3, azimuths, elevations)
    if (found.dtype, found.shape) != (np.uint8, expected):
        raise archives.mismatch(name, "im", f"{found.dtype} {found.shape}", f"uint8 {expected}")
    views = np.ascontiguousarray(found.transpose(4, 3, 0, 1, 2)).reshape(-1, 128, 128, 3)
    return pixels.resized(views, source.image_shape[:2])
