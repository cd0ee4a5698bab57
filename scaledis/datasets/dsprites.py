"""dSprites (Matthey, Higgins, Hassabis and Lerchner, 2017): 737,280 binary images of one white sprite, on a full grid.

Five factors: shape, scale, orientation and the two positions; the published color is always white and is left out. The
last orientation, 2 pi, equals the first: indices 0 and 39 of 40 show the same image, and squares and ellipses also
repeat within the circle. Pixels are published as 0 and 1 and kept here as 0 and 255.

The published file is in DIRECTORY/manual, placed there by the user or downloaded.
"""

from pathlib import Path

import numpy as np

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, download, prepare, records

POSITIONS = 2 * (np.linspace(0, 1, 32),)
FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5"
URL = f"https://github.com/google-deepmind/dsprites-dataset/raw/master/{FILE}"
SHA256 = "729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb"
LABELS = tuple(f"label_{name}" for name in ("shape", "scale", "orientation", "x_position", "y_position"))  # in TFDS
SOURCE = prepare.Source(
    name="dsprites",
    version="1.0.0",
    files=(download.File(FILE, URL, 28_024_106, SHA256),),
    factor_names=("shape", "scale", "orientation", "position_x", "position_y"),
    factor_values=(
        np.arange(3),  # square, ellipse, heart
        np.linspace(0.5, 1, 6),
        np.linspace(0, 2 * np.pi, 40),
        *POSITIONS,
    ),
    image_shape=(64, 64, 1),
    copy=records.Copy("dsprites", factors=LABELS, order=LABELS, image=lambda image: _white("dsprites of TFDS", image)),
)
OPTIONS = prepare.OPTIONS_WITH_COPY


def load(directory: Path, options: Options) -> Dataset:
    """dSprites below `directory`; images [64, 64, 1] of 0 and 255. Raises what `prepare.load` raises."""
    return prepare.load(SOURCE, read, directory, options)


def read(source: prepare.Source, paths: list[Path]) -> records.Blocks:
    """Blocks (images uint8 [n, H, W, 1], factor indices int32 [n, F]) of an HDF5 file of `imgs` and `latents/classes`.

    Raises UserError for a missing key, a wrong shape or dtype, and a pixel that is neither 0 nor 1.
    """
    (path,) = paths
    classes = (np.integer, (source.shape[0], 1 + len(source.factor_sizes)))
    with archives.hdf5(path, {"imgs": (np.uint8, source.shape[:3]), "latents/classes": classes}) as file:
        factors = file["latents/classes"][:, 1:].astype(np.int32)  # without the color
        for rows in archives.blocks(file["imgs"]):
            yield _white(path, file["imgs"][rows])[..., None], factors[rows]


def _white(where: str | Path, images: np.ndarray) -> np.ndarray:
    """Pixels of 0 and 1 -> of 0 and 255. Raises UserError for others."""
    if images.max() > 1:
        raise archives.mismatch(where, "largest pixel", images.max(), 1)
    return 255 * images
