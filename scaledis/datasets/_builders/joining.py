"""Rows of a CSV file joined to images by the names of their files; what finds no partner is said."""

import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from scaledis.core import UserError
from scaledis.datasets._builders.labels import Labels, read_csv

PARTS = (lambda file: file.stem, lambda file: file.name, str)  # of a path, from the least telling to the most


def read(path: Path, files: Sequence[str]) -> Labels:
    """The labels of images in the order of `files`, their paths in the folder, from a CSV file.

    Its first column has the file of each row: a path in the folder, or its last part, with or without the suffix. An
    image without a row has no labels, a row without an image is left out, and stderr says how many there are.

    Raises UserError if the file cannot be read, if no row has an image, if two rows have the same one, and if two
    images have the name of a row.
    """
    table = read_csv(path, files=True)
    column, rows = table.names[0], [str(name) for name in table.columns[0]]
    places = _places(files)
    found = np.full(len(files), -1)
    lost = []
    for row, name in enumerate(rows):
        matches = places.get(name) or places.get(PurePosixPath(name).name) or []
        if len(matches) > 1:
            both = " and ".join(files[place] for place in matches[:2])
            raise UserError(f"{path}: {column!r} {name!r} may be {both}; give the path in the folder.")
        if not matches:
            lost.append(name)
        elif found[matches[0]] >= 0:
            raise UserError(f"{path}: two rows have the image {files[matches[0]]}; one row each.")
        else:
            found[matches[0]] = row
    if len(lost) == len(rows):
        raise UserError(f"{path}: no row has an image; {column!r} is {lost[0]!r}, and an image is {files[0]!r}.")
    bare = [file for file, row in zip(files, found, strict=True) if row < 0]
    for some, total, what in ((lost, len(rows), "rows have no image"), (bare, len(files), "images have no row")):
        if some:
            print(f"{path}: {len(some):,} of {total:,} {what}, such as {some[0]}", file=sys.stderr)
    return Labels(table.names[1:], tuple(_taken(column, found) for column in table.columns[1:]))


def _places(files: Sequence[str]) -> dict[str, list[int]]:
    """Where the files of a name are, by every name that a row may have for them; a longer name is the better one."""
    places: dict[str, list[int]] = {}
    for part in PARTS:
        own: dict[str, list[int]] = {}
        for place, file in enumerate(files):
            own.setdefault(part(PurePosixPath(file)), []).append(place)
        places |= own
    return places


def _taken(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The entries of a column at `rows`, None where a row is -1."""
    if (rows >= 0).all():
        return column[rows]
    return np.array([None, *column.tolist()], object)[rows + 1]
