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
LISTED = 40  # names that an error lists


def short(value: object) -> str:
    """Returns a value as a sentence shows it: its repr, cut after 80 characters."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of about {1 + int((value.bit_length() - 1) * math.log10(2))} digits"
    try:
        words = " ".join(repr(value).split()) if "\n" in repr(value) else repr(value)
    except Exception:  # an integer of more than 4,300 digits inside, or a class whose repr fails
        words = f"a {type(value).__name__}"
    return words if len(words) <= 80 else words[:77] + "..."


def unknown(kind: str, name: object, choices: Iterable[str], remedy: str = "") -> UserError:
    """Returns the error for an unknown name; it names the kind, the value, what is near, and the choices.

    `remedy` is a sentence in place of the choices.
    """
    choices = sorted(choices)
    likely = near(name if isinstance(name, str) else short(name), choices)
    hint = f" Did you mean {' or '.join(map(repr, likely))}?" if likely else ""
    return UserError(f"{kind}: {short(name)} is unknown.{hint} {remedy or f'Choices: {listed(choices)}.'}")


def listed(names: Iterable[str]) -> str:
    """Returns the names in their order as text, cut after the first 40."""
    names = list(names)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more


def near(name: str, choices: Collection[str]) -> list[str]:
    """Returns the choices that end in a name or its initials, or else one that is spelled like it; [] if none is."""
    likely = ending(name, choices) or difflib.get_close_matches(name, choices, n=1)
    if likely:
        return likely
    last = {choice.rpartition(".")[2]: choice for choice in choices}
    return [last[each] for each in difflib.get_close_matches(name.rpartition(".")[2], last, n=1)]


def ending(name: str, choices: Collection[str]) -> list[str]:
    """Returns the dotted choices whose last word is that of a name, or has it as its initials; its own section first.

    "learning_rate" and "lr" give "train.learning_rate" and all others of that word, the shorter ones first.
    """
    section, _, word = name.replace("-", "_").rpartition(".")
    dotted = [choice for choice in choices if "." in choice and choice.replace(".", "").isidentifier()]
    lasts = {choice: choice.rpartition(".")[2] for choice in dotted}
    initials = {choice: "".join(part[:1] for part in last.split("_")) for choice, last in lasts.items() if "_" in last}
    found = [choice for choice, last in lasts.items() if word in (last, initials.get(choice))]
    return sorted(found, key=lambda choice: (not choice.startswith(f"{section}."), len(choice)))


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
