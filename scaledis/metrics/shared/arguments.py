"""Arguments that are no arrays: each is of its kind, or a sentence names it."""

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from types import NoneType
from typing import Any, get_args

import numpy as np

from scaledis.core.errors import UserError
from scaledis.core.registry import short

LARGEST_SEED = 2**32 - 1  # that scikit-learn takes
KINDS: dict[Any, tuple[type, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a name"),
    NoneType: (NoneType, "None"),
}


def names_of(names: Any) -> list[str]:
    """The names of metrics, one or several. Raises UserError for anything else."""
    listed = [names] if isinstance(names, str) else list(names) if isinstance(names, Iterable) else [names]
    if not all(isinstance(name, str) for name in listed):
        raise UserError(f"metrics: {short(names)}; the name of a metric, or a list of names, is needed")
    return listed


def check_count(name: str, value: Any, least: int, most: float = math.inf) -> None:
    """Raises UserError unless `value` is a whole number from `least` to `most`."""
    counts = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not counts or not least <= value <= most:
        above = f"from {least} to {most}" if most < math.inf else f"of at least {least}"
        raise UserError(f"{name}: {short(value)}; a whole number {above} is needed")


def check_kind(name: str, value: Any, annotation: Any) -> None:
    """Raises UserError unless `value` is of a kind in `annotation` and finite; kinds not in `KINDS` are not checked."""
    kinds = [KINDS.get(kind) for kind in get_args(annotation) or (annotation,)]
    known = [kind for kind in kinds if kind is not None]
    fits = isinstance(value, tuple(kind for kind, _ in known))
    finite = not isinstance(value, float) or math.isfinite(value)
    if len(known) == len(kinds) and not (fits and finite):
        raise UserError(f"{name}: {short(value)}; {' or '.join(words for _, words in known)} is needed")


def check_mapping(name: str, value: Any) -> None:
    """Raises UserError unless `value` holds options by their names."""
    if not isinstance(value, Mapping):
        raise UserError(f"{name}: {short(value)}; a dictionary of options is needed, such as {{'bins': 20}}")
