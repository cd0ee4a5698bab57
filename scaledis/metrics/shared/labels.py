"""The labels of images as they are: categories, numbers and angles, some of them missing."""

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scaledis.core import UserError, convert, kinds, registry
from scaledis.metrics.shared.classes import MISSING, classes, table
from scaledis.metrics.shared.information import BINS, binned
from scaledis.metrics.shared.rows import orders
from scaledis.metrics.shared.spec import ALL_KINDS

CATEGORY, NUMBER, ANGLE = ALL_KINDS
TURN = 2 * math.pi
FLOATS = float | np.floating
NOWHERE = -1  # a place in an order that no category has
Kinds = Sequence[str | None] | Mapping[int, str]


class Labels(NamedTuple):
    """The labels of N images, of F factors.

    Attributes:
        classes: int64 [N, F]. A category has its class number, a number and an angle one of 20 bins with about equally
            many labels, and an image without a label `MISSING`.
        amounts: float64 [N, F], numbers and class numbers as they are, angles in radians; NaN where a label is missing.
        kinds: F of `ALL_KINDS`.
        numbers: F, the numbers of these factors among those of the user, by which sentences name them.
    """

    classes: np.ndarray
    amounts: np.ndarray
    kinds: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def there(self) -> np.ndarray:
        """bool [N, F], whether an image has a label."""
        return np.asarray(self.classes != MISSING)

    def targets(self, factor: int) -> np.ndarray:
        """What a regression of a factor predicts: float [N, 1], or the cosine and sine of an angle, [N, 2]."""
        amounts = self.amounts[:, factor]
        angle = self.kinds[factor] == ANGLE
        return np.stack([np.cos(amounts), np.sin(amounts)] if angle else [amounts], axis=1)

    @property
    def plain(self) -> bool:
        """Whether all factors are categories and no label is missing."""
        return set(self.kinds) == {CATEGORY} and bool(self.there.all())

    def of_kind(self, kind: str) -> np.ndarray:
        """bool [F], which factors are of a kind."""
        return np.array([each == kind for each in self.kinds])

    def taken(self, rows: np.ndarray | slice) -> "Labels":
        """The labels of these images, a slice or int [n]."""
        return self._replace(classes=self.classes[rows], amounts=self.amounts[rows])

    def permuted(self, order: np.ndarray) -> "Labels":
        """The labels with each factor's in the order int [N], among the images that have one."""
        found = orders(self.there, order)
        classes, amounts = (np.take_along_axis(each, found, axis=0) for each in self[:2])
        return self._replace(classes=classes, amounts=amounts)

    def chosen(self, factors: np.ndarray) -> "Labels":
        """The labels of these factors, bool [F]."""
        kinds, numbers = itertools.compress(self.kinds, factors), itertools.compress(self.numbers, factors)
        return Labels(self.classes[:, factors], self.amounts[:, factors], tuple(kinds), tuple(numbers))


def of_classes(factors: np.ndarray) -> Labels:
    """The labels of class numbers, int64 [N, F]; all factors are categories."""
    amounts, count = np.where(factors == MISSING, np.nan, factors), factors.shape[1]
    return Labels(factors, amounts.astype(np.float64), (CATEGORY,) * count, tuple(range(count)))


def read(name: str, value: object, kinds_: Kinds | None = None, missing: object = None) -> Labels:
    """The labels of a user's array or table [N, F]; None and NaN are missing, as is `missing`; "nan" in arrays of text.

    Args:
        name: of the argument, for sentences.
        value: numbers, bools or strings, of numpy, JAX, torch, pandas or lists.
        kinds_: the kind of each factor, or of some by their number: "category", "number", "angle" in radians, or
            "angle:360" with its period. By default a column with a number that is not whole is a number, else a
            category.
        missing: a value that stands for no label, such as -1.

    Raises:
        UserError: not two axes, or an empty one; an unknown kind, or another number of kinds; a label that its kind
            cannot hold; a number for `missing` where all factors are text, or text where none is; what `convert.read`
            and `classes` refuse.
    """
    kinds.check("missing", missing, int | float | str | None)
    columns = [(where, _decoded(column), own) for where, column, own in _columns(name, value, missing)]
    if missing is not None and not any(_may_hold(column, own) for _, column, own in columns):
        is_text, others = ("text", "numbers") if isinstance(missing, str) else ("a number", "text")
        raise UserError(f"missing: {missing!r} is {is_text}, and all factors are {others}, so that it is no label.")
    wanted = _wanted(kinds_, len(columns))
    found = [_column(*column, kind) for column, kind in zip(columns, wanted, strict=True)]
    own, amounts, of_kind = zip(*found, strict=True)
    return Labels(np.stack(own, axis=1), np.stack(amounts, axis=1), tuple(of_kind), tuple(range(len(found))))


def _columns(name: str, value: object, missing: object) -> Iterator[tuple[str, np.ndarray, object]]:
    """The columns: the name of each in a sentence, its entries, and which of them stands for no label."""
    if not convert.is_pandas(value):
        yield from ((f"{name}, column {number}", column, missing) for number, column in enumerate(table(name, value).T))
        return
    for where, column, order in convert.columns(name, value):
        if order is None or missing is None:
            yield where, column, missing
        else:  # its entries are places in the order
            yield where, column, order.index(missing) if missing in order else NOWHERE


def _wanted(given: Kinds | None, factors: int) -> list[str | None]:
    """The kind that a user wants of each factor, None where the labels decide."""
    if given is None:
        return [None] * factors
    if isinstance(given, Mapping):
        kinds.check("kinds", given, Mapping[int, str])
        if wrong := [number for number in given if not 0 <= number < factors]:
            raise UserError(f"kinds: there is no factor {wrong[0]!r}; they are 0 to {factors - 1}.")
        every: list[str | None] = [given.get(number) for number in range(factors)]
    else:
        kinds.check("kinds", given, Sequence[str | None])
        every = list(given)
    if len(every) != factors:
        raise UserError(f"kinds: {len(every)} for {factors} factors; one for each is needed, or None.")
    for each in every:
        if each is not None:
            registry.check("kinds", each.partition(":")[0], ALL_KINDS)
    return every


def _column(where: str, column: np.ndarray, missing: object, wanted: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Classes [N], amounts [N] and kind of one factor."""
    there = ~_gone(column, missing)
    present = column[there]
    kind = (wanted or (NUMBER if _is_amount(present) else CATEGORY)).partition(":")[0]
    own, amounts = np.full(len(column), MISSING), np.full(len(column), np.nan)
    if not len(present):
        return own, amounts, kind
    if kind == CATEGORY:
        own[there] = amounts[there] = classes(where, present, np.flatnonzero(there))
        return own, amounts, kind
    try:
        numbers = present.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: a {kind} is needed, and {registry.short(present[0])} is none") from error
    if not np.isfinite(numbers).all():
        raise UserError(f"{where}: row {np.flatnonzero(there)[~np.isfinite(numbers)][0]} is infinite")
    if kind == ANGLE:
        numbers = numbers * (TURN / _period(wanted or ANGLE)) % TURN
    own[there], amounts[there] = _bins(numbers, kind), numbers
    return own, amounts, kind


def _decoded(column: np.ndarray) -> np.ndarray:
    """A column of bytes as text, any other as it is."""
    return np.char.decode(column, "utf-8", "replace") if column.dtype.kind == "S" else column


def _may_hold(column: np.ndarray, missing: object) -> bool:
    """Whether a label may be `missing`, text in a column with text and a number in one with numbers."""
    is_text = isinstance(missing, str)
    if column.dtype.kind in "OT":
        return any(isinstance(label, str) == is_text for label in column if not _is_nothing(label))
    return (column.dtype.kind == "U") == is_text


def _gone(column: np.ndarray, missing: object) -> np.ndarray:
    """bool [N], the rows without a label."""
    if column.dtype.kind in "OT":
        return np.array([_is_nothing(label) or _same(label, missing) for label in column], bool)
    empty = np.zeros(len(column), bool)
    if column.dtype.kind == "f":
        empty = np.isnan(column)
    elif column.dtype.kind == "U":
        empty = column == convert.NAN
    if missing is None or isinstance(missing, str) != (column.dtype.kind == "U"):
        return empty
    with contextlib.suppress(OverflowError):  # no label is as large
        return np.asarray(empty | (column == missing))
    return empty


def _is_nothing(label: object) -> bool:
    return label is None or type(label).__name__ == "NAType" or (isinstance(label, FLOATS) and label != label)


def _same(label: object, missing: object) -> bool:
    return missing is not None and bool(label == missing)


def _is_amount(present: np.ndarray) -> bool:
    """Whether some label is a number that is not whole; infinity is none."""
    if present.dtype.kind == "f":
        finite = present[np.isfinite(present)]
        return bool((finite % 1 != 0).any())
    return present.dtype.kind == "O" and any(
        isinstance(each, FLOATS) and math.isfinite(each) and each % 1 != 0 for each in present
    )


def _period(kind: str) -> float:
    _, colon, period = kind.partition(":")
    try:
        found = float(period) if colon else TURN
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise UserError(f"kinds: {kind!r}: the period of an angle is a number above 0, as in 'angle:360'.")
    return found


def _start(angles: np.ndarray) -> float:
    """The first angle after the widest gap, where bins begin; it turns with the angles."""
    ordered = np.unique(angles)
    return float(ordered[np.diff(ordered, prepend=ordered[-1] - TURN).argmax()])


def _bins(numbers: np.ndarray, kind: str) -> np.ndarray:
    """The bin of each number, int [n] from 0: that of its value up to 20 values, else one of 20 quantiles."""
    if kind == ANGLE:
        numbers = np.round(
            (numbers - _start(numbers)) % TURN, 12
        )  # so that a turn does not change which angles are equal
    values, ranks = np.unique(numbers, return_inverse=True)
    return ranks if len(values) <= BINS else binned(numbers[:, None], BINS, "quantile")[:, 0]
