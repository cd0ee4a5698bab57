"""Shards: one experiment for many processes that know nothing of each other, such as the tasks of a job array.

The plan says which runs train together; shard i of n takes its populations i, i + n, i + 2 n, ..., or, if starts of one
run are in several populations, its parts (`starts.parts`). Shards need no coordination: the same command starts a dead
shard again.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from scaledis.core import UserError

Each = TypeVar("Each")


@dataclasses.dataclass(frozen=True)
class Shard:
    """Shard `index`, from 0, of `count`."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def whole(self) -> bool:
        """Whether this is the only shard."""
        return self.count == 1

    def take(self, populations: Sequence[Each], parts: Iterable[int] | None = None) -> list[tuple[int, Each]]:
        """Returns this shard's populations, each with its number in the plan; by default each is a part of its own."""
        numbered = zip(enumerate(populations), itertools.count() if parts is None else parts, strict=False)
        return [each for each, part in numbered if part % self.count == self.index]


WHOLE = Shard()


def parse(text: str) -> Shard:
    """Returns the second of four shards for "1/4". Raises UserError for anything but i/n with i below n."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if not found or int(found[1]) >= int(found[2]):
        raise UserError(f"--shard: {text!r} must be i/n with i from 0 to n - 1, such as 0/4, 1/4, 2/4 and 3/4.")
    return Shard(int(found[1]), int(found[2]))
