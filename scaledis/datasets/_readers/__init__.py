"""The user's own arrays in a file: one file each format, found by the suffixes that it lists.

A module here defines `SUFFIXES` and

    read(path: Path, options: Options) -> a context of (images, labels)

where `images` has a shape and a dtype and gives blocks of rows by a slice: an array in memory, a memory map, or an open
array of a library. `read` raises UserError for a file that is missing, damaged or of other content.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaledis.core import UserError, registry
from scaledis.datasets import Options
from scaledis.datasets._builders.labels import Labels

Reader = Callable[[Path, Options], contextlib.AbstractContextManager[tuple[Any, Labels]]]


def reader_of(path: Path) -> Reader:
    """The `read` for the suffix of a file. Raises UserError for a suffix that no format has."""
    package = sys.modules[__name__]
    modules = [registry.module("reader", package, name) for name in registry.modules(package)]
    readers: dict[str, Reader] = {suffix: module.read for module in modules for suffix in module.SUFFIXES}
    if path.suffix.lower() not in readers:
        raise UserError(f"data.path: {path} must be a file that ends in {', '.join(sorted(readers))}.")
    return readers[path.suffix.lower()]
