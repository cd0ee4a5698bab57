"""dSprites from a small file of the published layout."""

import io

import h5py
import numpy as np

from scaledis.datasets import Options, dsprites
from scaledis.datasets._builders import prepare
from tests.datasets import agrees, grid, place, raises, shortened

RNG = np.random.default_rng(0)


def hdf5(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, chunks=(16, *array.shape[1:]), compression="gzip")
    return buffer.getvalue()


def sprites(largest: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    sizes = (2, 2, 3, 2, 2)
    factors = grid(*sizes)
    classes = np.concatenate([np.zeros((len(factors), 1)), factors], axis=1).astype(np.int64)  # the color comes first
    images = RNG.integers(0, largest + 1, (len(factors), 64, 64), np.uint8)
    values = classes.astype(np.float64)
    return {"imgs": images, "latents/classes": classes, "latents/values": values}, factors


def test_dsprites(tmp_path):
    arrays, factors = sprites()
    changes = {"factor_values": shortened(dsprites.SOURCE, (2, 2, 3, 2, 2))}
    source = place(dsprites.SOURCE, tmp_path, [hdf5(arrays)], **changes)
    agrees(prepare.load(source, dsprites.read, tmp_path, Options()), 255 * arrays["imgs"][..., None], factors)


def test_dsprites_of_other_pixels(tmp_path):
    source = place(
        dsprites.SOURCE,
        tmp_path,
        [hdf5(sprites(largest=255)[0])],
        factor_values=shortened(dsprites.SOURCE, (2, 2, 3, 2, 2)),
    )
    raises(source, dsprites.read, tmp_path, "largest pixel is 255, expected 1")
