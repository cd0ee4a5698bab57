"""Converts arrays of any framework to numpy, and raises UserError for content that numpy would silently drop."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from scaledis.core import UserError

NAN = "nan"  # what numpy makes of a NaN in an array of text
KINDS = {
    "c": "complex numbers",
    "U": "text",
    "T": "text",
    "S": "bytes",
    "O": "Python objects",
    "M": "dates",
    "m": "durations",
    "V": "records",
}


def numbers(name: str, value: object) -> np.ndarray:
    """Returns `value` as a numpy array of bools, integers or floats.

    Reads arrays of numpy, JAX and torch (on any device, with a gradient, in bfloat16), lists, pandas objects, and any
    object with `__array__` or `__dlpack__`. A pandas object gives [N, K], one column for each of its columns.

    Raises:
        UserError: `value` is no array, or holds something other than numbers; a masked entry; a sparse matrix; a column
            that is an index which pandas wrote to a file. The sentence starts with `name`.
    """
    if is_pandas(value):
        return np.stack([numbers(where, column) for where, column, _ in columns(name, value)], axis=1)
    array = read(name, value)
    if array.dtype.kind not in "biuf":
        found = "None" if value is None else f"{KINDS[array.dtype.kind]} ({type(value).__name__}, {array.dtype})"
        raise UserError(f"{name}: {found}; an array of numbers is needed")
    return array


def read(name: str, value: object) -> np.ndarray:
    """Returns `value` as a numpy array of any type; a type that numpy lacks, such as bfloat16, becomes float64.

    Raises UserError for a value that cannot be read as an array, a masked entry, and a sparse matrix.
    """
    if isinstance(value, np.ma.MaskedArray):
        masked = np.argwhere(np.ma.getmaskarray(value)).tolist()
        if masked:
            raise UserError(
                f"{name}: {len(masked)} of {value.size} entries are masked, the first at {masked[0]}; leave their rows "
                "out, since a score would count what is below the mask"
            )
        value = value.data
    if hasattr(value, "nnz") and hasattr(value, "toarray"):
        raise UserError(f"{name}: a sparse matrix ({type(value).__name__}); its toarray() is an array")
    try:
        array = _as_array(value)
    except Exception as error:  # each framework raises other ones
        reason = str(error).partition("\n")[0]
        raise UserError(f"{name}: a {type(value).__name__} cannot be read as an array ({reason})") from error
    return array.astype(np.float64) if array.dtype.isbuiltin == 2 else array


def is_pandas(value: object) -> bool:
    """Returns whether `value` is a DataFrame, or one column: a Series, Categorical or Index."""
    return any(base.__module__.partition(".")[0] == "pandas" for base in type(value).__mro__)


def columns(name: str, value: object) -> Iterator[tuple[str, np.ndarray, list[Any] | None]]:
    """Yields the columns of a pandas object: the name of each in a sentence, its entries, and its order if it has one.

    An ordered category becomes its place in the order, NaN where it is missing; any other becomes its value. Raises
    UserError for an index that pandas wrote to a file: a column "index" or "Unnamed: 0" of different whole numbers.
    """
    pandas = sys.modules["pandas"]
    frame = value if isinstance(value, pandas.DataFrame) else pandas.Series(value).to_frame()
    if not frame.size:
        raise UserError(f"{name}: shape {frame.shape}; two axes, neither empty, are needed")
    for place, label in enumerate(frame.columns):
        series, where = frame.iloc[:, place], f"{name}, column {label!r}"
        written = label == "index" or str(label).startswith("Unnamed: 0")
        if written and series.dtype.kind in "iu" and series.is_unique:
            raise UserError(
                f"{where}: it numbers the rows, as the index does that pandas writes to a file; drop it, or read the "
                "file with index_col=0"
            )
        order = None
        if isinstance(series.dtype, pandas.CategoricalDtype) and series.cat.ordered:
            series, order = series.cat.codes.where(series.notna()), series.cat.categories.tolist()
        yield where, series.to_numpy(), order


def aligned(name: str, value: Any, codes: Any) -> Any:
    """Returns `value`, in the order of the rows of `codes` if both are pandas objects with an index.

    Raises UserError if the indices hold different labels, or repeat labels in another order.
    """
    if not all(is_pandas(each) and hasattr(each, "reindex") and hasattr(each, "index") for each in (value, codes)):
        return value
    own, wanted = value.index, codes.index
    if own.equals(wanted) or len(own) != len(wanted):
        return value  # the caller refuses different numbers of rows
    if own.is_unique and wanted.is_unique and own.isin(wanted).all():
        return value.reindex(wanted)
    raise UserError(
        f"codes, {name}: their pandas indices hold different labels, or labels that repeat, so that no row can be "
        "matched by its label; reset_index(drop=True) on both matches them by position"
    )


def _as_array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # torch: off its graph and its device
        value = value.detach().cpu()
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value, device="cpu")
        return np.asarray(value)
    except TypeError:
        if hasattr(value, "is_floating_point") and value.is_floating_point():
            return np.asarray(value.float())  # torch's bfloat16, which numpy lacks
        if hasattr(value, "get") and hasattr(value, "__dlpack__"):
            return np.asarray(value.get())  # CuPy's way off its device
        raise
