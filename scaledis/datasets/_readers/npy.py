"""An .npy file of images, memory-mapped; beside it factors.csv with a header, or factors.npy [N, F], if there are any.

`data.labels` names another file in their place.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaledis.core import UserError
from scaledis.datasets import Options, expanded
from scaledis.datasets._builders import labels

SUFFIXES = (".npy",)
BESIDE = ("factors.csv", "factors.npy")


@contextlib.contextmanager
def read(path: Path, options: Options) -> Iterator[tuple[np.ndarray, labels.Labels]]:
    """The images as a read-only memory map, and the labels of the file beside it."""
    if options.images:
        raise UserError(f"data.images: {options.images!r} is not understood for {path}, which holds one array.")
    images = _mapped("data.path", path)
    yield images, _labels(path, options, len(images) if images.ndim else 0)


def _mapped(key: str, path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{key}: {path}: there is no such file") from error
    except Exception as error:  # a damaged or forged header raises a dozen kinds
        raise UserError(f"{key}: {path}: not an .npy file of a plain array ({error})") from error


def _labels(path: Path, options: Options, count: int) -> labels.Labels:
    """The labels of the file that `data.labels` names, or of the one beside the images."""
    beside = [file for file in (path.with_name(name) for name in BESIDE) if file.exists()]
    if options.labels:
        beside = [expanded("data.labels", options.labels)]
    if len(beside) > 1:
        raise UserError(f"data.labels: {beside[0]} and {beside[1].name} are both there; name the one to read.")
    if not beside:
        return labels.NONE
    (file,) = beside
    if file.suffix.lower() != ".npy":
        return labels.read_csv(file)
    return labels.of_array(file, np.asarray(_mapped("data.labels", file)), None, count)
