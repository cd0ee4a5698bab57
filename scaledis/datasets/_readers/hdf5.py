"""An HDF5 file: `images`, and `factors` or `labels`, [N, F] with `names` if there are any, or a group of arrays [N].

`data.images` and `data.labels` name other keys. A contiguous array of images is memory-mapped in place.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core import UserError, registry
from scaledis.datasets import Options
from scaledis.datasets._builders import archives, labels

SUFFIXES = (".h5", ".hdf5", ".hdf")
IMAGES, LABELS, NAMES = "images", ("factors", "labels"), "names"
ALIGNMENT = 64  # bytes: an array at another multiple would be copied into memory by JAX


@contextlib.contextmanager
def read(path: Path, options: Options) -> Iterator[tuple[Any, labels.Labels]]:
    """The images as a memory map, or as an open array where they lie in pieces, and the labels."""
    import h5py  # takes longer to import than the other formats take to open

    if not path.exists():
        raise UserError(f"data.path: {path}: there is no such file")
    with archives.reading(path), h5py.File(path) as file:
        images = _node(path, file, "data.images", options.images or IMAGES)
        if not isinstance(images, h5py.Dataset):
            raise UserError(f"data.images: {options.images or IMAGES!r} of {path} is a group, and no array.")
        yield _mapped(path, file, images), _labels(path, file, options.labels, len(images) if images.ndim else 0)


def _node(path: Path, file: Any, key: str, name: str) -> Any:
    """The array or group of a name. Raises UserError, which lists all names, if there is none."""
    names: list[str] = []
    file.visit(names.append)
    registry.check(f"{key}: of {path}", name.strip("/"), names)
    return file[name]


def _mapped(path: Path, file: Any, images: Any) -> Any:
    """A memory map of bytes that lie in one piece and aligned; any other array as it is."""
    start = images.id.get_offset()  # None if they are in chunks or in another file
    if images.dtype != np.uint8 or not start or start % ALIGNMENT or file.userblock_size:
        return images
    return np.memmap(path, np.uint8, "r", start, images.shape)


def _labels(path: Path, file: Any, key: str, count: int) -> labels.Labels:
    found = [name for name in LABELS if name in file]
    if not key and not found:
        return labels.NONE
    node = _node(path, file, "data.labels", key or found[0])
    if hasattr(node, "items"):  # a group
        return labels.Labels(tuple(node), tuple(_array(each) for each in node.values()))
    names = _array(file[NAMES]) if NAMES in file else None
    if names is not None:
        names = names.astype(str)
    return labels.of_array(path, _array(node), names, count)


def _array(node: Any) -> np.ndarray:
    """An array of the file in memory; text as strings."""
    import h5py

    if not isinstance(node, h5py.Dataset):
        raise UserError(
            f"data.labels: {node.name!r} of {node.file.filename} is a group in a group; name the inner one."
        )
    return np.asarray(node.asstr()[...].astype(str) if h5py.check_string_dtype(node.dtype) else node[...])
