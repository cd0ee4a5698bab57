"""The entries of a plan, and the names that it may hold."""

from pathlib import Path
from typing import Any, NamedTuple

from scaledis.core import UserError

LONGEST = 255  # bytes of a folder's name


class Planned(NamedTuple):
    """A population of the plan: the names of its runs, and the allocation that they are padded to (None: not fixed)."""

    names: list[str]
    padded: tuple[int, ...] | None


def population(plan: Path, held: Any) -> Planned:
    """Returns an entry of the file `plan`, which version 0.1 wrote as a list of names. Raises UserError for damage."""
    names, padded = (held.get("runs"), held.get("allocation")) if isinstance(held, dict) else (held, None)
    if not names or not _is_list(names, str) or not _is_list([] if padded is None else padded, int):
        raise UserError(f"{plan} is damaged: a population is not the names of its runs and an allocation.")
    for name in names:
        if not is_folder(name):
            raise UserError(f"{plan} is damaged: {name[:80]!r} is not the name of a run.")
    return Planned(names, None if padded is None else tuple(padded))


def is_folder(name: str) -> bool:
    """Returns whether a folder can have this name."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < length <= LONGEST and name not in (".", "..") and not {"/", "\0"} & {*name}


def _is_list(value: Any, of: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, of) for each in value)
