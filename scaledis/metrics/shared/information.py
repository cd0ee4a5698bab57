"""Plug-in mutual information of units and factors: the tables behind the MIG family, modularity and the levels."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import entr

from scaledis.core import registry
from scaledis.metrics.shared import arguments, rows
from scaledis.metrics.shared.classes import MISSING

BINS = 20
ROUNDING = 1e-14  # nats: a sum of entropies that is 0 can be computed as 1e-16 of either sign
OUTLIER_SHARE = 0.99  # of the rows in one bin, above which the other bins count as empty
SHUFFLES = 99  # permutations that information must exceed; one in a hundred codes of noise does
FAR = 20  # standard deviations above chance that no permutation reaches

BINNINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "equal_width": lambda unit, bins: np.linspace(unit.min(), unit.max(), bins + 1)[:-1],
    "quantile": lambda unit, bins: np.quantile(unit, np.arange(bins) / bins, method="lower"),
}


class Table(NamedTuple):
    """The information of units about factors for one binning, in nats.

    Attributes:
        cells: int [N, K], the bin of every code.
        nats: [K, F], I(z_j; v_k) = H(z_j) + H(v_k) - H(z_j, v_k), at least 0.
        chance: [K, F], the mean of independent units and factors, (B - 1)(V - 1) / 2N (Miller 1955) with the B bins of
            the unit and the V classes of the factor that have rows.
        spread: [K, F], the standard deviation of independent ones, sqrt((B - 1)(V - 1) / 2) / N.
        unit_entropies, factor_entropies: H(z_j) [K, F] and H(v_k) [F], over the N rows with a label of factor k.
        warnings: a sentence for every unit whose bins an outlier empties.
    """

    cells: np.ndarray
    nats: np.ndarray
    chance: np.ndarray
    spread: np.ndarray
    unit_entropies: np.ndarray
    factor_entropies: np.ndarray
    warnings: list[str]

    @property
    def corrected(self) -> np.ndarray:
        """[K, F], nats above chance, at least 0."""
        return np.asarray(np.maximum(self.nats - self.chance, 0))

    @property
    def shares(self) -> np.ndarray:
        """[K, F], nats over the factor's entropy, in [0, 1]; 0 for a factor without entropy."""
        return share(self.nats, self.factor_entropies)

    @property
    def lead(self) -> float:
        """The most standard deviations by which any entry of `nats` exceeds chance; at least 0."""
        there = self.spread > 0
        return float(((self.nats - self.chance)[there] / self.spread[there]).max(initial=0))

    @property
    def informative(self) -> np.ndarray:
        """bool [K], the units that know some factor by more than three standard deviations above chance."""
        return np.asarray(np.any(self.nats > self.chance + 3 * self.spread, axis=1))


class Information:
    """The tables of `codes` [N, K] and `factors` [N, F], each computed once.

    Raises:
        UserError: codes or factors that `checked` refuses.
    """

    def __init__(self, codes: np.ndarray, factors: np.ndarray):
        self._codes, self._factors = rows.checked(codes, factors)
        self._tables: dict[tuple[int, str], Table] = {}

    def table(self, bins: int = BINS, binning: str = "equal_width") -> Table:
        """The table of `bins` bins per unit, of equal width over its range or between its quantiles.

        Factors are not binned. A unit without variance has one bin and no information.

        Raises:
            UserError: fewer than one bin, an unknown binning.
        """
        if (bins, binning) not in self._tables:
            self._tables[bins, binning] = _table(self._codes, self._factors, bins, binning)
        return self._tables[bins, binning]

    def permuted(self, order: np.ndarray) -> "Information":
        """The tables of the same codes and of the factors' rows in the order int [N]."""
        return _Permuted(self, order)

    def above_chance(self, seed: int) -> bool:
        """Whether some unit knows more of some factor than any does of any in 99 permutations of the factors' rows.

        Information is compared in standard deviations above chance, by bins of equal width or by quantiles, whichever
        shows more: outliers empty the former, and units that are almost always 0 the latter. One in a hundred codes of
        noise passes. More than 20 standard deviations pass without permutations.
        """
        if any(self.table(binning=binning).lead > FAR for binning in BINNINGS):
            return True

        def most(tables: Information) -> float:
            return max(tables.table(binning=binning).lead for binning in BINNINGS)

        rng, own = np.random.default_rng([seed, SHUFFLES]), most(self)
        orders = (rng.permutation(len(self._factors)) for _ in range(SHUFFLES))
        return all(own > most(self.permuted(order)) for order in orders)


class _Permuted(Information):
    """Another order of the factors' rows changes only the joint entropies; the rest is shared."""

    def __init__(self, base: Information, order: np.ndarray):
        self._base, factors = base, base._factors
        self._factors = np.take_along_axis(factors, rows.orders(factors != MISSING, order), axis=0)

    def table(self, bins: int = BINS, binning: str = "equal_width") -> Table:
        table = self._base.table(bins, binning)
        if (self._factors == MISSING).any():  # a table of its own for each factor
            return _measured(table.cells, self._factors)._replace(warnings=table.warnings)
        return table._replace(nats=_nats(table.cells, self._factors, table.unit_entropies, table.factor_entropies))


def _table(codes: np.ndarray, factors: np.ndarray, bins: int, binning: str) -> Table:
    cells, warnings = binned(codes, bins, binning), []
    for number, (unit, column) in enumerate(zip(codes.T, cells.T, strict=True)):
        counts = np.bincount(column)
        rest = len(unit) - counts.max()
        crowded = rest > 0 and counts.max() >= OUTLIER_SHARE * len(unit)
        if crowded and np.ptp(unit[column == counts.argmax()]) > 0:
            found = f"unit {number}: {bins - 1} of {bins} bins empty but for {rest} of {len(unit)} rows"
            warnings.append(f"{found}; outliers stretch its range, which binning='quantile' avoids")
    return _measured(cells, factors)._replace(warnings=warnings)


def _measured(cells: np.ndarray, factors: np.ndarray) -> Table:
    """The table of bins int [N, K] and of factors [N, F], each over the rows that have a label."""
    there = factors != MISSING
    if not there.all():
        each = [_measured(cells[rows], factors[rows, number, None]) for number, rows in enumerate(there.T)]
        nats, chance, spread, of_units, of_factors = (
            np.concatenate(parts, axis=-1) for parts in zip(*(table[1:-1] for table in each), strict=True)
        )
        return Table(cells, nats, chance, spread, of_units, of_factors, [])
    used, classes = (np.array([len(np.unique(column)) for column in each.T]) for each in (cells, factors))
    freedom, count = np.outer(used - 1, classes - 1), len(cells)
    entropies = np.tile(entropy(cells)[:, None], factors.shape[1]), entropy(factors)
    nats = _nats(cells, factors, *entropies)
    return Table(cells, nats, freedom / (2 * count), np.sqrt(freedom / 2) / count, *entropies, [])


def _nats(
    cells: np.ndarray, factors: np.ndarray, unit_entropies: np.ndarray, factor_entropies: np.ndarray
) -> np.ndarray:
    """H(z_j) + H(v_k) - H(z_j, v_k), [K, F], with rounding errors of 0 removed."""
    nats = unit_entropies + factor_entropies - joint_entropies(cells, factors)
    return np.where(nats < ROUNDING, 0, nats)


def binned(codes: np.ndarray, bins: int = BINS, binning: str = "equal_width") -> np.ndarray:
    """The bin of every entry of `codes` [N, K], int from 0. A value on an edge belongs to the bin above it.

    Raises:
        UserError: fewer than one bin, an unknown binning.
    """
    edges = registry.choose("metrics binning", binning, BINNINGS)
    arguments.check("bins", bins, int, 1)
    cells = [np.searchsorted(edges(unit, bins), unit, side="right") - 1 for unit in np.asarray(codes, np.float64).T]
    return np.stack(cells, axis=1)


def binned_classes(factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The equal-width bin of every class number in [N, F], int from 0; a missing label stays missing."""
    found = factors.copy()
    for column, there in zip(found.T, (factors != MISSING).T, strict=True):
        column[there] = binned(column[there, None], bins)[:, 0]
    return found


def entropy(factors: np.ndarray) -> np.ndarray:
    """The entropy of every column of int [N, F] in nats, float [F]."""
    counts = [np.unique(factor, return_counts=True)[1] for factor in np.asarray(factors).T]
    return np.array([entr(count / len(factors)).sum() for count in counts])


def joint_entropies(cells: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """H(z_j, v_k) in nats, [K, F], of the columns of `cells` [N, K] (from 0) and `factors` [N, F]."""
    bins, units = cells.max() + 1, cells.shape[1]
    numbered = cells + bins * np.arange(units)  # one number for every (unit, bin)
    columns = []
    for factor in factors.T:
        values, classes = np.unique(factor, return_inverse=True)
        counts = np.bincount((numbered * len(values) + classes[:, None]).ravel(), minlength=units * bins * len(values))
        columns.append(entr(counts.reshape(units, -1) / len(factors)).sum(axis=1))
    return np.stack(columns, axis=1)


def share(nats: np.ndarray, entropies: np.ndarray) -> np.ndarray:
    """`nats` over `entropies` (they broadcast), at most 1; 0 where there is no entropy."""
    entropies = np.broadcast_to(entropies, nats.shape)
    return np.asarray(np.minimum(np.divide(nats, entropies, out=np.zeros_like(nats), where=entropies > 0), 1))


def best_and_second(values: np.ndarray, floor: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the second largest entry of every column of [A, B]; `floor` stands in for missing rows."""
    padded = np.concatenate([values, np.full((2, values.shape[1]), floor, float)])
    second, best = np.sort(padded, axis=0)[-2:]
    return best, second
