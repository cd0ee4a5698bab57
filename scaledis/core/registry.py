"""Finds things by name: one error for every unknown name, and the modules of a package without a list."""

import difflib
import functools
import importlib
import math
import pkgutil
from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from scaledis.core import UserError

T = TypeVar("T")


def short(value: object) -> str:
    """Returns a value as a sentence shows it: its repr, cut after 80 characters."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of about {1 + int((value.bit_length() - 1) * math.log10(2))} digits"
    try:
        words = " ".join(repr(value).split()) if "\n" in repr(value) else repr(value)
    except Exception:  # an integer of more than 4,300 digits inside, or a class whose repr fails
        words = f"a {type(value).__name__}"
    return words if len(words) <= 80 else words[:77] + "..."


def unknown(kind: str, name: object, choices: Iterable[str]) -> UserError:
    """Returns the error for an unknown name; it names the kind, the value, the nearest choice and all choices."""
    choices = sorted(choices)
    words = short(name)
    near = difflib.get_close_matches(str(name) if isinstance(name, str) else words, choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"{kind}: {words} is unknown.{hint} Choices: {', '.join(choices) or 'none'}.")


def check(kind: str, name: object, choices: Collection[str]) -> None:
    """Raises UserError, which lists the choices and names the nearest, if `name` is none of them."""
    if not isinstance(name, str) or name not in choices:
        raise unknown(kind, name, choices)


def choose(kind: str, name: str, choices: Mapping[str, T]) -> T:
    """Returns `choices[name]`. Raises what `check` raises."""
    check(kind, name, choices)
    return choices[name]


def modules(package: ModuleType) -> list[str]:
    """Returns the names of the modules of `package`, sorted: a new file needs no entry anywhere."""
    return list(_modules(package))


@functools.cache  # every check of a config asks for them
def _modules(package: ModuleType) -> tuple[str, ...]:
    found = pkgutil.iter_modules(package.__path__)
    return tuple(sorted(info.name for info in found if not info.name.startswith("_") and not info.ispkg))


def module(kind: str, package: ModuleType, name: str) -> ModuleType:
    """Returns the module `package.name`. Raises what `check` raises."""
    check(kind, name, modules(package))
    return importlib.import_module(f"{package.__name__}.{name}")


def collect(package: ModuleType, attribute: str) -> dict[str, Any]:
    """Returns the entries of the dictionary `attribute` of every module of `package` that has one."""
    found: dict[str, Any] = {}
    for name in modules(package):
        found |= getattr(importlib.import_module(f"{package.__name__}.{name}"), attribute, {})
    return found
