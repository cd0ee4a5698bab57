"""`examples`: your own images as a Python object with `__len__` and `__getitem__`; scaledis.load_dataset(OBJECT).

The images are read once, in order, and written block by block into a memory-mapped file without a name in the data
directory, which is deleted when the process ends. A machine needs memory for one block only.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scaledis.core import UserError, convert, registry
from scaledis.core.values import plain
from scaledis.datasets import Dataset, Examples, Options
from scaledis.datasets._builders import labels, pictures, stream

OPTIONS = ("examples", "scale", "bits", "resolution", "images")
IMAGES = ("image", "images", "img")  # keys of an example that is a dictionary
SHAPES = "an image [H, W], [H, W, C] or [C, H, W] with C 1 or 3"


def load(directory: Path, options: Options) -> Dataset:
    """The images of `options.examples`, with factors if they come with labels.

    Without names the labels are factor_0, factor_1, ...; one that is None, NaN or not in a dictionary is missing.
    Images of 0 to 1 need `options.scale`, and all that `_builders.pixels` does to arrays is done here too.

    Raises:
      UserError: there is no object, it is empty, or an example is no image or of another size than the first one.
      UserError: `options.images` is no key of an example, or labels are of different numbers.
    """
    if options.examples is None:
        raise UserError("data.name: examples are an object of Python; scaledis.load_dataset(OBJECT) takes it.")
    given, kind = options.examples, type(options.examples).__name__
    where = f"dataset {kind}"
    if isinstance(given, Mapping):
        raise UserError(f"{where}: it has keys, and no examples by their places from 0 on.")
    found: list[dict[str, object]] = []

    def images() -> Iterator[np.ndarray]:
        for place, example in enumerate(_in_order(given)):
            image, own = parts(f"{where}: example {place}", example, options.images)
            found.append(own)
            yield image

    source, change = mapped(where, images(), len(given), directory, options)
    factors = labels.ranked(where, _labels(where, found), len(found))
    name = f"examples: {kind}" + (f", {change}" if change else "")
    return labels.make_dataset(name, source, factors)


def mapped(
    where: str,
    images: Iterator[np.ndarray],
    count: int,
    directory: Path,
    options: Options,
    source: Sequence[object] | None = None,
) -> tuple[np.ndarray, str]:
    """`count` images of one size in a memory map, kept for a source that has a name, and what was done to them.

    Raises UserError if there are none, and if one is of another size than the first.
    """
    first = next(images, None)
    if first is None or not count:
        raise UserError(f"{where}: there is no image.")
    shape = (count, *first.shape)
    blocks = _blocks(where, itertools.chain([first], images), shape)
    if source is None:
        return stream.unnamed(where, shape, blocks, options, directory / "examples")
    return stream.kept(where, shape, blocks, options, directory / "examples", source)


def parts(where: str, example: Any, key: str = "") -> tuple[np.ndarray, dict[str, object]]:
    """The image [H, W, C] and the labels by their names of an example."""
    if isinstance(example, Mapping):
        keys = [key] if key else [name for name in IMAGES if name in example]
        if len(keys) != 1 or keys[0] not in example:
            raise registry.unknown(f"data.images: the image of {where}", key, map(str, example))
        return image(where, example[keys[0]]), {name: value for name, value in example.items() if name != keys[0]}
    is_pair = isinstance(example, tuple) or (isinstance(example, list) and len(example) == 2)
    if not is_pair or not example:
        return image(where, example), {}
    first, *rest = example
    own = plain(rest[0]) if len(rest) == 1 else tuple(map(plain, rest))
    if isinstance(own, Mapping):
        return image(where, first), dict(own)
    return image(where, first), {f"factor_{n}": each for n, each in enumerate(own if isinstance(own, tuple) else [own])}


def image(where: str, value: Any) -> np.ndarray:
    """An image of any library as numbers [H, W, C]. Raises UserError, whose sentence starts with `where`."""
    if isinstance(value, Image.Image):
        value = pictures.flat(value)
    array = convert.numbers(where, value)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not array.size or array.shape[2] not in (1, 3):
        raise UserError(f"{where}: shape {np.shape(value)}; {SHAPES} is needed.")
    return array


def _in_order(examples: Examples) -> Iterator[Any]:
    """All examples; `iter` of an object without __iter__ would go on until an IndexError."""
    return (examples[place] for place in range(len(examples)))


def _blocks(where: str, images: Iterator[np.ndarray], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The images in blocks; gray ones among colored ones get three equal channels."""
    place = itertools.count()

    def fitted(one: np.ndarray) -> np.ndarray:
        number = next(place)
        if one.shape[:2] != shape[1:3] or one.shape[2] not in (1, shape[3]):
            found, first = ("x".join(map(str, size)) for size in (one.shape, shape[1:]))
            raise UserError(
                f"{where}: image {number} is of {found}, and the first one of {first}; make them of one size."
            )
        return np.broadcast_to(one, shape[1:])

    while block := [fitted(one) for one in itertools.islice(images, stream.rows_of_block(shape[1:]))]:
        yield np.stack(block)


def _labels(where: str, rows: list[dict[str, Any]]) -> labels.Labels:
    """The labels of all examples. Raises UserError where lists of labels differ in length."""
    counts = {len(row) for row in rows if all(str(name).startswith("factor_") for name in row)}
    if len(counts) > 1:
        raise UserError(f"{where}: examples come with {' or '.join(map(str, sorted(counts)))} labels; one number each.")
    for name, value in rows[0].items():
        if value is not None and math.prod(np.shape(value)) != 1:
            raise UserError(f"{where}: the label {name!r} of example 0 is of shape {np.shape(value)}; one value each.")
    return labels.of_examples([{str(name): plain(value) for name, value in row.items()} for row in rows])
