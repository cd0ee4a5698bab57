"""What the three sets of MPI3D share: the factors, and an archive of one array that never is in memory as a whole.

Index order and sizes are those of the final files. The checksums are of the files as they were first published.
"""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scaledis.datasets import Dataset, _prepared, _published
from scaledis.errors import UserError

COMPLEX = 460_800  # images of real_complex, which has four colours and four shapes
ROWS = 2000  # read at once: 25 MB


def source(name: str, md5: str) -> _prepared.Source:
    """The specification of the set `name`, published as NAME.npz."""
    url = f"https://huggingface.co/datasets/waleedgondal/mpi3d/resolve/main/{name}.npz"
    return _prepared.Source(
        name=name,
        version="1.0.0",
        files=(_published.File(f"{name}.npz", url, size=None, digest=md5, algorithm="md5"),),
        factor_names=(
            "object_color",
            "object_shape",
            "object_size",
            "camera_height",
            "background_color",
            "horizontal_axis",
            "vertical_axis",
        ),
        factor_values=(
            np.arange(6),  # white, green, red, blue, brown, olive
            np.arange(6),  # cone, cube, cylinder, hexagonal, pyramid, sphere
            np.arange(2),  # small, large
            np.arange(3),  # top, center, bottom
            np.arange(3),  # purple, sea green, salmon
            np.arange(40),
            np.arange(40),
        ),
        image_shape=(64, 64, 3),
    )


def load(source: _prepared.Source, directory: Path, download: bool) -> Dataset:
    """One of the three below `directory`; images [64, 64, 3]. Raises what `_prepared.load` raises."""
    return _prepared.load(source, read, directory, download, check=check)


def check(source: _prepared.Source, paths: list[Path]) -> None:
    """Raises UserError for an archive without the array, with one of another set, or one that is not an archive."""
    with _opened(source, *paths):
        pass


def read(source: _prepared.Source, paths: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks (images uint8 [n, H, W, C], factor indices int32 [n, F]) of an npz file of `images`.

    Raises UserError for a missing array, a wrong shape or dtype, and an archive that ends early.
    """
    (path,) = paths
    with _opened(source, path) as member:
        for start in range(0, source.shape[0], ROWS):
            index = np.arange(start, min(start + ROWS, source.shape[0]))
            shape = (len(index), *source.image_shape)
            data = member.read(int(np.prod(shape)))
            if len(data) != np.prod(shape):
                raise _published.mismatch(path, f"size of images from {start} on", len(data), f"{np.prod(shape)} bytes")
            yield np.frombuffer(data, np.uint8).reshape(shape), source.grid(index)


@contextlib.contextmanager
def _opened(source: _prepared.Source, path: Path) -> Iterator[BinaryIO]:
    """The member `images.npy`, after its header."""
    with _published.reading(path), zipfile.ZipFile(path) as archive:
        if "images.npy" not in archive.namelist():
            raise _published.mismatch(path, "list of members", archive.namelist(), ["images.npy"])
        with archive.open("images.npy") as member:
            try:
                np.lib.format.read_magic(member)
                shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
            except ValueError as error:
                raise UserError(f"{path}: images.npy is no array: {error}") from error
            if shape != source.shape and shape[0] == COMPLEX:
                found = f"{COMPLEX:,}, as in the `complex` set of four colours and four shapes"
                raise _published.mismatch(path, "number of images", found, f"{source.shape[0]:,} of {source.name}")
            if (dtype, shape, fortran_order) != (np.uint8, source.shape, False):
                order = ", last axis first" if fortran_order else ""
                raise _published.mismatch(path, "images", f"{dtype} {shape}{order}", f"uint8 {source.shape}")
            yield member
