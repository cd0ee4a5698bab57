"""The data that a metric gets: codes with their factors, prepared once for all metrics that see them the same way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scaledis.core import UserError, convert, kinds, registry, values
from scaledis.metrics.shared.classes import MISSING, classes
from scaledis.metrics.shared.information import Information, binned, binned_classes
from scaledis.metrics.shared.labels import CATEGORY, Kinds, Labels, of_classes, read
from scaledis.metrics.shared.rows import checked_codes, counted


@dataclass(frozen=True)
class Sample:
    """Codes of N images with their factors.

    Attributes:
        codes: float64 [N, K].
        labels: of the factors that are scored; None if there are none.
        kept: bool [all factors], which of the user's factors these are.
        levels: int [K], the level of every unit; None: one level.
        log_variances: float64 [N, K] of the posteriors whose means are `codes`; None: unknown.
    """

    codes: np.ndarray
    labels: Labels | None
    kept: np.ndarray
    levels: np.ndarray | None
    log_variances: np.ndarray | None

    @property
    def factors(self) -> np.ndarray | None:
        """int [N, F], the classes of the labels; None without factors."""
        return None if self.labels is None else self.labels.classes

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
        labels = None if self.labels is None else self.labels.taken(rows)
        log_variances = None if self.log_variances is None else self.log_variances[rows]
        return replace(self, codes=self.codes[rows], labels=labels, log_variances=log_variances)

    def permuted(self, order: np.ndarray) -> "Sample":
        """The sample with the labels of its factors in the order int [N], so that its codes do not know them.

        An image without a label has none in any order. It shares what does not depend on the order.
        """
        if self.labels is None or self.information is None:
            return self
        permuted = replace(self, labels=self.labels.permuted(order))
        permuted.__dict__["information"] = self.information.permuted(order)
        return permuted

    def binned(self) -> "Sample":
        """The sample with codes and factors as the numbers from 1 of their equal-width bins."""
        if self.labels is None:
            return self
        classes = np.where(self.labels.there, binned_classes(self.labels.classes) + 1, MISSING)
        amounts = np.where(self.labels.of_kind(CATEGORY), of_classes(classes).amounts, self.labels.amounts)
        return replace(
            self, codes=binned(self.codes) + 1.0, labels=self.labels._replace(classes=classes, amounts=amounts)
        )

    def of_kinds(self, kinds: Sequence[str]) -> "Sample":
        """The sample with the factors of some kinds, and with no labels where there is no such factor."""
        if self.labels is None or set(self.labels.kinds) <= set(kinds):
            return self
        return self._chosen(self.labels, np.isin(self.labels.kinds, kinds))

    def varying(self, missing: object = None) -> "Sample":
        """The sample with the factors that vary over its rows. Raises UserError where none does."""
        if self.labels is None:
            return self
        varies = np.array([len(counted(factor)[0]) > 1 for factor in self.labels.classes.T])
        if not varies.any():
            without = "" if missing is None else f" without the labels that are missing={missing!r}"
            found = f"all {len(varies)} are constant over {len(self.codes)} rows{without}"
            raise UserError(f"factors: {found}; one must vary.")
        return self._chosen(self.labels, varies)

    def _chosen(self, labels: Labels, factors: np.ndarray) -> "Sample":
        """The sample with some of its factors, bool [F], and with no labels where there is no such factor."""
        kept = self.kept.copy()
        kept[kept] = factors
        return replace(self, labels=labels.chosen(factors) if factors.any() else None, kept=kept)

    def grouped(self, groups: Sequence[Sequence[int]]) -> "Sample":
        """The sample with one unit per group of columns, the group's first principal component.

        A unit has the level of the first column of its group, and nothing is known about its posteriors. Raises
        UserError for groups that `checked_groups` refuses.
        """
        groups, components = checked_groups(groups, self.codes.shape[1]), []
        for group in groups:
            columns = self.codes[:, list(group)]
            centered = columns - columns.mean(axis=0)
            components.append(centered @ np.linalg.eigh(centered.T @ centered)[1][:, -1])
        levels = None if self.levels is None else self.levels[[group[0] for group in groups]]
        return replace(self, codes=np.stack(components, axis=1), levels=levels, log_variances=None)


def make_sample(
    codes: object,
    factors: object,
    levels: object = None,
    log_variances: object = None,
    kinds_: Kinds | None = None,
    missing: object = None,
) -> Sample:
    """The sample of a user's arrays; factors, levels and log variances may be None.

    Infinite log variances are accepted, since a unit without noise has -inf.

    Raises:
        UserError: codes or factors that `aligned` refuses; levels that are not one per unit; log variances that are NaN
            or have another shape than the codes.
    """
    rows, known, kept = checked_codes(codes), None, np.zeros(0, bool)
    if factors is not None:
        rows, known = aligned(codes, factors, kinds_, missing)
        kept = np.ones(len(known.kinds), bool)
    if levels is not None:
        levels = convert.read("levels", levels)
        if levels.shape != rows.shape[1:]:
            raise UserError(f"levels: shape {levels.shape} must be {rows.shape[1:]}, one level per unit.")
        levels = classes("levels", levels)
    if log_variances is not None:
        spread = convert.numbers("log_variances", convert.aligned("log_variances", log_variances, codes))
        if spread.shape != rows.shape:
            raise UserError(f"log_variances: shape {spread.shape} must be that of the codes, {rows.shape}.")
        if len(wrong := np.argwhere(np.isnan(log_variances := spread.astype(np.float64)))):
            (row, unit), *others = wrong
            raise UserError(f"log_variances: row {row} of unit {unit} and {len(others)} other entries are NaN.")
    return Sample(rows, known, kept, levels, log_variances)


def aligned(
    codes: object, factors: object, kinds_: Kinds | None = None, missing: object = None
) -> tuple[np.ndarray, Labels]:
    """Codes as float64 [N, K] and the labels of the same images; see `labels.read` for `kinds_` and `missing`.

    Raises UserError for what `checked_codes` and `labels.read` refuse, and for different numbers of rows.
    """
    rows, known = checked_codes(codes), read("factors", convert.aligned("factors", factors, codes), kinds_, missing)
    if len(rows) != len(known.classes):
        raise UserError(
            f"codes, factors: {len(rows)} and {len(known.classes)} rows; one row of each per image is needed"
        )
    return rows, known


def checked_groups(groups: object, units: int) -> Sequence[Sequence[int]]:
    """`groups` as tuples. Raises UserError unless they are lists of columns below `units`, none of them empty."""
    found: Sequence[Sequence[int]] = values.plain(groups)
    kinds.check("groups", found, Sequence[Sequence[int]])
    wrong = [group for group in found if not group or not 0 <= min(group) <= max(group) < units]
    if wrong or not found:
        where = registry.short(wrong[0] if wrong else found)
        raise UserError(f"groups: {where} must be columns from 0 to {units - 1}, at least one in every group.")
    return found
