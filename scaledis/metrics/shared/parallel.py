"""Independent fits side by side."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def mapped(function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """`list(map(function, *arguments))`, computed by one thread per processor."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, *arguments))
