"""The fields of a configuration: each has a default, a meaning, bounds in words, and a check of its values."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from scaledis.core import registry
from scaledis.core.errors import UserError

LARGEST = 2**31 - 1  # an int32: steps, seeds and sizes are carried as such


def free(default: Any, about: str, bounds: str) -> Any:
    """Returns a field without a check: another place checks it beside the keys that it depends on."""
    return dataclasses.field(default=default, metadata={"about": about, "bounds": bounds})


def checked(default: Any, about: str, bounds: str, fits: Callable[[Any], bool], carrier: str = "") -> Any:
    """Returns a field whose check raises UserError for a value that does not fit, or that its carrier cannot hold."""

    def check(key: str, value: Any) -> None:
        if not fits(value):
            raise UserError(
                f"{key}: {registry.short(value)} must be {bounds}{carrier and f' that {carrier} can hold'}."
            )

    return dataclasses.field(default=default, metadata={"about": about, "bounds": bounds, "check": check})


def positive_int(default: int, about: str, least: int = 1, most: int = LARGEST) -> int:
    """Returns a field that holds a whole number from `least` to `most`."""

    def fits(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    found: int = checked(default, about, f"a whole number from {least} to {most}", fits)
    return found


def positive_float(default: Any, about: str, zero: bool = False) -> Any:
    """Returns a field that holds a number above 0 or, with `zero`, of at least 0; None too if that is its default."""

    def fits(value: Any) -> bool:
        return (value is None and default is None) or (is_float32(value) and (value > 0 or (zero and value == 0)))

    bounds = f"a finite number {'of at least' if zero else 'above'} 0"
    return checked(default, about, bounds, fits, "a float32")


def whole_numbers(default: tuple[int, ...], about: str, most: int) -> tuple[int, ...]:
    """Returns a field that holds whole numbers from 1 to `most`; no number only if that is its default."""

    def fits(value: Any) -> bool:
        if not value:
            return bool(value == default)
        return all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= most for n in value)

    found: tuple[int, ...] = checked(default, about, f"whole numbers from 1 to {most}", fits)
    return found


def one_of(default: str, about: str, choices: Collection[str]) -> str:
    """Returns a field that holds one of the names."""

    def check(key: str, value: Any) -> None:
        registry.check(key, value, choices)

    metadata = {"about": about, "bounds": " or ".join(choices), "check": check}
    return dataclasses.field(default=default, metadata=metadata)


def text(default: str, about: str) -> str:
    """Returns a field that holds a string."""

    def fits(value: Any) -> bool:
        return isinstance(value, str) and value == value.encode(errors="replace").decode()

    found: str = checked(default, about, "text", fits, "UTF-8")
    return found


def flag(default: bool, about: str) -> bool:
    """Returns a field that holds True or False."""
    found: bool = checked(default, about, "True or False", lambda value: isinstance(value, bool))
    return found


def is_float32(value: Any) -> bool:
    """Returns whether a value is a number, not a bool, that is finite as a float32, and 0 there only if it is 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        magnitude = abs(float(value))
    except OverflowError:
        return False
    return magnitude == 0 or 1.2e-38 < magnitude < 3.4e38


def check_fields(prefix: str, section: Any) -> None:
    """Raises UserError, with the key behind `prefix`, for the first field that does not pass its check."""
    for field in dataclasses.fields(section):
        if "check" in field.metadata:
            field.metadata["check"](prefix + field.name, getattr(section, field.name))
