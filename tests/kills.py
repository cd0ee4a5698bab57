"""A process that dies before one of its writes, again and again, in this process."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest


class Killed(BaseException):
    """No code catches it."""


def in_turn(
    run: Callable[[], object],
    writes: Iterable[tuple[Any, str]],
    moments: Iterable[int],
    counts: Callable[..., bool] = lambda *_: True,
) -> int:
    """Calls `run` until it ends, and returns how often it died.

    Args:
      writes: functions by what has them and their name; before one of them it dies.
      moments: the number of writes that each call makes before it dies; the call after the last one may end.
      counts: whether a write counts, by its arguments.
    """
    left = math.inf

    def killing(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if counts(*args):
                if left == 0:
                    raise Killed
                left -= 1
            return write(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for where, name in writes:
            patch.setattr(where, name, killing(getattr(where, name)))
        for kills, left in enumerate(itertools.chain(moments, [math.inf])):  # noqa: B007 (`call` reads `left`)
            try:
                run()
            except Killed:
                continue
            return kills
    raise AssertionError("it never ended")
