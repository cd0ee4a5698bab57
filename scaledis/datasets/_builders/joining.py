"""Joins rows of a CSV file to images by the names of their files, and reports rows and images without a partner."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from scaledis.core import UserError
from scaledis.datasets._builders.labels import Labels, read_csv

LAST_PARTS = (lambda file: file.stem, lambda file: file.name)  # of a path, from the less telling to the more
PATHS = (lambda file: str(file.with_suffix("")), str)


def read(path: Path, files: Sequence[str], folder: str) -> Labels:
    """The labels of images in the order of `files`, their paths in a folder called `folder`, from a CSV file.

    Its first column has the file of each row: a path in the folder, which may begin above it, or the last part of a
    path alone, with or without the suffix. Where some paths lead through `folder`, those that begin above it must. An
    image without a row has no labels, a row without an image is left out, and stderr says how many there are.

    Raises UserError if the file cannot be read, if no row has an image, if two rows have the same one, and if two
    images have the name of a row.
    """
    table = read_csv(path, files=True)
    column, rows = table.names[0], [str(name) for name in table.columns[0]]
    by_path, by_last_part = _places(files, PATHS), _places(files, LAST_PARTS)
    found, lost = np.full(len(files), -1), []
    through = folder if any(folder in PurePosixPath(name).parts[:-1] for name in rows) else ""
    for row, name in enumerate(rows):
        tails = _tails(PurePosixPath(name).parts, through)
        matches = next((by_path[tail] for tail in tails if tail in by_path), by_last_part.get(name, []))
        if len(matches) > 1:
            both = " and ".join(files[place] for place in matches[:2])
            raise UserError(f"{path}: {column!r} {name!r} may be {both}; give the path in the folder, with its suffix.")
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


def _places(files: Sequence[str], names: Sequence[Callable[[PurePosixPath], str]]) -> dict[str, list[int]]:
    """Where the files of a name are, by the names that a row may have for them; a later name is the better one."""
    places: dict[str, list[int]] = {}
    for name in names:
        own: dict[str, list[int]] = {}
        for place, file in enumerate(files):
            own.setdefault(name(PurePosixPath(file)), []).append(place)
        places |= own
    return places


def _tails(parts: Sequence[str], through: str) -> list[str]:
    """The path, then what is left of it without its first folder, its first two, and so on, the last one `through`."""
    return ["/".join(parts[n:]) for n in range(len(parts)) if not n or not through or parts[n - 1] == through]


def _taken(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The entries of a column at `rows`, None where a row is -1."""
    if (rows >= 0).all():
        return column[rows]
    return np.array([None, *column.tolist()], object)[rows + 1]
