"""How one metric is run: the rows that it sees, the arguments that it asks for, and what its result carries."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from scaledis.core import registry
from scaledis.core.errors import UserError
from scaledis.metrics.shared.arguments import check_count, check_kind, check_mapping
from scaledis.metrics.shared.information import Information
from scaledis.metrics.shared.protocols import PROTOCOLS
from scaledis.metrics.shared.resampling import Part, Scores, intervals
from scaledis.metrics.shared.rows import LEAST_ROWS, or_none
from scaledis.metrics.shared.sample import Sample, check_groups, make_sample
from scaledis.metrics.shared.spec import ROWS, Spec, spec_of

GIVEN = ("codes", "factors", "seed", "information")  # arguments of a metric that are no options of its user
ROUNDING = 1e-9
MOST_RESAMPLES = 100_000
PERMUTATIONS = 20  # of the factors' rows, for the chance level of a score
MOST = 10_000  # permutations
CHANCE, DEVIATION = "_chance", "_chance_deviation"
NOISE = "no unit knows more of any factor than units do of permuted rows, and a ratio of noise is no score"


@dataclass(frozen=True)
class Settings:
    """What every metric can be told; see `metrics.compute`. Raises UserError for what is of another kind."""

    protocol: str | None = None
    shuffle: bool = True
    rows: int | None = None
    n_bootstrap: int = 0
    chance: int = PERMUTATIONS
    groups: Sequence[Sequence[int]] | None = None
    levels: Sequence[int] | np.ndarray | None = None
    log_variances: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.protocol is not None:
            registry.check("protocol", self.protocol, PROTOCOLS)
        if not isinstance(self.shuffle, bool):
            raise UserError(f"shuffle: {registry.short(self.shuffle)}; True or False is needed")
        if self.rows is not None:
            check_count("rows", self.rows, least=LEAST_ROWS)
        check_count("n_bootstrap", self.n_bootstrap, 0, MOST_RESAMPLES)
        check_count("chance", self.chance, 0, MOST)


COMMON = tuple(Settings.__dataclass_fields__)


def check_options(name: str, metric: ModuleType, options: Mapping[str, Any]) -> None:
    """Raises UserError for an option that `metric`, called `name`, does not have, or that is of another kind."""
    check_mapping(name, options)
    parameters = inspect.signature(metric.compute).parameters
    known = ({*parameters} - {*GIVEN}) | {*COMMON}
    for key, value in options.items():
        registry.check(f"option of metric {name!r}", key, known)
        if key not in COMMON:
            check_kind(f"{name}: {key}", value, parameters[key].annotation)


class Samples:
    """The samples of one pair of codes and factors. Metrics that see them the same way share one, and its tables."""

    def __init__(self, codes: np.ndarray, factors: np.ndarray | None, seed: int):
        self._codes, self._factors, self._seed = codes, factors, seed
        self._made: dict[tuple, Sample] = {}

    def of(self, name: str, settings: Settings, protocol: str, groups: Sequence[Sequence[int]] | None) -> Sample:
        """The sample that metric `name` sees, with one unit for each of `groups`."""
        limit = None if name in PROTOCOLS[protocol].whole else settings.rows
        as_numbers = protocol if name in PROTOCOLS[protocol].binned else None
        key = (settings.shuffle, limit, as_numbers, repr(groups), id(settings.levels), id(settings.log_variances))
        if key not in self._made:
            sample = self._rows(settings, limit)
            self._made[key] = (sample if groups is None else sample.grouped(groups)).seen(protocol, name)
        return self._made[key]

    def _rows(self, settings: Settings, limit: int | None) -> Sample:
        sample = make_sample(self._codes, self._factors, settings.levels, settings.log_variances)
        if settings.groups is not None:
            check_groups(settings.groups, sample.codes.shape[1])
        order = np.arange(len(sample.codes))
        if settings.shuffle:
            order = np.random.default_rng(self._seed).permutation(order)
        return sample.taken(order[:limit])


def own_scores(
    name: str, metric: ModuleType, samples: Samples, seed: int, settings: Settings, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The result of `metric`, called `name`, with what every result carries.

    Raises:
        UserError: an unknown protocol; a sample without factors, where the metric needs them; what the metric raises.
    """
    parameters = inspect.signature(metric.compute).parameters
    protocol = settings.protocol or (parameters["protocol"].default if "protocol" in parameters else "library")
    registry.check("protocol", protocol, PROTOCOLS)
    sample = samples.of(name, settings, protocol, None if "groups" in parameters else settings.groups)
    if sample.factors is None and parameters["factors"].default is inspect.Parameter.empty:
        raise UserError(f"factors: None; the metric {name!r} needs them")

    def run(sample: Sample, information: Information | None) -> dict[str, Any]:
        asked = {
            "protocol": protocol,
            "information": information,
            "levels": sample.levels,
            "log_variances": sample.log_variances,
            "groups": settings.groups,
        }
        asked = {key: value for key, value in asked.items() if key in parameters}
        return metric.compute(sample.codes, sample.factors, seed, **asked, **options)

    scores, rows = run(sample, sample.information), len(sample.codes)
    spec, repeats = spec_of(metric), spec_of(metric).permutations(settings.chance)
    parts: Mapping[str, Part] = {ROWS: (lambda drawn: run(sample.taken(drawn), None), np.arange(rows))}
    parts = scores.parts if isinstance(scores, Scores) else parts
    closed = isinstance(scores, Scores) and all(spec.intervals.get(key) == ROWS for key in spec.with_chance)

    def permuted(order: np.ndarray) -> dict[str, Any]:
        if closed:  # no fit is needed
            score, *arrays = parts[ROWS]
            return score(arrays[0], arrays[1][order])
        return run(sample.permuted(order), sample.information and sample.information.permuted(order))

    added: dict[str, Any] = {
        **intervals(parts, spec.intervals, seed, settings.n_bootstrap),
        **_chances(spec, scores, permuted, rows, seed, repeats),
    }
    ratios = [key for key in spec.ratios if scores[key] is not None]
    if ratios and _knows_nothing(sample, seed):
        added |= {key: None for ratio in ratios for key in (ratio, f"{ratio}_interval") if key in scores | added}
        added["warnings"] = [*scores["warnings"], f"{', '.join(ratios)}: {NOISE}"]
    dropped = {"factors": np.flatnonzero(~sample.kept).tolist(), "units": sample.dead}
    every: dict[str, Any] = {"n": rows, "permutations": repeats, "protocol": protocol}
    every |= {"dropped": dropped, "warnings": []}
    first = {key: scores[key] for key in spec.scores if key in scores}
    plain = {key: _plain(value, sample.kept) for key, value in {**first, **scores, **added}.items()}
    return _sound(name, plain | {key: plain.get(key, value) for key, value in every.items()}, spec)


def _knows_nothing(sample: Sample, seed: int) -> bool:
    """Whether units vary, and none of them knows more of any factor than by chance."""
    varies = len(sample.dead) < sample.codes.shape[1]
    return varies and sample.information is not None and not sample.information.above_chance(seed)


def _chances(
    spec: Spec,
    scores: Mapping[str, Any],
    permuted: Callable[[np.ndarray], dict[str, Any]],
    rows: int,
    seed: int,
    repeats: int,
) -> dict[str, float | None]:
    """The chance level of every score that has one, the mean over permutations if not closed, and their deviation."""
    rng = np.random.default_rng([seed, PERMUTATIONS])
    draws = [permuted(rng.permutation(rows)) for _ in range(repeats)]
    found: dict[str, float | None] = {}
    for key in [key for key in spec.with_chance if key in scores] if draws else ():
        values = [draw[key] for draw in draws if draw[key] is not None]
        closed = spec.chance.get(key)
        found[f"{key}{CHANCE}"] = closed if closed is not None or not values else float(np.mean(values))
        found[f"{key}{DEVIATION}"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return found


def _plain(value: Any, kept: np.ndarray) -> Any:
    """`value` as JSON has it. An array has the factors on its last axis: those left out are None, in a matrix 0."""
    if isinstance(value, np.ndarray):
        assert np.isfinite(value).all(), f"an array holds {value[~np.isfinite(value)][0]}"
        every = np.zeros((*value.shape[:-1], len(kept)))
        every[..., kept] = value
        if value.ndim > 1:
            return every.tolist()
        return or_none(every, kept)
    return value.item() if isinstance(value, np.generic) else value


def _sound(name: str, scores: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """`scores`: those of `spec.scores` lie in [0, 1], and none is NaN or infinite; anything else is a bug."""
    for key, value in scores.items():
        if isinstance(value, float):
            assert np.isfinite(value), f"{name}/{key} is {value}"
            if key.removesuffix(CHANCE) in spec.scores:
                assert -ROUNDING <= value <= 1 + ROUNDING, f"{name}/{key} is {value}, outside [0, 1]"
                scores[key] = min(max(value, 0.0), 1.0)
    return scores
