"""Plug-in mutual information of units with factors: the one table behind the MIG family, modularity and the levels."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from scaledis.core import registry
from scaledis.core.errors import UserError
from scaledis.metrics.shared.rows import checked

BINS = 20
ROUNDING = 1e-14  # nats: a sum of entropies that is 0 comes out as 1e-16 on either side of it
OUTLIER_SHARE = 0.99  # of the rows in one bin, from which on the other bins count as empty
SHUFFLES = 99  # permutations that information must exceed: one in a hundred codes of noise does
FAR = 20  # standard deviations above chance that no permutation reaches


def _equal_width(unit: np.ndarray, bins: int) -> np.ndarray:
    return np.linspace(unit.min(), unit.max(), bins + 1)[:-1]


def _quantile(unit: np.ndarray, bins: int) -> np.ndarray:
    return np.quantile(unit, np.arange(bins) / bins, method="lower")


BINNINGS = {"equal_width": _equal_width, "quantile": _quantile}


@dataclass(frozen=True)
class Table:
    """What one binning of the units says about the factors. Everything is in nats.

    Attributes:
        nats: [K, F], I(z_j; v_k) = H(z_j) + H(v_k) - H(z_j, v_k), never below 0.
        chance: [K, F], what independence would give on average, (B - 1)(V - 1) / 2N (Miller 1955) with the B bins of
            the unit and the V classes of the factor that have rows.
        spread: [K, F], the standard deviation of that, sqrt((B - 1)(V - 1) / 2) / N.
        unit_entropies, factor_entropies: H(z_j) [K] and H(v_k) [F].
        warnings: a sentence for every unit whose bins an outlier has emptied.
    """

    nats: np.ndarray
    chance: np.ndarray
    spread: np.ndarray
    unit_entropies: np.ndarray
    factor_entropies: np.ndarray
    warnings: list[str]

    @property
    def corrected(self) -> np.ndarray:
        """[K, F] nats above chance."""
        return np.maximum(self.nats - self.chance, 0)

    @property
    def shares(self) -> np.ndarray:
        """[K, F], the part of every factor's entropy that a unit knows, in [0, 1]; 0 for a factor without entropy."""
        return share(self.nats, self.factor_entropies)

    @property
    def lead(self) -> float:
        """The most standard deviations that any unit's information of any factor lies above chance; at least 0."""
        there = self.spread > 0
        return float(((self.nats - self.chance)[there] / self.spread[there]).max(initial=0))

    @property
    def informative(self) -> np.ndarray:
        """bool [K], the units that know of some factor more than three standard deviations above chance."""
        return np.any(self.nats > self.chance + 3 * self.spread, axis=1)


class Information:
    """The tables of `codes` [N, K] and `factors` [N, F], each computed once.

    Raises:
        UserError: codes or factors that `checked` refuses.
    """

    def __init__(self, codes: np.ndarray, factors: np.ndarray):
        self._codes, self._factors = checked(codes, factors)
        self._cells: dict[tuple[int, str], np.ndarray] = {}
        self._tables: dict[tuple[int, str], Table] = {}

    def table(self, bins: int = BINS, binning: str = "equal_width") -> Table:
        """The table of `bins` bins a unit, of equal width over its range or between its quantiles.

        Factors are not binned. A unit without variance falls into one bin and carries 0.

        Raises:
            UserError: fewer than one bin, an unknown binning.
        """
        key = bins, binning
        if key not in self._tables:
            self._cells[key] = binned(self._codes, bins, binning)
            self._tables[key] = _table(self._codes, self._factors, self._cells[key], bins)
        return self._tables[key]

    def permuted(self, order: np.ndarray) -> "Information":
        """The tables of the same codes and of the factors' rows in the order int [N]."""
        return _Permuted(self, order)

    def above_chance(self, seed: int) -> bool:
        """Whether some unit knows more of some factor than any does of any in 99 permutations of the factors' rows.

        Information counts in standard deviations above chance (`Table.spread`), by bins of equal width or between
        quantiles, whichever show more: outliers empty the ones, and a unit that is nearly always 0 the others. One code
        in a hundred that knows nothing passes. More than 20 standard deviations need no permutation.
        """
        if any(self.table(binning=binning).lead > FAR for binning in BINNINGS):
            return True
        rng = np.random.default_rng([seed, SHUFFLES])

        def most(tables: Information) -> float:
            return max(tables.table(binning=binning).lead for binning in BINNINGS)

        orders = (rng.permutation(len(self._factors)) for _ in range(SHUFFLES))
        return all(most(self) > most(self.permuted(order)) for order in orders)


class _Permuted(Information):
    """Another order of the factors' rows changes the joint entropies alone, so that the rest is shared."""

    def __init__(self, base: Information, order: np.ndarray):
        self._base, self._order = base, order

    def table(self, bins: int = BINS, binning: str = "equal_width") -> Table:
        table = self._base.table(bins, binning)
        joint = joint_entropies(self._base._cells[bins, binning], self._base._factors[self._order])
        return replace(table, nats=_nats(table.unit_entropies, table.factor_entropies, joint))


def information(
    codes: np.ndarray, factors: np.ndarray, bins: int = BINS, estimator: str = "equal_width", corrected: bool = False
) -> np.ndarray:
    """Mutual information of every unit with every factor, float [K, F] in nats.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        bins: bins of each unit.
        estimator: how they are cut, "equal_width" or "quantile".
        corrected: subtract what independence would give on average, (B - 1)(V - 1) / 2N.

    Raises:
        UserError: codes or factors that `checked` refuses, fewer than one bin, an unknown estimator.
    """
    table = Information(codes, factors).table(bins, estimator)
    return table.corrected if corrected else table.nats


def binned(codes: np.ndarray, bins: int = BINS, binning: str = "equal_width") -> np.ndarray:
    """The bin of every entry of `codes` [N, K], int from 0; a value on an edge belongs to the bin above it.

    Raises:
        UserError: fewer than one bin, an unknown binning.
    """
    edges = registry.choose("metrics binning", binning, BINNINGS)
    if bins < 1:
        raise UserError(f"bins: {bins}; at least 1 is needed")
    cells = [np.searchsorted(edges(unit, bins), unit, side="right") - 1 for unit in np.asarray(codes, np.float64).T]
    return np.stack(cells, axis=1)


def entropy(factors: np.ndarray) -> np.ndarray:
    """Entropy of every column's observed classes: int [N, F] to float [F] in nats."""
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
    return np.minimum(np.divide(nats, entropies, out=np.zeros_like(nats), where=entropies > 0), 1)


def best_and_second(values: np.ndarray, floor: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the second largest entry of every column of [A, B]; `floor` stands in for missing rows."""
    padded = np.concatenate([values, np.full((2, values.shape[1]), floor, float)])
    second, best = np.sort(padded, axis=0)[-2:]
    return best, second


def make_table(
    unit_entropies: np.ndarray,
    factor_entropies: np.ndarray,
    joint: np.ndarray,
    bins_used: np.ndarray,
    classes_used: np.ndarray,
    rows: int,
    warnings: list[str],
) -> Table:
    """The table of entropies H(z_j) [K], H(v_k) [F] and H(z_j, v_k) [K, F], and the bins and classes that have rows."""
    freedom = np.outer(bins_used - 1, classes_used - 1)
    return Table(
        nats=_nats(unit_entropies, factor_entropies, joint),
        chance=freedom / (2 * rows),
        spread=np.sqrt(freedom / 2) / rows,
        unit_entropies=unit_entropies,
        factor_entropies=factor_entropies,
        warnings=warnings,
    )


def emptied(codes: np.ndarray, cells: np.ndarray, bins: int) -> list[str]:
    """A sentence for every unit of [N, K] of which nearly all rows fall into one bin without sharing one value."""
    return [sentence for number in range(codes.shape[1]) for sentence in _emptied(number, codes, cells, bins)]


def distinct(columns: np.ndarray) -> np.ndarray:
    """How many values every column of [N, A] has, int [A]."""
    return np.array([len(np.unique(column)) for column in columns.T])


def _nats(unit_entropies: np.ndarray, factor_entropies: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """H(z_j) + H(v_k) - H(z_j, v_k), [K, F], without the rounding of sums that are 0."""
    nats = unit_entropies[:, None] + factor_entropies - joint
    return np.where(nats < ROUNDING, 0, nats)


def _table(codes: np.ndarray, factors: np.ndarray, cells: np.ndarray, bins: int) -> Table:
    return make_table(
        entropy(cells),
        entropy(factors),
        joint_entropies(cells, factors),
        distinct(cells),
        distinct(factors),
        len(codes),
        emptied(codes, cells, bins),
    )


def _emptied(number: int, codes: np.ndarray, cells: np.ndarray, bins: int) -> list[str]:
    """A sentence if nearly all rows fall into one bin that they do not share by having one value."""
    counts = np.bincount(cells[:, number])
    rest = len(codes) - counts.max()
    crowded = codes[cells[:, number] == counts.argmax(), number]
    if rest == 0 or counts.max() < OUTLIER_SHARE * len(codes) or np.ptp(crowded) == 0:
        return []
    return [
        f"unit {number}: {bins - 1} of {bins} bins empty but for {rest} of {len(codes)} rows; outliers stretch its "
        "range, and binning='quantile' does not see them"
    ]
