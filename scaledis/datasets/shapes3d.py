"""3DShapes (Burgess and Kim, 2018): 480,000 rendered images of one object in a room, on a full grid of six factors.

The published file is DIRECTORY/manual/3dshapes.h5, placed there by the user or downloaded.
"""

from pathlib import Path

import numpy as np

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, download, prepare, records

URL = "https://storage.googleapis.com/3d-shapes/3dshapes.h5"
SHA256 = "0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785"
HUES = 3 * (np.linspace(0, 0.9, 10),)  # as a fraction of the circle
NAMES = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
LABELS = tuple(f"label_{name}" for name in NAMES)  # in TFDS
SOURCE = prepare.Source(
    name="shapes3d",
    version="1.0.0",
    files=(download.File("3dshapes.h5", URL, 267_573_662, SHA256),),
    factor_names=NAMES,
    factor_values=(
        *HUES,
        np.linspace(0.75, 1.25, 8),
        np.arange(4),  # cube, cylinder, sphere, capsule
        np.linspace(-30, 30, 15),  # azimuth of the camera, in degrees
    ),
    image_shape=(64, 64, 3),
    copy=records.Copy("shapes3d", factors=LABELS, order=LABELS),
)
OPTIONS = prepare.OPTIONS_WITH_COPY


def load(directory: Path, options: Options) -> Dataset:
    """3DShapes below `directory`; images [64, 64, 3]. Raises what `prepare.load` raises."""
    return prepare.load(SOURCE, read, directory, options)


def read(source: prepare.Source, paths: list[Path]) -> records.Blocks:
    """Blocks (images uint8 [n, H, W, C], factor indices int32 [n, F]) of an HDF5 file of `images` and `labels`.

    The index of a factor is the rank of its label. Raises UserError for a missing key, a wrong shape or dtype, or a
    factor with a wrong number of distinct labels.
    """
    (path,) = paths
    labels = (np.float64, (source.shape[0], len(source.factor_sizes)))
    with archives.hdf5(path, {"images": (np.uint8, source.shape), "labels": labels}) as file:
        factors = _ranks(source, path, file["labels"][:])
        for rows in archives.blocks(file["images"]):
            yield file["images"][rows], factors[rows]


def _ranks(source: prepare.Source, path: Path, labels: np.ndarray) -> np.ndarray:
    """Labels [N, F] -> int32 [N, F], the rank of each among the distinct labels of its column."""
    columns = [np.unique(column, return_inverse=True) for column in labels.T]
    sizes = tuple(len(values) for values, _ in columns)
    if sizes != source.factor_sizes:
        raise archives.mismatch(path, "number of distinct labels per factor", sizes, source.factor_sizes)
    return np.stack([rank for _, rank in columns], axis=-1).astype(np.int32)
