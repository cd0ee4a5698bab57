"""SmallNORB (LeCun, Huang and Bottou, 2004): 48,600 gray photographs of 50 toys, ten each of five categories.

The images are the left ones of the published stereo pairs, training before test files (`SPLITS`), reduced from 96 to 64
pixels by Pillow's Lanczos filter. The toy of an image is no factor, so every combination of the four factors occurs ten
times: with five toys for training, and five for testing. From a TFDS copy, the images of a split are sorted by
category, toy, elevation, azimuth and lighting.

The published files lie in DIRECTORY/manual, placed there by the user or fetched.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, download, pixels, prepare, records

URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/"
TRAIN = "smallnorb-5x46789x9x18x6x2x96x96-training-"
TEST = "smallnorb-5x01235x9x18x6x2x96x96-testing-"
FILES = (  # the images, categories and other labels of each split
    (TRAIN + "dat", 131_896_188, "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873"),
    (TRAIN + "cat", 348, "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa"),
    (TRAIN + "info", 71_052, "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32"),
    (TEST + "dat", 130_799_817, "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474"),
    (TEST + "cat", 347, "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff"),
    (TEST + "info", 10_428, "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2"),
)
SPLITS = {"train": range(24_300), "test": range(24_300, 48_600)}  # image indices
LABELS = ("label_category", "label_elevation", "label_azimuth", "label_lighting")  # their names in TFDS
SOURCE = prepare.Source(
    name="smallnorb",
    version="1.0.0",
    files=tuple(download.File(f"{n}.mat.gz", f"{URL}{n}.mat.gz", size, sha256) for n, size, sha256 in FILES),
    factor_names=("category", "elevation", "azimuth", "lighting"),
    factor_values=(
        np.arange(5),  # four-legged animals, human figures, airplanes, trucks, cars
        np.arange(30, 75, 5),  # degrees
        np.arange(0, 360, 20),  # degrees
        np.arange(6),
    ),
    image_shape=(64, 64, 1),
    count=48_600,
    copy=records.Copy(
        name="smallnorb",
        factors=LABELS,
        splits=("train", "test"),
        order=(LABELS[0], "instance", *LABELS[1:]),
        image=lambda image: pixels.resized(image[None], (64, 64))[0],
    ),
)
OPTIONS = prepare.OPTIONS_WITH_COPY
TYPES = {0x1E3D4C54: np.dtype("<i4"), 0x1E3D4C55: np.dtype("u1")}  # by magic number
ROWS = 500  # pairs read at once


def load(directory: Path, options: Options) -> Dataset:
    """SmallNORB below `directory`; images [64, 64, 1], with a table. Raises what `prepare.load` raises."""
    return prepare.load(SOURCE, read, directory, options)


def read(source: prepare.Source, paths: list[Path]) -> records.Blocks:
    """Blocks (images uint8 [n, 64, 64, 1], factor indices int32 [n, F]) of images, categories and labels, per split.

    Raises UserError for a file that is damaged, or has another magic number or another shape.
    """
    for split, (images, *labels) in zip(SPLITS.values(), (paths[:3], paths[3:]), strict=True):
        count = len(split)
        (category,) = _blocks(labels[0], "<i4", (count,), count)
        (info,) = _blocks(labels[1], "<i4", (count, 4), count)
        _, elevation, azimuth, lighting = info.T
        factors = np.stack([category, elevation, azimuth // 2, lighting], axis=-1).astype(np.int32)
        start = 0
        for pairs in _blocks(images, "u1", (count, 2, 96, 96), ROWS):
            left = pixels.resized(pairs[:, 0, :, :, None], source.image_shape[:2])
            yield left, factors[start : start + len(left)]
            start += len(left)


def _blocks(path: Path, dtype: str, shape: tuple[int, ...], rows: int) -> Iterator[np.ndarray]:
    """An array in NORB's binary format, compressed: blocks [rows, ...] of it."""
    with archives.reading(path), gzip.open(path) as file:
        magic, rank = np.frombuffer(_exactly(path, file, 8), "<i4").tolist()
        sizes = np.frombuffer(_exactly(path, file, 4 * max(3, rank)), "<i4")[:rank].tolist()  # at least 3 are stored
        found = (TYPES.get(magic, f"magic number {magic:#x}"), tuple(sizes))
        if found != (dtype, shape):
            raise archives.mismatch(path, "content", f"{found[0]} {found[1]}", f"{np.dtype(dtype)} {shape}")
        for start in range(0, shape[0], rows):
            block = (min(rows, shape[0] - start), *shape[1:])
            data = _exactly(path, file, int(np.prod(block)) * np.dtype(dtype).itemsize)
            yield np.frombuffer(data, dtype).reshape(block)


def _exactly(path: Path, file: gzip.GzipFile, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise archives.mismatch(path, "number of bytes left", len(data), size)
    return data
