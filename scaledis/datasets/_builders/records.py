"""TFDS data sets without TensorFlow: ours, in index order, and copies from TFDS, which are put into this order.

Both are array_record files beside a dataset_info.json, which `tfds.builder_from_directory` opens.
"""

import dataclasses
import functools
import io
import itertools
import json
import operator
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scaledis.core import UserError
from scaledis.core.progress import shown
from scaledis.datasets._builders.archives import mismatch, reading

BLOCK = 1000  # examples held in memory
INFO = "dataset_info.json"  # TFDS writes it last, into the folder of every data set

# Images uint8 [n, H, W, C] and factor indices int32 [n, F], in index order.
Blocks = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Copy:
    """How TFDS stores a published data set, and how its examples become ours.

    Attributes:
      name: the data set's name in TFDS.
      factors: F keys of an example that hold the factor indices; `/` leads into a nested example.
      splits: the splits, in the order in which their images follow each other.
      order: keys by which the images of a split are sorted, for TFDS shuffles them; () leaves them as they lie.
      image: decoded pixels uint8 [h, w, c] -> our image uint8 [H, W, C].
    """

    name: str
    factors: tuple[str, ...]
    splits: tuple[str, ...] = ("train",)
    order: tuple[str, ...] = ()
    image: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels


def write(folder: Path, name: str, version: str, blocks: Blocks, image_shape: tuple[int, ...], factors: int) -> None:
    """Writes examples {image, factors} to the new folder `folder`, in the order in which they come."""
    import tensorflow_datasets as tfds  # takes longer to import than a prepared set takes to open
    from tensorflow_datasets.core import dataset_info

    image = tfds.features.Tensor(shape=image_shape, dtype=np.uint8, encoding="bytes")
    numbers = tfds.features.Tensor(shape=(factors,), dtype=np.int32)
    features = tfds.features.FeaturesDict({"image": image, "factors": numbers})
    folder.mkdir(parents=True)
    identity = dataset_info.DatasetIdentity(name, tfds.core.Version(version), str(folder), __name__)
    info = tfds.core.DatasetInfo(builder=identity, features=features, disable_shuffling=True)
    # Not a builder: that gathers all records before it writes one, and beyond 1 GB of them it needs TensorFlow.
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=20_000, file_format="array_record")
    writer.initialize_splits(["train"])
    try:
        for images, indices in blocks:
            rows = zip(images, indices, strict=True)
            writer.add_examples({"train": [{"image": image, "factors": row} for image, row in rows]})
    finally:
        writer.close_all()


def are_in(folder: Path) -> bool:
    """Whether `folder` holds a TFDS data set."""
    return (folder / INFO).is_file()


def read(folder: Path) -> Blocks:
    """The examples that `write` wrote."""
    with reading(folder):
        data = _builder(folder).as_data_source("train")
        for rows in _rows(data, np.arange(len(data))):
            yield np.stack([row["image"] for row in rows]), np.stack([row["factors"] for row in rows])


def find(copy: Copy, path: Path | None) -> Path | None:
    """The folder of the newest version in array_record of the user's copy; None if `path` is None and there is no copy.

    `path` is a data directory of TFDS, or in one the folder of the data set or of its version; None means TFDS's own
    directory.

    Raises UserError if `path` holds no copy, or only one in a format that needs TensorFlow.
    """
    place = path or Path(os.path.expanduser(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")))
    found = [file.parent for pattern in ("", "*/", f"{copy.name}/*/") for file in place.glob(pattern + INFO)]
    formats = {folder: stored for folder in found for name, stored in [_stored(folder)] if name == copy.name}
    if readable := [folder for folder, stored in formats.items() if "array_record" in stored]:
        return max(readable, key=lambda folder: [int(part) for part in folder.name.split(".") if part.isdigit()])
    if not formats:
        if path is None:
            return None
        raise UserError(f"data.path: {path} holds no {copy.name} of TFDS; expected {path}/{copy.name}/VERSION/{INFO}.")
    folder, stored = next(iter(formats.items()))
    command = f"tfds convert_format --dataset_version_dir={folder} --out_file_format=array_record"
    reason = f"{folder} is stored as {stored[0]}, which is not read here; run `{command}` where TensorFlow is."
    if path is None:
        print(f"{copy.name}: {reason}", file=sys.stderr)
        return None
    raise UserError(f"data.path: {reason}")


def read_copy(folder: Path, copy: Copy, total: int) -> Blocks:
    """The `total` examples of the user's copy in `folder`. Raises UserError if it lacks a split, feature or example."""
    import tensorflow_datasets as tfds

    builder = _builder(folder)
    features = builder.info.features or {}
    for split in copy.splits:
        if split not in builder.info.splits:
            raise mismatch(folder, "list of splits", sorted(builder.info.splits), sorted(copy.splits))
    if (count := sum(builder.info.splits[split].num_examples for split in copy.splits)) != total:
        raise mismatch(folder, "number of images", count, total)
    keys = [*copy.factors, *copy.order]
    for key in ["image", *keys]:
        try:
            _at(features, key)
        except (KeyError, TypeError) as error:
            raise mismatch(folder, "list of features", sorted(features), f"one with {key}") from error

    def image(example: dict[str, Any]) -> np.ndarray:
        pixels = np.asarray(Image.open(io.BytesIO(example["image"])))
        return copy.image(pixels if pixels.ndim == 3 else pixels[..., None])

    with reading(folder), ThreadPoolExecutor(os.cpu_count()) as pool:
        for split in copy.splits:
            encoded = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            examples = itertools.chain.from_iterable(_rows(encoded, np.arange(len(encoded))))
            read = shown(examples, f"{copy.name}: reading the labels of {split}", len(encoded))
            labels = np.array([[_at(example, key) for key in keys] for example in read], np.int32)
            factors, order = np.split(labels.reshape(-1, len(keys)), [len(copy.factors)], axis=1)
            index = np.lexsort(order.T[::-1]) if copy.order else np.arange(len(factors))
            for start, rows in zip(range(0, len(index), BLOCK), _rows(encoded, index), strict=True):
                yield np.stack(list(pool.map(image, rows))), factors[index[start : start + BLOCK]]


def _builder(folder: Path) -> Any:
    """TFDS's reader of a data set. Raises UserError if its description is missing or damaged."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(folder)  # pyright: ignore[reportCallIssue]  # its decorator hides the argument
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} cannot be opened by TFDS: {error}") from error


def _rows(data: Any, index: np.ndarray) -> Iterator[list[dict[str, Any]]]:
    """The examples `index` of a data source, in blocks."""
    for start in range(0, len(index), BLOCK):
        yield data.__getitems__(index[start : start + BLOCK].tolist())


def _stored(folder: Path) -> tuple[str, list[str]]:
    """The name of the TFDS data set in `folder` and its file formats; ("", []) if it holds something else."""
    try:
        info = json.loads((folder / INFO).read_text())
        return info["name"], [info.get("fileFormat", "tfrecord"), *info.get("alternativeFileFormats", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", []


def _at(nested: Any, key: str) -> Any:
    """The entry of a nested dict at a key such as "attributes/Bald". Raises KeyError if there is none."""
    return functools.reduce(operator.getitem, key.split("/"), nested)
