"""How one metric is computed: its rows, its arguments, and what its result holds besides its scores."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from scaledis.core import UserError, registry
from scaledis.metrics.shared import arguments, protocols
from scaledis.metrics.shared.labels import ANGLE, Kinds
from scaledis.metrics.shared.rows import LEAST_ROWS, or_none, orders
from scaledis.metrics.shared.sample import Sample, checked_groups, make_sample
from scaledis.metrics.shared.spec import COMPONENT, JOINT, ROWS, Part, Result, Scores, Spec, intervals, spec_of

ROUNDING = 1e-9
MOST_RESAMPLES, MOST_PERMUTATIONS = 100_000, 10_000
PERMUTATIONS = 20
CHANCE, DEVIATION = "_chance", "_chance_deviation"
NOISE = "no unit knows more of any factor than units do of permuted rows, and a ratio of noise is no score"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every metric has, described in `metrics.compute`. Raises UserError for one of another kind."""

    protocol: str | None = None
    shuffle: bool = True
    rows: int | None = None
    n_bootstrap: int = 0
    chance: int = PERMUTATIONS
    groups: Sequence[Sequence[int]] | None = None
    levels: object = None
    log_variances: object = None
    kinds: Kinds | None = None
    missing: object = None

    def __post_init__(self) -> None:
        if self.protocol is not None:
            registry.check("protocol", self.protocol, protocols.PROTOCOLS)
        arguments.check("shuffle", self.shuffle, bool)
        arguments.check("rows", self.rows, int | None, LEAST_ROWS)
        arguments.check("n_bootstrap", self.n_bootstrap, int, 0, MOST_RESAMPLES)
        arguments.check("chance", self.chance, int, 0, MOST_PERMUTATIONS)


COMMON = tuple(Settings.__dataclass_fields__)


class Samples:
    """The samples of one pair of codes and factors. Metrics that see them the same way share one, and its tables."""

    def __init__(self, codes: object, factors: object, seed: int):
        self._codes, self._factors, self._seed = codes, factors, seed
        self._made: dict[tuple[object, ...], Sample] = {}

    def of(self, name: str, spec: Spec, settings: Settings, protocol: str) -> Sample:
        """The sample that metric `name` sees."""
        limit = None if name in protocols.PROTOCOLS[protocol].whole else settings.rows
        binned = name in protocols.PROTOCOLS[protocol].binned
        groups = settings.groups if spec.groups == COMPONENT else None
        given = settings.levels, settings.log_variances, settings.kinds, settings.missing
        key = (settings.shuffle, limit, binned, repr(groups), *map(id, given))
        if key not in self._made:
            sample = make_sample(self._codes, self._factors, *given)
            order = np.arange(len(sample.codes))
            if settings.shuffle:
                order = np.random.default_rng(self._seed).permutation(order)
            sample = sample.taken(order[:limit])
            sample = sample if groups is None else sample.grouped(groups)
            self._made[key] = (sample.binned() if binned else sample).varying(settings.missing)
        return self._made[key]


def own_scores(
    name: str, metric: ModuleType, samples: Samples, seed: int, settings: Settings, options: Mapping[str, object]
) -> Result:
    """The scores of `metric`, called `name`, with intervals, chance levels and what every result holds.

    Raises:
        UserError: a sample without factors, where the metric needs them; what the metric raises.
    """
    spec, parameters = spec_of(metric), inspect.signature(metric.compute).parameters
    protocol = settings.protocol or (parameters["protocol"].default if "protocol" in parameters else "library")
    every = samples.of(name, spec, settings, protocol)
    needs = parameters["factors"].default is inspect.Parameter.empty
    if every.labels is None and needs:
        raise UserError(f"factors: None; the metric {name!r} needs them.")
    sample = every.of_kinds(spec.kinds) if needs else every
    if sample.labels is None and needs:
        return _undefined(name, every, spec, protocol)
    count, units = sample.codes.shape
    joint = settings.groups is not None and spec.groups == JOINT
    groups = checked_groups(settings.groups, units) if joint else None

    def run(sample: Sample) -> Result:
        known = {"protocol": protocol, "information": sample.information, "groups": groups}
        known |= {"levels": sample.levels, "log_variances": sample.log_variances, "labels": sample.labels}
        asked = {key: value for key, value in known.items() if key in parameters}
        scores: Result = metric.compute(sample.codes, sample.factors, seed, **asked, **options)
        return scores

    scores = run(sample)
    parts: Mapping[str, Part] = scores.parts if isinstance(scores, Scores) else {}

    def permuted(order: np.ndarray) -> Result:
        if ROWS in parts and not spec.fits:  # all scores with a chance level are computed without a fit
            score, (codes, *factors), there = parts[ROWS]
            return score(codes, *(np.take_along_axis(array, orders(there, order), axis=0) for array in factors))
        return run(sample.permuted(order))

    rng, repeats = np.random.default_rng([seed, PERMUTATIONS]), spec.permutations(settings.chance)
    draws = [permuted(rng.permutation(count)) for _ in range(repeats)]
    labeled = np.ones((count, 0), bool) if sample.labels is None else sample.labels.there
    rerun = {ROWS: Part(lambda rows: run(sample.taken(rows)), [np.arange(count)], labeled)}
    added: Result = {**intervals(spec, parts or rerun, seed, settings.n_bootstrap)}
    added |= _chance_levels(spec, [key for key in spec.with_chance if key in scores], draws)
    ratios = [key for key in spec.ratios if scores[key] is not None]
    varies = len(sample.dead) < units
    if ratios and varies and sample.information and not sample.information.above_chance(seed):
        added |= {key: None for ratio in ratios for key in (ratio, f"{ratio}_interval") if key in scores | added}
        added["warnings"] = [*scores["warnings"], f"{', '.join(ratios)}: {NOISE}"]
    dropped = {"factors": np.flatnonzero(~sample.kept).tolist(), "units": sample.dead}
    first = {key: scores[key] for key in spec.scores if key in scores}
    found = {**first, **scores, **added, "n": count, "permutations": repeats, "protocol": protocol, "dropped": dropped}
    found |= facts(every) | {"warnings": [*found.get("warnings", []), *unfit(name, every, spec)]}
    return {key: _checked(f"{name}/{key}", _plain(value, sample.kept), spec) for key, value in found.items()}


def facts(sample: Sample) -> Result:
    """What a result says of factors that are no complete categories: the kind of each, and the rows with its label."""
    if sample.labels is None or sample.labels.plain:
        return {}
    kinds, labeled = iter(sample.labels.kinds), iter(sample.labels.there.sum(axis=0).tolist())
    kept = sample.kept.tolist()
    return {
        "kinds": [next(kinds) if each else None for each in kept],
        "labeled": [next(labeled) if each else None for each in kept],
    }


def unfit(name: str, sample: Sample, spec: Spec) -> list[str]:
    """A sentence for every factor of a kind that the metric is not defined for."""
    if sample.labels is None:
        return []
    return [
        f"factor {number}: {'an' if kind == ANGLE else 'a'} {kind}, for which {name} is not defined; it is left out"
        for number, kind in zip(sample.labels.numbers, sample.labels.kinds, strict=True)
        if kind not in spec.kinds
    ]


def _undefined(name: str, sample: Sample, spec: Spec, protocol: str) -> Result:
    """The result of a metric that is defined for no factor of a sample: its scores are None."""
    dropped = {"factors": list(range(len(sample.kept))), "units": sample.dead}
    found = {**dict.fromkeys(spec.with_chance), "n": len(sample.codes), "permutations": 0, "protocol": protocol}
    found |= {"dropped": dropped, **facts(sample), "warnings": unfit(name, sample, spec)}
    return found


def _chance_levels(spec: Spec, names: list[str], draws: list[Result]) -> dict[str, float | None]:
    """The chance level of each score, the mean over permutations if not in closed form, and their deviation."""
    found: dict[str, float | None] = {}
    for name in names if draws else ():
        values = [draw[name] for draw in draws if draw[name] is not None]
        closed = spec.chance.get(name)
        found[f"{name}{CHANCE}"] = closed if closed is not None or not values else float(np.mean(values))
        found[f"{name}{DEVIATION}"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return found


def _plain(value: object, kept: np.ndarray) -> object:
    """`value` as JSON holds it. Arrays have factors on their last axis: those left out are None, in a matrix 0."""
    if not isinstance(value, np.ndarray):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.ma.MaskedArray):  # of factors that it is not defined for
        there = kept.copy()
        there[kept] = ~np.ma.getmaskarray(value)
        return _plain(value.compressed(), there)
    assert np.isfinite(value).all(), f"an array holds {value[~np.isfinite(value)][0]}"
    every = np.zeros((*value.shape[:-1], len(kept)), value.dtype)
    every[..., kept] = value
    return every.tolist() if value.ndim > 1 else or_none(every, kept)


def _checked(where: str, value: object, spec: Spec) -> object:
    """`value`, which is finite if it is a number, and in [0, 1] if the metric declares so; anything else is a bug."""
    if not isinstance(value, float):
        return value
    assert np.isfinite(value), f"{where} is {value}"
    if where.partition("/")[2].removesuffix(CHANCE) not in spec.scores:
        return value
    assert -ROUNDING <= value <= 1 + ROUNDING, f"{where} is {value}, outside [0, 1]"
    return min(max(value, 0.0), 1.0)
