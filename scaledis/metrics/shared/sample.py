"""What a metric is given: codes with their factors, prepared once for all metrics that see them the same way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import index
from typing import Any

import numpy as np

from scaledis.core import convert, registry
from scaledis.core.errors import UserError
from scaledis.metrics.shared import protocols
from scaledis.metrics.shared.classes import classes
from scaledis.metrics.shared.information import Information
from scaledis.metrics.shared.rows import checked, checked_codes


@dataclass(frozen=True)
class Sample:
    """Codes of N images, and what is known of them.

    Attributes:
        codes: float64 [N, K].
        factors: int [N, F], those that vary; None where nothing is known of the images.
        kept: bool [all factors], which of the caller's factors these are.
        levels: int [K], the level of every unit; None: one level.
        log_variances: float64 [N, K] of the posteriors whose means are `codes`; None: unknown.
    """

    codes: np.ndarray
    factors: np.ndarray | None
    kept: np.ndarray
    levels: np.ndarray | None
    log_variances: np.ndarray | None

    @cached_property
    def information(self) -> Information | None:
        """The tables of codes and factors; None without factors."""
        return None if self.factors is None else Information(self.codes, self.factors)

    @property
    def dead(self) -> list[int]:
        """Units without variance."""
        return np.flatnonzero(np.ptp(self.codes, axis=0) == 0).tolist()

    def taken(self, rows: np.ndarray) -> "Sample":
        """The sample of these rows, int [n]."""
        return replace(
            self,
            codes=self.codes[rows],
            factors=None if self.factors is None else self.factors[rows],
            log_variances=None if self.log_variances is None else self.log_variances[rows],
        )

    def permuted(self, order: np.ndarray) -> "Sample":
        """The sample with the rows of its factors in the order int [N], so that its codes know nothing of them."""
        return self if self.factors is None else replace(self, factors=self.factors[order])

    def seen(self, protocol: str, metric: str) -> "Sample":
        """The sample as `metric` sees it under `protocol`."""
        if self.factors is None:
            return self
        codes, factors = protocols.seen(protocol, metric, self.codes, self.factors)
        return replace(self, codes=codes, factors=factors)

    def grouped(self, groups: Sequence[Sequence[int]]) -> "Sample":
        """One unit for each group of columns: its first principal component. Nothing is known of its posteriors."""
        levels = None if self.levels is None else self.levels[[group[0] for group in groups]]
        components = np.stack([_first_component(self.codes[:, list(group)]) for group in groups], axis=1)
        return replace(self, codes=components, levels=levels, log_variances=None)


def make_sample(
    codes: Any,
    factors: Any,
    levels: Any = None,
    log_variances: Any = None,
) -> Sample:
    """The sample of arrays as a user has them; factors, levels and log variances may be None.

    Raises:
        UserError: codes or factors that `checked` refuses; no factor that varies; levels that are not one for each
            unit; log variances that are NaN or of another shape than the codes.
    """
    rows, known = (checked_codes(codes), None) if factors is None else checked(codes, factors)
    kept = np.zeros(0, bool)
    if known is not None:
        kept = np.array([len(np.unique(factor)) > 1 for factor in known.T])
        if not kept.any():
            raise UserError(
                f"factors: all {len(kept)} are constant over {len(known)} rows; a metric needs one that varies"
            )
        known = known[:, kept]
    of_units = None if levels is None else _levels(levels, rows.shape[1])
    spread = convert.aligned("log_variances", log_variances, codes)
    return Sample(rows, known, kept, of_units, None if spread is None else _log_variances(spread, rows.shape))


def _levels(given: Any, units: int) -> np.ndarray:
    """The level of each unit, int64 [K]."""
    levels = convert.read("levels", given)
    if levels.shape != (units,):
        raise UserError(f"levels: shape {levels.shape}; one level for each of {units} units is needed")
    return classes("levels", levels)


def _log_variances(given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """float64 [N, K]; infinite ones may stay, since a unit without noise has -inf."""
    found = convert.numbers("log_variances", given).astype(np.float64)
    if found.shape != shape:
        raise UserError(f"log_variances: shape {found.shape}; that of the codes, {shape}, is needed")
    if np.isnan(found).any():
        (row, unit), *others = np.argwhere(np.isnan(found))
        raise UserError(f"log_variances: row {row} of unit {unit} and {len(others)} other entries are NaN")
    return found


def check_groups(groups: Any, units: int) -> None:
    """Raises UserError unless `groups` holds groups of columns, none of them empty."""
    try:
        wrong = [group for group in groups if not len(group) or not all(0 <= index(each) < units for each in group)]
    except TypeError:
        wrong = [groups]
    if wrong or not len(groups):
        found = registry.short(wrong[0] if wrong else groups)
        raise UserError(f"groups: {found}; columns from 0 to {units - 1} are needed in every group")


def _first_component(columns: np.ndarray) -> np.ndarray:
    """The projection [N] of columns [N, d] on their first principal component."""
    centered = columns - columns.mean(axis=0)
    return centered @ np.linalg.eigh(centered.T @ centered)[1][:, -1]
