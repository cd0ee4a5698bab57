"""`huggingface`: a data set that `save_to_disk` of Hugging Face's `datasets` wrote; --config.data.path=FOLDER.

You can also give an object of that library: scaledis.load_dataset(OBJECT). Nothing is downloaded. It needs the extra
`huggingface`.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core import UserError, command, registry
from scaledis.datasets import Dataset, Options, examples
from scaledis.datasets._builders import labels, listing, pictures

OPTIONS = ("path", "examples", "scale", "bits", "resolution", "images", "labels")
PICTURE, ARRAYS, CLASS, VALUE = "Image", ("Array2D", "Array3D"), "ClassLabel", "Value"  # types of columns


def load(directory: Path, options: Options) -> Dataset:
    """The images of one column, `options.images`, with factors from the others, or from `options.labels` alone.

    Columns of numbers, bools, text and classes are factors; a class has the value of its name. Images are prepared once
    for a folder, in a stream, to a memory-mapped file below `directory`; those of an object for this process.

    Raises:
      UserError: the library is missing, the folder holds no data set of it, or several splits.
      UserError: there is no such column, several may be the images, or labels are no numbers, bools, text or classes.
      UserError: an image cannot be read, or is of another size than the first.
    """
    if options.examples is None:
        path = options.images_path.resolve()
        rows, where, source = _from_disk(path), str(path), [[str(path), options.images], _signatures(path)]
    else:
        rows, where, source = options.examples, "dataset of datasets", None
    if isinstance(rows, dict):
        raise UserError(f"data: {where} holds the splits {', '.join(rows)}; take one of them.")
    column = _image_column(where, rows.features, options.images)
    found = _labels(where, rows, column, options.labels)
    images, change = examples.mapped(where, _images(where, rows, column), len(rows), directory, options, source)
    name = f"huggingface: {Path(where).name}" + (f", {change}" if change else "")
    factors = labels.ranked(where, found, len(rows))
    return labels.make_dataset(name, images, factors)


def _from_disk(path: Path) -> Any:
    """The data set in a folder."""
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise UserError(f"data.name: huggingface needs pip install 'scaledis[huggingface]' ({error}).") from error
    try:
        return load_from_disk(str(path))
    except Exception as error:  # a damaged one raises a dozen kinds
        reason = str(error).partition("\n")[0]
        raise UserError(f"data.path: {path} cannot be read as save_to_disk writes it: {reason}") from error


def _signatures(path: Path) -> list[list[object]]:
    """The files of a data set, without what the library caches beside them, each with its signature."""
    now = time.time_ns()
    files = sorted(file for file in path.iterdir() if not file.name.startswith("cache-"))
    return [[file.name, listing.signature(file, now)] for file in files]


def _image_column(where: str, features: Any, name: str) -> str:
    """The column of the images: the one that is named, or the only one that can be."""
    likely = [key for key, feature in features.items() if type(feature).__name__ in (PICTURE, *ARRAYS)]
    if name or len(likely) != 1:
        registry.check(f"data.images: the column of images of {where}", name, likely)
    return name or likely[0]


def _images(where: str, rows: Any, column: str) -> Iterator[np.ndarray]:
    is_picture = type(rows.features[column]).__name__ == PICTURE
    rows = rows.select_columns([column]).with_format(None if is_picture else "numpy")
    for place in range(len(rows)):
        try:
            value = rows[place][column]
        except pictures.UNREADABLE as error:
            raise UserError(f"{where}: image {place} cannot be read: {error}") from error
        yield examples.image(f"{where}: image {place}", value)


def _labels(where: str, rows: Any, images: str, wanted: str) -> labels.Labels:
    """The columns of labels, named by a,b, or all that can be labels."""
    kinds = {key: type(feature).__name__ for key, feature in rows.features.items() if key != images}
    able = [key for key, kind in kinds.items() if kind in (CLASS, VALUE)]
    names: Sequence[str] = command.names(wanted) or able
    for name in names:
        registry.check(f"data.labels: a column of {where}", name, able)
    content = rows.with_format(None).select_columns(list(names))[:] if names else {}
    return labels.of_objects({name: _values(rows.features[name], content[name]) for name in names})


def _values(feature: Any, column: Sequence[Any]) -> Sequence[Any]:
    """The names of classes, of which -1 is none; all other values as they are."""
    if type(feature).__name__ != CLASS:
        return column
    return [None if each is None or each < 0 else feature.names[each] for each in column]
