"""Fields of a frozen dataclass that say what they may hold: the bound of a key stands beside its default."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from scaledis import registry
from scaledis.errors import UserError


def whole(default: int, least: int = 1) -> int:
    """A field that must be a whole number of at least `least`."""

    def check(key, value):
        if not isinstance(value, int) or value < least:
            raise UserError(f"{key}: {value!r} must be a whole number of at least {least}.")

    return dataclasses.field(default=default, metadata={"check": check})


def real(default: float, zero: bool = False) -> float:
    """A field that must be a finite number above 0, or with `zero` at least 0."""

    def check(key, value):
        if not (isinstance(value, int | float) and (0 < value < math.inf or (zero and value == 0))):
            raise UserError(f"{key}: {value!r} must be a finite number {'of at least' if zero else 'above'} 0.")

    return dataclasses.field(default=default, metadata={"check": check})


def among(default: Any, known: Iterable[str]) -> Any:
    """A field that must be one of the known names, or a tuple of some."""

    def check(key, value):
        for name in value if isinstance(value, tuple) else (value,):
            registry.check(key, name, known)

    return dataclasses.field(default=default, metadata={"check": check})


def checked(prefix: str, values: Any) -> Any:
    """The same dataclass, once every field has passed its check. Raises UserError with the key, prefix first."""
    for field in dataclasses.fields(values):
        if "check" in field.metadata:
            field.metadata["check"](prefix + field.name, getattr(values, field.name))
    return values
