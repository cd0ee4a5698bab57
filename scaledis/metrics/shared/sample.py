"""What a metric is given: codes with their factors, prepared once for all metrics that see them the same way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scaledis.errors import UserError
from scaledis.metrics.shared import protocols
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
    codes: np.ndarray,
    factors: np.ndarray | None,
    levels: Sequence[int] | np.ndarray | None = None,
    log_variances: np.ndarray | None = None,
) -> Sample:
    """The sample of arrays as a user has them.

    Raises:
        UserError: codes or factors that `checked` refuses; no factor that varies; levels that are not one for each
            unit; log variances of another shape than the codes.
    """
    kept = np.zeros(0, bool)
    if factors is None:
        codes = checked_codes(codes)
    else:
        codes, factors = checked(codes, factors)
        kept = np.array([len(np.unique(factor)) > 1 for factor in factors.T])
        if not kept.any():
            raise UserError(
                f"factors: all {len(kept)} are constant over {len(factors)} rows; a metric needs one that varies"
            )
        factors = factors[:, kept]
    of_units = None if levels is None else np.asarray(levels)
    if of_units is not None and of_units.shape != codes.shape[1:]:
        raise UserError(f"levels: shape {of_units.shape}; one level for each of {codes.shape[1]} units is needed")
    if log_variances is not None and np.shape(log_variances) != codes.shape:
        shape = np.shape(log_variances)
        raise UserError(f"log_variances: shape {shape}; that of the codes, {codes.shape}, is needed")
    spread = None if log_variances is None else np.asarray(log_variances, np.float64)
    return Sample(codes, factors, kept, of_units, spread)


def check_groups(groups: Sequence[Sequence[int]], units: int) -> None:
    """Raises UserError for a group that is empty or has a column that is not there."""
    for group in groups:
        if not len(group) or not all(0 <= column < units for column in group):
            raise UserError(f"groups: {list(group)}; columns from 0 to {units - 1} are needed in every group")


def _first_component(columns: np.ndarray) -> np.ndarray:
    """The projection [N] of columns [N, d] on their first principal component."""
    centered = columns - columns.mean(axis=0)
    return centered @ np.linalg.eigh(centered.T @ centered)[1][:, -1]
