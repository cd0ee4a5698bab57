"""The content of each picture, computed once: pictures/ draws it by matplotlib, page.py and its script on the page."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scaledis.metrics.of_models.shared.coding import DEAD
from scaledis.report.summary import Summary, best_factor, check_units, selectivity, units

LEVEL = re.compile(r"_level_?(\d+)")


class Level(NamedTuple):
    """A level of the ladder: its number, from 1 at the bottom, and its units in the order of the codes."""

    number: int
    units: range


def levels(allocation: Sequence[int]) -> list[Level]:
    """The levels of an allocation, top first."""
    ends = np.cumsum(allocation, dtype=int).tolist()
    numbers = range(len(ends), 0, -1)
    return [Level(n, range(end - size, end)) for n, size, end in zip(numbers, allocation, ends, strict=True)]


class Unit(NamedTuple):
    """The facts of a latent unit."""

    level: int
    place: int  # in its level, from 1
    kl: float | None  # nats per image; None where it is unknown or infinite
    dead: bool  # less than 0.1 nats
    best: tuple[str, float] | None  # the factor of which it knows the largest share, with this share


def ladder(run: Summary) -> list[Unit]:
    """The units of a run in the order of the codes."""
    kl = [None] * sum(run.allocation) if run.kl is None else [float(v) if np.isfinite(v) else None for v in run.kl]
    return [
        Unit(level, place, kl[n], (kl[n] or 0) < DEAD and kl[n] is not None, best_factor(run, n))
        for n, (level, place) in enumerate(units(run.allocation))
    ]


def pixels(images: np.ndarray) -> np.ndarray:
    """Images [..., C] with C of 1 or 3, uint8 or float in 0 to 1, as uint8 [..., 3]."""
    if images.dtype != np.uint8:
        images = np.rint(255 * np.clip(np.nan_to_num(images), 0, 1)).astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:-1], 3))


def reconstructed(run: Summary) -> np.ndarray | None:
    """Originals above their reconstructions, uint8 [2, N, H, W, 3]; None if the run has none."""
    if run.originals is None or run.reconstructions is None:
        return None
    return np.stack((pixels(run.originals), pixels(run.reconstructions)))


class HeatMap(NamedTuple):
    """The mutual information of units with factors."""

    factors: tuple[str, ...]
    shares: np.ndarray  # [K, F] of the factor's entropy, 0 to 1; NaN where it is unknown


def heat_map(run: Summary) -> HeatMap | None:
    """The heat map of a run; None if it was not measured against factors.

    Raises ValueError unless its shares are [K, F].
    """
    if run.shares is None or not run.factor_names:
        return None
    check_units(run, run.shares)
    if run.shares.shape[1] != len(run.factor_names):
        raise ValueError(f"run {run.name!r}: {run.shares.shape[1]} factors, {len(run.factor_names)} factor names.")
    return HeatMap(run.factor_names, run.shares)


class Edit(NamedTuple):
    """The factors that change when one unit is edited."""

    factor: str  # the unit's own
    own: float | None  # the share of the changes that is the own factor; None if nothing changes
    next: tuple[str, float] | None  # the factor that changes most beside it, and its share


class Edits(NamedTuple):
    """The share of all factor changes that is the edited unit's own factor; None where nothing changes."""

    all: float | None
    levels: list[float | None]  # bottom first
    units: list[Edit | None]  # None for a unit without a factor


def edits(run: Summary) -> Edits | None:
    """The selectivity of a run's edits; None if they were not measured."""
    if run.changes is None:
        return None
    check_units(run, run.changes)
    found: list[Edit | None] = []
    for unit, (own, changes) in enumerate(zip(run.edited, run.changes, strict=True)):
        others = [(float(share), name) for share, name in zip(changes, run.factor_names, strict=True) if name != own]
        share, name = max(others, default=(0.0, ""))
        after = (name, share / sum(map(float, changes))) if share else None
        found.append(None if own is None else Edit(own, selectivity(run, [unit]), after))
    by_level = [selectivity(run, level.units) for level in reversed(levels(run.allocation))]
    return Edits(selectivity(run, range(len(found))), by_level, found)


class Curves(NamedTuple):
    """Terms of the objective over the steps of several runs."""

    steps: np.ndarray  # [n], ascending
    values: Mapping[str, np.ndarray]  # term -> [R, n] nats per image; NaN where it was not logged, or not finite

    def mean(self, term: str) -> np.ndarray:
        """The mean over the runs that have a value, [n]; NaN where none has."""
        values = self.values[term]
        count = np.isfinite(values).sum(0)
        return np.where(count, np.nansum(values, 0) / np.maximum(count, 1), np.nan)


def curves(runs: Sequence[Summary], terms: Iterable[str]) -> Curves:
    """The logs of runs at all steps that any of them has.

    Of a step that was logged twice, by a resumed run, the last value counts.
    """
    logs: list[dict[float, dict[str, float]]] = [{} for _ in runs]
    for run, log in zip(runs, logs, strict=True):
        for record in run.records:
            known = {key: value for key, value in record.items() if value is not None}
            log.setdefault(record["step"], {}).update(known)
    steps = sorted(set().union(*logs))

    def values(term: str) -> np.ndarray:
        found = np.array([[log.get(step, {}).get(term, np.nan) for step in steps] for log in logs], float)
        return np.where(np.isfinite(found), found, np.nan)

    return Curves(np.array(steps), {term: values(term) for term in terms})


def rows_of_terms(runs: Iterable[Summary]) -> list[list[str]]:
    """The logged terms (keys that end in `_nats`) in rows of panels: those without levels, four a row, then a row for
    the levels of each other.
    """
    groups: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for run in runs for record in run.records for key in record):
        if key.endswith("_nats"):
            groups.setdefault(LEVEL.sub("", key), []).append(key)
    single = [terms[0] for terms in groups.values() if len(terms) == 1]
    by_level = [sorted(terms, reverse=True) for terms in groups.values() if len(terms) > 1]
    return [single[n : n + 4] for n in range(0, len(single), 4)] + by_level


def words(term: str) -> str:
    """A term's key in words: "kl_level4_nats" is "KL, level 4"."""
    text = LEVEL.sub(r", level \1", term.removesuffix("_nats")).replace("_", " ")
    return re.sub(r"\b(kl|tc|mi|elbo)\b", lambda match: match[0].upper(), text)
