"""Checks of codes and factors, and the split of their rows into training and test rows."""

from collections.abc import Sequence

import numpy as np

from scaledis.core import UserError, convert
from scaledis.metrics.shared.arguments import check
from scaledis.metrics.shared.classes import MISSING, class_numbers

TRAIN_FRACTION = 2 / 3  # 10,000 of 15,000 rows
LEAST_ROWS = 2
LARGEST, SMALLEST = 1e100, 1e-100  # codes whose squares are finite and not 0 in float64
NOT_BY_CHANCE = 10  # test rows of unseen classes
RARE = 50  # training rows of a class, below which there is a warning


def checked(codes: object, factors: object) -> tuple[np.ndarray, np.ndarray]:
    """`codes` as float64 [N, K] and `factors` as int64 [N, F]; see `convert.numbers` and `class_numbers`.

    A factor may hold `MISSING` where an image has no label.

    Raises:
        UserError: an array without two axes or without entries, fewer than 2 rows, different numbers of rows, codes
            that are not finite or above 1e100, pandas objects whose rows cannot be matched, what these two refuse.
    """
    rows, classes = checked_codes(codes), class_numbers("factors", convert.aligned("factors", factors, codes))
    if len(rows) != len(classes):
        raise UserError(f"codes, factors: {len(rows)} and {len(classes)} rows; one row of each per image is needed")
    return rows, classes


def checked_codes(codes: object) -> np.ndarray:
    """`codes` as float64 [N, K]; raises UserError as `checked` does."""
    codes = np.asarray(convert.numbers("codes", codes), np.float64)
    if codes.ndim != 2 or 0 in codes.shape:
        raise UserError(f"codes: shape {codes.shape}; two axes, neither empty, are needed")
    if len(codes) < LEAST_ROWS:
        raise UserError(f"codes: {len(codes)} row; at least {LEAST_ROWS} are needed")
    if not np.isfinite(codes).all():
        raise UserError(f"codes: {np.sum(~np.isfinite(codes))} of {codes.size} entries are NaN or infinite")
    if np.abs(codes).max() > LARGEST:
        raise UserError(f"codes: an entry of {np.abs(codes).max():.3g}; at most {LARGEST:g} can be squared and summed")
    return np.where(np.abs(codes) < SMALLEST, 0, codes)


def standardized(codes: np.ndarray) -> np.ndarray:
    """`codes` [N, K] with mean 0 and standard deviation 1 in every unit; a unit without variance is 0."""
    varies = np.ptp(codes, axis=0) > 0
    scaled = codes / np.where(varies, np.abs(codes).max(axis=0), 1)  # so that no square overflows or vanishes
    centered = scaled - scaled.mean(axis=0)
    return np.where(varies, centered / np.where(varies, centered.std(axis=0), 1), 0)


def split_at(factors: np.ndarray, train_fraction: float, numbers: Sequence[int]) -> int:
    """The number of rows of `factors` [N, F] that train, the first ones; the others test. `numbers` name the factors.

    Raises:
        UserError: no rows to train or to test on, or none with a label of some factor; rows in the order of a factor
            whose training rows lack the classes of half of the test rows.
    """
    check("train_fraction", train_fraction, float, 0, 1)
    split = round(len(factors) * train_fraction)
    if not 0 < split < len(factors):
        rows = f"{split} of {len(factors)} rows"
        raise UserError(f"train_fraction: {train_fraction} leaves {rows} to train on; both parts need one")
    for number, factor in zip(numbers, factors.T, strict=True):
        there = factor != MISSING
        if not (there[:split].any() and there[split:].any()):
            found = f"{there[:split].sum()} of {split} training rows and {there[split:].sum()} test rows have its label"
            raise UserError(f"factors: factor {number}: {found}; both parts need one")
        unseen = ~np.isin(factor[split:], [*np.unique(factor[:split]), MISSING])
        if unseen.mean() >= 0.5 and unseen.sum() >= NOT_BY_CHANCE and (np.diff(factor) >= 0).all():
            lacking = f"the {split} training rows lack its classes {_few(np.unique(factor[split:][unseen]))}"
            remedy = "shuffle the rows, or leave shuffle=True"
            raise UserError(f"factors: the rows are in the order of factor {number}, and {lacking}; {remedy}")
    return split


def rare_classes(factors: np.ndarray, split: int, numbers: Sequence[int]) -> list[str]:
    """A warning for every factor [N, F], by its number, with classes that fewer than 50 of the first rows have."""
    sentences = []
    for number, factor in zip(numbers, factors.T, strict=True):
        values, counts = counted(factor[:split])
        lacking = np.setdiff1d(factor[split:], [*values, MISSING])
        if len(lacking):
            sentences.append(f"factor {number}: the training rows lack its classes {_few(lacking)}")
        if (counts < RARE).any():
            found = f"factor {number}: {np.sum(counts < RARE)} of {len(counts)} classes"
            sentences.append(f"{found} have fewer than {RARE} of the {split} training rows")
    return sentences


def orders(there: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The row whose label each row gets, int [N, F]: labels change places in the `order` [N] of all rows.

    Only rows with a label, `there`, bool [N, F], get one, so that every part of the rows keeps as many.
    """
    found = np.tile(np.arange(len(order))[:, None], there.shape[1])
    for column, labeled in zip(found.T, there.T, strict=True):
        column[labeled] = order[labeled[order]]
    return found


def commonest(factors: np.ndarray) -> np.ndarray:
    """The most frequent class of every factor of int [N, F], [F]; of several, the smallest."""
    found = (counted(factor) for factor in factors.T)
    return np.array([values[counts.argmax()] if len(values) else MISSING for values, counts in found])


def counted(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes of a factor, int [N], and how many rows have each; rows without a label are left out."""
    return np.unique(factor[factor != MISSING], return_counts=True)


def mean_of_labeled(values: np.ndarray) -> np.ndarray:
    """The mean of every column of [n, ...] over the rows that are not NaN; 0 for a column of NaN."""
    there = ~np.isnan(values)
    return np.asarray(np.where(there, values, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))


def or_none(values: np.ndarray, there: np.ndarray) -> list[object]:
    """`values` [n] as a list, with None where `there`, bool [n], is False."""
    return [value if is_there else None for value, is_there in zip(values.tolist(), there, strict=True)]


def _few(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
