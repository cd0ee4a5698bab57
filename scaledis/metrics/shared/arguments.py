"""Checks of arguments that are no arrays: of the right kind, and between bounds."""

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from scaledis.core import UserError, kinds, registry

LARGEST_SEED = 2**32 - 1  # that scikit-learn accepts


def check(name: str, value: Any, kind: object, least: float = -math.inf, most: float = math.inf) -> None:
    """Raises UserError unless `value` is of `kind`, an annotation, and from `least` to `most` if it is a number."""
    kinds.check(name, value, kind)
    is_number = isinstance(value, Real)
    if is_number and not least <= value <= most:
        raise UserError(f"{name}: {registry.short(value)} must be a number from {least} to {most}.")


def check_options(
    metric: str, compute: Callable[..., object], options: Mapping[str, object], common: Collection[str] = ()
) -> None:
    """Raises UserError for an option that neither `compute` nor `common` has, and for a value of another kind."""
    kinds.check(metric, options, Mapping[str, object])
    parameters = inspect.signature(compute).parameters.values()
    known = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} - {"information"}
    for key, value in options.items():
        registry.check(f"option of metric {metric!r}", key, known | {*common})
        if key not in common:
            check(f"{metric}: {key}", value, kinds.hints(compute)[key])


def names_of(names: Any) -> list[str]:
    """The names of metrics as a list, of one or several. Raises UserError for anything else."""
    listed = [names] if isinstance(names, str) else list(names) if isinstance(names, Iterable) else names
    kinds.check("metrics", listed, Sequence[str])
    return listed
