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

from scaledis.core import registry
from scaledis.core.errors import UserError
from scaledis.core.values import plain

P = ParamSpec("P")
T = TypeVar("T")
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "True or False", Path: "a path"}
CLASSES: dict[Any, type] = {int: Integral, float: Real, Path: os.PathLike, tuple: Sequence}
MANY = (Iterable, Sequence, tuple)  # of values of one kind
hints: Callable[[Any], dict[str, Any]] = functools.cache(typing.get_type_hints)  # of a function or a class


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, with its arguments checked against its annotations before it is called.

    An array of one number, of numpy or JAX, arrives as a number of Python, and an iterator as a list. The new function
    raises UserError, naming the argument, its value and what it takes, for an argument of another kind, for one that is
    missing and for one that it does not have.
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
                value = plain(value)
            elif isinstance(value, Iterator) and any(typing.get_origin(each) is Iterable for each in _choices(kind)):
                value = list(value)
            bound.arguments[name] = value
            check(name, value, kind)
        return function(*bound.args, **bound.kwargs)

    return call


def check_fields(prefix: str, value: Any) -> None:
    """Raises UserError, with the field's name behind `prefix`, for a field of a class that its annotation refuses."""
    for name, kind in hints(type(value)).items():
        check(prefix + name, getattr(value, name), kind)


def check(name: str, value: Any, kind: Any) -> None:
    """Raises UserError that names the argument, the value and what it must be, if `value` is not of `kind`."""
    if found := _misfit(name, value, kind):
        where, wrong, wanted = found
        raise UserError(f"{where}: {registry.short(wrong)} must be {_words(wanted)}.")


def takes(function: Any, *arguments: Any) -> bool:
    """Whether the function can be called with these arguments. True for a builtin that does not say."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _choices(kind: Any) -> tuple[Any, ...]:
    """The kinds of a union; of any other kind itself alone."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _misfit(name: str, value: Any, kind: Any) -> tuple[str, Any, Any] | None:
    """What is not of its kind, `value` or something in it, as (its name, its value, its kind); None if all is."""
    origin, of = typing.get_origin(kind) or kind, typing.get_args(kind)
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
    parts: Iterable[tuple[str, Any, Any]] = ()
    if origin is Mapping:
        keys = ((f"{name}: key", key, of[0]) for key in value)
        parts = [*keys, *((f"{name}[{registry.short(key)}]", each, of[1]) for key, each in value.items())]
    elif origin in MANY:
        if isinstance(value, str | bytes | Mapping):
            return name, value, kind
        parts = ((f"{name}[{place}]", each, of[0]) for place, each in enumerate(value))
    return next(filter(None, (_misfit(*part) for part in parts)), None)


def _words(kind: Any) -> str:
    """A kind in a sentence."""
    origin, of = typing.get_origin(kind) or kind, typing.get_args(kind)
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
