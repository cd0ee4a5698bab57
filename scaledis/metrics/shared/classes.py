"""Class numbers: labels of any type as integers.

Whole numbers keep their values, since MCC, the r2 of SAP, the protocol `hfs`, and IRS under `library` take them as
amounts. All other metrics depend on which rows share a class, or on the order of the classes.
"""

from collections.abc import Iterable

import numpy as np

from scaledis.core import UserError, convert, ordering, registry

MISSING = np.iinfo(np.int64).min  # the class of an image without a label
EXACT = 2**53  # the largest integer up to which float64 holds all
REMEDY = (
    "class numbers (integers, bools or strings) are needed, such as np.unique(column, return_inverse=True)[1], or "
    "np.digitize(column, edges) of amounts"
)
LABELS = (str, bool, int, float, np.bool_, np.integer, np.floating)


def class_numbers(name: str, value: object) -> np.ndarray:
    """`value` as int64 [N, F], the class of every factor in every row.

    Integers of every type, whole floats and bools keep their values; those of a column beyond 2^53 become ranks in
    their order. Strings become ranks in the natural order, in which 2 is before 10; so do categories of pandas, or in
    the order that they declare.

    Raises:
        UserError: not two axes, or an empty one; a label that is None, NaN or neither a whole number nor a string; a
            column that mixes strings with numbers; what `convert.read` refuses.
    """
    if convert.is_pandas(value):
        return _stacked((where, column) for where, column, _ in convert.columns(name, value))
    array = table(name, value)
    there = array[array != MISSING] if array.dtype == np.int64 else array
    if array.dtype.kind in "biu" and (not there.size or _are_exact(there)):
        return array.astype(np.int64, copy=False)
    return _stacked((f"{name}, column {number}", column) for number, column in enumerate(array.T))


def table(name: str, value: object) -> np.ndarray:
    """`value` as an array [N, F] of any type. Raises UserError for other axes, and for what `convert.read` refuses."""
    array = convert.read(name, value)
    if array.dtype.kind not in "biu" and isinstance(value, list | tuple):
        array = np.array(value, object)  # numpy would turn None, NaN and numbers beside strings into text
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(f"{name}: shape {array.shape}; two axes, neither empty, are needed")
    return array


def classes(where: str, column: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """The classes of one factor, an array [N] of any type, as int64 [N]; see `class_numbers`.

    Raises UserError, whose sentence starts with `where` and names one of `rows`, int [N], by default 0 to N - 1.
    """
    rows = np.arange(len(column)) if rows is None else rows
    if column.dtype.kind in "OT":
        column = _of_objects(where, column.astype(object), rows)
    elif column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    elif column.dtype.kind not in "biufU":
        raise UserError(f"{where}: dtype {column.dtype}; {REMEDY}")
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            broken = np.flatnonzero(column % 1 != 0)  # also NaN and infinity
        if len(broken):
            raise UserError(f"{where}: row {rows[broken[0]]} is {column[broken[0]]}; {REMEDY}")
    if column.dtype.kind != "U" and _are_exact(column):
        return column.astype(np.int64)
    return ordering.ranked(column)[1].astype(np.int64)


def _stacked(columns: Iterable[tuple[str, np.ndarray]]) -> np.ndarray:
    return np.stack([classes(where, column) for where, column in columns], axis=1)


def _are_exact(whole: np.ndarray) -> bool:
    return -EXACT <= int(whole.min()) and int(whole.max()) <= EXACT


def _of_objects(where: str, column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Python objects [N] as an array of strings, of floats, or of Python's integers, which never overflow."""
    for row, label in zip(rows, column, strict=True):
        if not isinstance(label, LABELS) or label != label:
            raise UserError(f"{where}: row {row} is {registry.short(label)}; {REMEDY}")
    strings = [isinstance(label, str) for label in column]
    if all(strings):
        return column.astype(str)
    if any(strings):
        pair = f"{column[strings.index(True)]!r} and {column[strings.index(False)]!r}"
        raise UserError(f"{where}: it mixes strings with numbers, such as {pair}; {REMEDY}")
    with np.errstate(invalid="ignore"):
        whole = all(label % 1 == 0 for label in column)
    return np.array([int(label) for label in column], object) if whole else column.astype(float)
