"""An .npz file, as numpy.savez writes it, read into memory: `images`, `factors` and `names`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaledis.core import UserError, npz, registry
from scaledis.datasets import Options
from scaledis.datasets._builders import archives, labels

SUFFIXES = (".npz",)
EXPECTED = {
    "images": "uint8 [N, H, W, C] or [N, H, W] with C 1 or 3",
    "factors": labels.ARRAY,
    "names": "F strings",
}


@contextlib.contextmanager
def read(path: Path, options: Options) -> Iterator[tuple[np.ndarray, labels.Labels]]:
    """The arrays of the file; `options` name none of them."""
    for key in ("images", "labels"):
        if name := getattr(options, key):
            raise UserError(f"data.{key}: {name!r} is not understood for {path}, whose keys are {', '.join(EXPECTED)}.")
    try:
        keys = npz.names(path)
    except UserError as error:
        raise UserError(f"data.path: {error}") from error
    for key in keys:
        registry.check(f"{path}: key", key, EXPECTED)
    if "images" not in keys:
        raise archives.mismatch(path, "list of keys", keys, "images, and perhaps factors and names")
    arrays = {key: npz.read(path, key, EXPECTED[key]) for key in keys}
    images = arrays["images"]
    count = len(images) if images.ndim else 0
    factors = arrays.get("factors", np.zeros((count, 0), int))
    yield images, labels.of_array(path, factors, arrays.get("names"), count)
