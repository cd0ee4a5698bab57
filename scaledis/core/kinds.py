"""Kinds of arguments: a public function takes what its annotations say, and refuses the rest in a sentence."""

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from scaledis.core import UserError, registry, values

P = ParamSpec("P")
T = TypeVar("T")
Misfit = tuple[str, object, object]  # (name, value, the annotation that it does not fit)
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "True or False", Path: "a path"}
CLASSES: dict[object, type] = {int: Integral, float: Real, Path: os.PathLike, tuple: Sequence}
MANY = (Iterable, Sequence, tuple)  # of values of one kind
hints: Callable[[object], dict[str, object]] = functools.cache(typing.get_type_hints)  # of a function or a class


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Returns `function` with a check of its arguments against its annotations.

    An array of one number, of numpy or JAX, arrives as a Python number, and an iterator as a list. The new function
    raises UserError, naming the argument, its value and what it must be, for an argument of another kind, a missing
    argument, and an argument that `function` lacks.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UserError(f"{function.__name__}: {error}; it takes {', '.join(signature.parameters)}.") from None
        for name, value in bound.arguments.items():
            kind = hints(function)[name]
            if getattr(value, "shape", None) == ():
                value = values.plain(value)
            elif isinstance(value, Iterator) and any(_taken_apart(each)[0] is Iterable for each in _choices(kind)):
                value = list(value)
            bound.arguments[name] = value
            check(name, value, kind)
        return function(*bound.args, **bound.kwargs)

    return call


def check_fields(prefix: str, value: object) -> None:
    """Raises UserError, naming the field after `prefix`, if a field of `value` is not of its annotated kind."""
    for name, kind in hints(type(value)).items():
        check(prefix + name, getattr(value, name), kind)


def check(name: str, value: object, kind: object) -> None:
    """Raises UserError, naming the argument, the value and what it must be, if `value` is not of `kind`."""
    if found := _misfit(name, value, kind):
        where, wrong, wanted = found
        raise UserError(f"{where}: {registry.short(wrong)} must be {_words(wanted)}.")


def takes(function: Callable[..., object], *arguments: object) -> bool:
    """Returns whether the function can be called with these arguments; True for a builtin without a signature."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _taken_apart(kind: object) -> tuple[Any, tuple[Any, ...]]:
    """Returns `list[int]` as list and (int,), and a class as itself and ()."""
    return typing.get_origin(kind) or kind, typing.get_args(kind)


def _choices(kind: object) -> tuple[object, ...]:
    """Returns the kinds of a union; any other kind alone."""
    origin, of = _taken_apart(kind)
    return of if origin in (typing.Union, types.UnionType) else (kind,)


def _misfit(name: str, value: Any, kind: object) -> Misfit | None:
    """Returns the first value that is not of its kind, `value` itself or one inside; None if there is none."""
    origin, of = _taken_apart(kind)
    if len(choices := _choices(kind)) > 1:
        found = [_misfit(name, value, each) for each in choices]
        inner = [each for each in found if each and each[0] != name]
        return None if None in found else (inner or [(name, value, kind)])[0]
    if origin is Any:
        return None
    if origin is Callable:
        count = 0 if of[0] is ... else len(of[0])
        fits = callable(value) and (of[0] is ... or takes(value, *range(count)))
        return None if fits else (name, value, kind)
    if not isinstance(value, CLASSES.get(origin, origin)) or (isinstance(value, bool) and origin in (int, float)):
        return name, value, kind
    parts: Iterable[Misfit] = ()
    if origin is Mapping:
        keys = ((f"{name}: key", key, of[0]) for key in value)
        parts = [*keys, *((f"{name}[{registry.short(key)}]", each, of[1]) for key, each in value.items())]
    elif origin in MANY:
        if isinstance(value, str | bytes | Mapping):
            return name, value, kind
        parts = ((f"{name}[{place}]", each, of[0]) for place, each in enumerate(value))
    return next(filter(None, (_misfit(*part) for part in parts)), None)


def _words(kind: object) -> str:
    """Returns a kind as a sentence names it."""
    origin, of = _taken_apart(kind)
    if len(choices := _choices(kind)) > 1:
        *most, last = map(_words, choices)
        return f"{', '.join(most)} or {last}"
    if origin is Callable:
        return "a function" if of[0] is ... else f"a function of {len(of[0])} argument{'s' * (len(of[0]) != 1)}"
    if origin in MANY:
        return f"a list (each {_words(of[0])})"
    if origin is Mapping:
        return "a dictionary"
    if origin is types.NoneType:
        return "None"
    return WORDS.get(origin) or f"{'an' if origin.__name__[0] in 'AEIOU' else 'a'} {origin.__name__}"
