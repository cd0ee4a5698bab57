"""The labels of images, unchanged: columns of whole numbers, other numbers or text, in which some may be missing."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scaledis.core import UserError, convert, ordering
from scaledis.datasets._builders.archives import mismatch
from scaledis.datasets.base.dataset import Dataset, rows

ARRAY = "numbers, bools or strings [N, F] or [N]"
MISSING = ("", "nan", "NaN", "NA")  # cells of a CSV file
SEPARATORS = ";\t"  # of files that have no commas between their cells
FLOATS = (float, np.floating)
KINDS = {str: str, bool: bool, np.bool_: bool}  # of Python objects in a column; all others are numbers


class Labels(NamedTuple):
    """F names, and the column [N] of each: of any type of numbers, strings, or Python objects with None or NaN."""

    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]


NONE = Labels((), ())


def joined(*several: Labels) -> Labels:
    """The columns of several labels of the same images, one behind the other."""
    return Labels(*(sum(parts, ()) for parts in zip(*several, strict=True)))


class Factors(NamedTuple):
    """What a `Dataset` holds of its factors."""

    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    table: np.ndarray | None
    measured: bool


def ranked(where: str | Path, labels: Labels, count: int) -> Factors:
    """The labels of `count` images as factors: the values that occur, in order, and the rank of each image's.

    Text is in the order of the numbers in it (`ordering`). A fraction, or a label that is missing, makes them measured.

    Raises:
      UserError: a name occurs twice, or a column has another length than there are images.
      UserError: a column mixes text with numbers, holds an infinite number or something else, or is missing everywhere.
    """
    if len(set(labels.names)) < len(labels.names):
        raise mismatch(where, "list of names", list(labels.names), f"{len(labels.names)} different strings")
    found = []
    for name, column in zip(labels.names, labels.columns, strict=True):
        if column.shape != (count,):
            raise UserError(
                f"{where}: {name!r} has {len(column):,} rows, and there are {count:,} images; one row each."
            )
        found.append(_ranked(f"{where}: {name!r}", column))
    table = np.array([ranks for _, ranks in found], np.int32).reshape(len(found), count).T
    fractions = any(values.dtype.kind == "f" and (values % 1).any() for values, _ in found)
    return Factors(labels.names, tuple(values for values, _ in found), table, fractions or bool((table < 0).any()))


def make_dataset(name: str, images: np.ndarray, factors: Factors, folders: np.ndarray | None = None) -> Dataset:
    """The data set of images uint8 [N, H, W, C] with their factors."""
    shape, measured = images.shape[1:], factors.measured
    names, values, table = factors.names, factors.values, factors.table
    return Dataset(name, names, values, shape, images, rows, table, folders=folders, measured=measured)


def _ranked(where: str, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur, and the rank [N] of each entry among them, -1 where it is missing."""
    missing = np.zeros(len(column), bool)
    if column.dtype.kind == "O":
        missing = np.array([each is None or (isinstance(each, FLOATS) and each != each) for each in column], bool)
    elif column.dtype.kind == "f":
        missing = np.isnan(column)
    if missing.all():
        raise UserError(f"{where} is missing in every row; leave the column out.")
    present = _plain(where, column[~missing])
    if present.dtype.kind == "f" and np.isinf(present).any():
        raise UserError(f"{where} holds an infinite number; NaN stands for one that is missing.")
    values, ranks = ordering.ranked(present)
    every = np.full(len(column), -1, np.int32)
    every[~missing] = ranks
    return values, every


def _plain(where: str, column: np.ndarray) -> np.ndarray:
    """A column without missing entries as numbers, bools or strings."""
    if column.dtype.kind == "O":
        kinds = {KINDS.get(type(each), float) for each in column}
        try:
            column = np.array(column.tolist()) if len(kinds) == 1 else column
        except ValueError:
            pass  # of lists of several lengths
        if len(kinds) > 1:
            raise UserError(f"{where} mixes text, bools and numbers; make them of one kind.")
    if column.dtype.kind not in "biufU" or column.ndim != 1:
        raise UserError(f"{where} holds neither numbers nor text, but {column.dtype}.")
    return column


def of_array(where: str | Path, factors: np.ndarray, names: np.ndarray | None, count: int) -> Labels:
    """An array [N, F] or [N] as labels of `count` images; without `names` they are factor_0, factor_1, ...

    NaN is missing, also as the text that numpy makes of it.
    """
    found = f"{factors.dtype} {factors.shape}"
    if factors.ndim == 1:
        factors = factors[:, None]
    if factors.dtype.kind not in "biufUSO" or factors.ndim != 2 or len(factors) != count:
        raise mismatch(where, "factors", found, f"{ARRAY} with N = {count}, as of images")
    if factors.dtype.kind == "S":
        try:
            factors = np.char.decode(factors, "utf-8")
        except UnicodeDecodeError as error:
            raise mismatch(where, "factors", f"{found}, not in UTF-8 ({error})", ARRAY) from error
    if factors.dtype.kind == "U":
        text, factors = factors, factors.astype(object)
        factors[text == convert.NAN] = None
    return Labels(_names(where, names, factors.shape[1]), tuple(factors.T))


def _names(where: str | Path, names: np.ndarray | None, count: int) -> tuple[str, ...]:
    """The names of F = `count` factors, numbered where there are none."""
    if names is None:
        return tuple(f"factor_{number}" for number in range(count))
    names = np.atleast_1d(names)
    if names.dtype.kind != "U" or names.shape != (count,) or len(set(names)) != count:
        found = f"{names.dtype} {names.tolist()}"
        raise mismatch(where, "names", found, f"{count} different strings, one for each column of factors")
    return tuple(names.tolist())


def of_examples(examples: Sequence[Mapping[str, object]]) -> Labels:
    """One dictionary for each image as labels; what one lacks is missing."""
    names = dict.fromkeys(name for example in examples for name in example)
    return of_objects({name: [example.get(name) for example in examples] for name in names})


def of_objects(columns: Mapping[str, Sequence[object]]) -> Labels:
    """Columns of Python objects by their names as labels."""
    return Labels(tuple(columns), tuple(map(_objects, columns.values())))


def _objects(values: Sequence[object]) -> np.ndarray:
    """Python objects as an array [N] of them, whatever they are."""
    column = np.empty(len(values), object)
    for row, value in enumerate(values):  # numpy would take lists apart
        column[row] = value
    return column


def read_csv(path: Path, *, files: bool = False) -> Labels:
    """The columns of a CSV file by its header; with `files` the first one names files, and stays text.

    Empty cells, NaN and NA are missing. A column of numbers with a few words in it is text, which stderr says.

    Raises UserError if it cannot be read, is empty, or has the index of pandas; if its cells are not separated by
    commas, and if a row has more cells than the header.
    """
    import pandas

    options = {"converters": {0: str.strip}} if files else {}
    try:
        frame = pandas.read_csv(
            path, na_values=MISSING, keep_default_na=False, low_memory=False, skipinitialspace=True, **options
        )
    except (OSError, ValueError) as error:  # also what pandas raises
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error).partition("\n")[0]
        raise UserError(f"{path}: not a CSV file with a header ({reason}).") from error
    names = tuple(map(str, frame.columns))
    if len(names) == 1 and not {*SEPARATORS}.isdisjoint(names[0]):
        raise UserError(f"{path}: the header {names[0]!r} is one cell; a comma stands between two cells.")
    if not isinstance(frame.index, pandas.RangeIndex):  # pandas takes the first cells for the names of the rows
        raise UserError(f"{path}: its rows have more cells than its header, {', '.join(names)}.")
    columns = tuple(column for _, column, _ in convert.columns(str(path), frame))
    for name, column in [*zip(names, columns, strict=True)][1 if files else 0 :]:
        _say_words(f"{path}: {name!r}", column)
    return Labels(names, columns)


def _say_words(where: str, column: np.ndarray) -> None:
    """Prints that a column is text if most of its cells are numbers: a word among them may stand for a missing one."""
    cells = [cell for cell in column.tolist() if isinstance(cell, str)]
    words = [cell for cell in cells if not _is_number(cell)]
    if 0 < 2 * len(words) < len(cells):
        found = f"{len(words):,} of {len(cells):,} cells are no numbers, such as {words[0]!r}"
        print(f"{where} is text, since {found}; a cell of a missing number is empty.", file=sys.stderr)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
