"""3DShapes (Burgess and Kim, 2018): 480,000 rendered images of one object in a room, on a full grid of six factors.

The published file lies at DIRECTORY/manual/3dshapes.h5, placed there by the user or by `load(..., download=True)`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaledis.datasets import Dataset, _prepared, _published

SOURCE = _prepared.Source(
    name="shapes3d",
    version="1.0.0",
    files=(
        _published.File(
            name="3dshapes.h5",
            url="https://storage.googleapis.com/3d-shapes/3dshapes.h5",
            size=267_573_662,
            digest="0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785",
        ),
    ),
    factor_names=("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
    factor_values=(
        np.linspace(0, 0.9, 10),  # hues, as a fraction of the circle
        np.linspace(0, 0.9, 10),
        np.linspace(0, 0.9, 10),
        np.linspace(0.75, 1.25, 8),
        np.arange(4),  # cube, cylinder, sphere, capsule
        np.linspace(-30, 30, 15),  # azimuth of the camera, in degrees
    ),
    image_shape=(64, 64, 3),
)


def load(directory: Path, download: bool = False) -> Dataset:
    """3DShapes below `directory`; images [64, 64, 3]. Raises what `_prepared.load` raises."""
    return _prepared.load(SOURCE, read, directory, download)


def read(source: _prepared.Source, paths: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks (images uint8 [n, H, W, C], factor indices int32 [n, F]) of an HDF5 file of `images` and `labels`.

    The index of a factor is the rank of its label. Raises UserError for a missing key, a wrong shape or dtype, or a
    factor with a wrong number of distinct labels.
    """
    (path,) = paths
    labels = (np.float64, (source.shape[0], len(source.factor_sizes)))
    with _published.hdf5(path, {"images": (np.uint8, source.shape), "labels": labels}) as file:
        factors = _ranks(source, path, file["labels"][:])
        for rows in _published.blocks(file["images"]):
            yield file["images"][rows], factors[rows]


def _ranks(source: _prepared.Source, path: Path, labels: np.ndarray) -> np.ndarray:
    """Labels [N, F] -> int32 [N, F], the rank of each among the distinct labels of its column."""
    columns = [np.unique(column, return_inverse=True) for column in labels.T]
    sizes = tuple(len(values) for values, _ in columns)
    if sizes != source.factor_sizes:
        raise _published.mismatch(path, "number of distinct labels per factor", sizes, source.factor_sizes)
    return np.stack([rank for _, rank in columns], axis=-1).astype(np.int32)
