"""Shows the progress of work in several parts: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
AFTER, EVERY = 5.0, 30.0  # seconds until work is shown, and between two lines


def shown(
    parts: Iterable[T],
    title: str,
    total: int | None,
    *,
    start: int = 0,
    size: Callable[[T], int] = lambda part: 1,
    name: Callable[[T], str] = lambda part: "",
) -> Iterator[T]:
    """Yields the parts, and from the fifth second on shows how much of the whole is done.

    Args:
      parts: the parts of the work.
      title: the name of the work.
      total: the size of the whole, such as a number of images or bytes; None if it is unknown.
      start: the size of the work that is done already.
      size: part -> its size.
      name: part -> its name, which is printed after the title.
    """
    due = time.monotonic() + AFTER
    if sys.stderr.isatty():
        with tqdm(None, title, total, initial=start, delay=AFTER, leave=False, unit_scale=(total or 0) > 9999) as bar:
            for part in parts:
                bar.set_description(_titled(title, name(part)), refresh=time.monotonic() >= due)
                yield part
                bar.update(size(part))
        return
    done = start
    for part in parts:
        yield part
        done += size(part)
        if time.monotonic() > due and done != total:
            whole = "" if total is None else f" of {total:,}"
            print(f"{_titled(title, name(part))}: {done:,}{whole} done", file=sys.stderr, flush=True)
            due = time.monotonic() + EVERY


def _titled(title: str, name: str) -> str:
    return f"{title}, {name}" if name else title


def duration(seconds: float) -> str:
    """Returns seconds as "3 h 20 min", "4 min 10 s" or "8 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
