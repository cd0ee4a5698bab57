"""The factors of the sets of MPI3D, and the reader of their archive of one array, which it never holds whole.

Index order and sizes are those of the final files; the checksums are those of the first publication. The files were
repaired in 2025: a file with another checksum is refused after a check of its array, unless `accept_checksum` is given.
The CRC in the archive is checked in either case, as the array is read.
"""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from scaledis.core import UserError
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, download, prepare, records

OPTIONS = prepare.OPTIONS
FACTORS = {
    "object_color": 6,  # white, green, red, blue, brown, olive
    "object_shape": 6,  # cone, cube, cylinder, hexagonal, pyramid, sphere
    "object_size": 2,  # small, large
    "camera_height": 3,  # top, center, bottom
    "background_color": 3,  # purple, sea green, salmon
    "horizontal_axis": 40,
    "vertical_axis": 40,
}
COMPLEX = 460_800  # images of the set real_complex, of four colors and four shapes
ROWS = 2000  # read at once: 25 MB
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def source(name: str, md5: str) -> prepare.Source:
    """The specification of the set `name`, published as NAME.npz."""
    url = f"https://huggingface.co/datasets/waleedgondal/mpi3d/resolve/main/{name}.npz"
    return specified(name, download.File(f"{name}.npz", url, size=None, digest=md5, algorithm="md5"), FACTORS)


def specified(name: str, file: download.File, factors: Mapping[str, int]) -> prepare.Source:
    """The specification of a set by its file and the sizes of its factors, in the order of the grid."""
    return prepare.Source(
        name=name,
        version="1.0.0",
        files=(file,),
        factor_names=tuple(factors),
        factor_values=tuple(map(np.arange, factors.values())),
        image_shape=(64, 64, 3),
    )


def load(source: prepare.Source, directory: Path, options: Options) -> Dataset:
    """One of the sets below `directory`; images [64, 64, 3]. Raises what `prepare.load` raises."""
    return prepare.load(source, read, directory, options, check=check)


def check(source: prepare.Source, paths: list[Path]) -> None:
    """Raises UserError for an archive without the array, with one of another set, or one that is not an archive."""
    with _opened(source, *paths):
        pass


def read(source: prepare.Source, paths: list[Path]) -> records.Blocks:
    """Blocks (images uint8 [n, H, W, C], factor indices int32 [n, F]) of an npz file of `images`.

    Raises UserError for a missing array, a wrong shape, dtype or CRC, and an archive that ends early.
    """
    (path,) = paths
    with _opened(source, path) as member:
        for start in range(0, source.shape[0], ROWS):
            index = np.arange(start, min(start + ROWS, source.shape[0]))
            shape = (len(index), *source.image_shape)
            data = member.read(int(np.prod(shape)))
            if len(data) != np.prod(shape):
                raise archives.mismatch(path, f"size of images from {start} on", len(data), f"{np.prod(shape)} bytes")
            yield np.frombuffer(data, np.uint8).reshape(shape), source.grid(index)


@contextlib.contextmanager
def _opened(source: prepare.Source, path: Path) -> Iterator[IO[bytes]]:
    """The member `images.npy`, after its header."""
    with archives.reading(path), zipfile.ZipFile(path) as archive:
        if "images.npy" not in archive.namelist():
            raise archives.mismatch(path, "list of members", archive.namelist(), ["images.npy"])
        with archive.open("images.npy") as member:
            try:
                read_header = HEADERS[np.lib.format.read_magic(member)]
                shape, fortran_order, dtype = read_header(member)
            except (ValueError, KeyError) as error:
                raise UserError(f"{path}: images.npy is no array: {error}") from error
            if shape != source.shape and shape[0] == COMPLEX:
                found = f"{COMPLEX:,}, as in mpi3d_real_complex, of four colors and four shapes"
                raise archives.mismatch(path, "number of images", found, f"{source.shape[0]:,} of {source.name}")
            if (dtype, shape, fortran_order) != (np.uint8, source.shape, False):
                order = ", last axis first" if fortran_order else ""
                raise archives.mismatch(path, "images", f"{dtype} {shape}{order}", f"uint8 {source.shape}")
            yield member
