"""Accelerators that need not be here: targets.json describes them, and a word names some: h100:8, v5e:4x4."""

import functools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scaledis.core import registry
from scaledis.core.errors import UserError

FILE = Path(__file__).with_name("targets.json")


class Target(NamedTuple):
    """A kind of device.

    name: in words.
    flops: the most operations a second of products, by their precision; a multiplication with its addition is two.
    memory: bytes.
    bandwidth: of the memory, bytes a second.
    host: chips of a host, which train in one process.
    source: of these numbers.
    axes: along which TPUs are joined; 0 of GPUs.
    chip: of a GPU, what XLA's compiler asks for besides.
    """

    name: str
    flops: Mapping[str, float]
    memory: float
    bandwidth: float
    host: int
    source: str
    axes: int = 0
    chip: Mapping[str, float] = {}


class Devices(NamedTuple):
    """Some devices of a kind: the kind, what it is, and how many chips."""

    kind: str
    target: Target
    chips: int

    @property
    def hosts(self) -> int:
        return math.ceil(self.chips / self.target.host)


@functools.cache
def targets() -> dict[str, Target]:
    """Returns all kinds of devices by name."""
    return {kind: Target(**fields) for kind, fields in json.loads(FILE.read_text()).items()}


def parse(text: str) -> Devices:
    """Returns the devices that a text names: a kind, then a number or a shape, such as h100, h100:8 or v5e:4x4.

    Raises UserError for an unknown kind, for another number, and for hosts that are not full.
    """
    kind, _, shape = text.partition(":")
    target = registry.choose("--device", kind, targets())
    if not re.fullmatch(r"([1-9]\d{0,5}(x[1-9]\d{0,2}){0,2})?", shape) or text.endswith(":"):
        raise UserError(f"--device: {registry.short(text)} must end in a number or a shape, such as {kind}:8.")
    count = math.prod(int(side) for side in (shape or "1").split("x"))
    if count > target.host and count % target.host:
        raise UserError(f"--device: {text} does not fill its hosts, which have {target.host} chips each.")
    return Devices(kind, target, count)
