"""What an optimized program does, read from its text in XLA's language HLO."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s64": 8, "u64": 8, "f64": 8}  # else 4
COUNTED = ("fusion", "dot", "convolution", "copy", "copy-start", "reduce", "sort", *COLLECTIVES)
NO_KERNEL = {  # instructions that move nothing; a loop, a call and a branch are those inside
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id"),
    *("while", "call", "conditional"),
}
INSTRUCTION = re.compile(r"^ *(?:ROOT )?%([\w.\-]+) = (.+?) ([a-z][\w\-]*)\(([^)]*)\)")
ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](\{[^}]*\})?")
ON_CHIP = "S(1)"  # a TPU's memory beside its main one


class Arithmetic(NamedTuple):
    """What one instruction of a program multiplies.

    kind: "dot", or the name of the convolution.
    flops: 2 a multiplication. A call of cuDNN multiplies the zeros of a border, XLA's own convolution leaves them out.
    window: pixels of the window of a convolution; 1 of a product.
    groups: of a convolution; 1 of a product.
    """

    kind: str
    flops: int
    window: int = 1
    groups: int = 1


class Instruction(NamedTuple):
    """A line of a program: its name, the text of its type, its operation, the names of its operands, and all of it."""

    name: str
    type: str
    operation: str
    operands: tuple[str, ...]
    line: str

    @property
    def shape(self) -> list[int]:
        """Of the first array of its type."""
        return numbers(ARRAY.findall(self.type)[0][1])


class Program(NamedTuple):
    """A compiled step.

    instructions: its convolutions and products, a loop's body counted once.
    collectives: how many instructions wait for other devices.
    wide: how many instructions give 64-bit floats.
    donated: whether its state is updated in place.
    touched: bytes that its kernels read and write, if each reads its operands and writes its results once.
    kernels: how many, by kind.
    temporary: bytes that a device needs beside arguments and results.
    held: bytes of arguments, of results that are no arguments, and of the program.
    """

    instructions: tuple[Arithmetic, ...]
    collectives: int
    wide: int
    donated: bool
    touched: int
    kernels: dict[str, int]
    temporary: int = 0
    held: int = 0

    @property
    def flops(self) -> int:
        return sum(each.flops for each in self.instructions)


def read(text: str) -> Program:
    """Returns what an optimized program does."""
    inside, computations = parsed(text)
    lines = {each.name: each for computation in computations.values() for each in computation}
    shapes = {name: each.shape for name, each in lines.items() if ARRAY.search(each.type)}
    sizes = {name: size(each.type) for name, each in lines.items()}
    run = [each for name, own in computations.items() if name not in inside for each in own]
    kernels = [each for each in run if each.operation not in NO_KERNEL and not each.operation.endswith("-done")]
    collective = re.compile(rf"({'|'.join(COLLECTIVES)})(-start)?")
    return Program(
        tuple(found for each in lines.values() if (found := arithmetic(each, shapes))),
        sum(bool(collective.fullmatch(each.operation)) for each in lines.values()),
        sum(each.type.lstrip("(").startswith("f64[") for each in lines.values()),
        "input_output_alias" in text,
        sum(moved(each, sizes) for each in kernels),
        dict(sorted(Counter(kind(each) for each in kernels).items())),
    )


def parsed(text: str) -> tuple[set[str], dict[str, list[Instruction]]]:
    """Returns the names of computations inside of a kernel, and the instructions of all computations by name."""
    inside: set[str] = set()
    computations: dict[str, list[Instruction]] = {"": []}
    current = computations[""]
    for line in text.splitlines():
        if found := INSTRUCTION.match(line):
            name, type_, operation, operands = found.groups()
            current.append(Instruction(name, type_, operation, tuple(re.findall(r"%([\w.\-]+)", operands)), line))
            if operation != "call":
                inside.update(re.findall(r"(?:calls|to_apply)=%([\w.\-]+)", line))
        elif header := re.match(r"(?:ENTRY )?%([\w.\-]+) \(", line):
            current = computations.setdefault(header[1], [])
    return inside, computations


def size(type_: str) -> int:
    """Returns the bytes of a type in the main memory of its device."""
    arrays = [found for found in ARRAY.findall(type_) if ON_CHIP not in found[2]]
    return sum(BYTES.get(kind, 4) * math.prod(numbers(sides)) for kind, sides, _ in arrays)


def moved(each: Instruction, sizes: Mapping[str, int]) -> int:
    """Returns the bytes that a kernel reads and writes; what starts a copy names its source among its results too."""
    read = sum(sizes.get(name, 0) for name in each.operands)
    return read + (max(sizes[each.name] - read, 0) if each.operation.endswith("-start") else sizes[each.name])


def kind(each: Instruction) -> str:
    """Returns the kind of a kernel: what a fusion or a call is made of, its operation, or "other"."""
    named = re.search(r'custom_call_target="([^"]+)"|"kind":"__([^"]+)"', each.line)
    if named:
        return named[1] or named[2]
    return each.operation if each.operation in COUNTED else "other"


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def arithmetic(each: Instruction, shapes: Mapping[str, list[int]]) -> Arithmetic | None:
    """Returns what a product or a convolution multiplies, also as a call of cuBLAS or cuDNN; None for another line."""
    if each.operation not in ("dot", "convolution", "custom-call"):
        return None
    contracted = re.search(r'lhs_contracting_dim(?:s=\{|ensions":\[)([\d,"]*)', each.line)
    if contracted and (each.operation == "dot" or "__cublas" in each.line):
        summed = math.prod(shapes[each.operands[0]][axis] for axis in numbers(contracted[1]))
        return Arithmetic("dot", 2 * summed * math.prod(each.shape))
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", each.line)
    if not labels or (each.operation != "convolution" and "__cudnn$conv" not in each.line):
        return None
    window = window_of(each.line)
    target, groups = re.search(r"__cudnn\$(\w+)", each.line), re.search(r"feature_group_count=(\d+)", each.line)
    count, taps = int(groups[1]) if groups else 1, math.prod(window.get("size", [1]))
    left, right = (shapes[name] for name in each.operands[:2])
    if not target:
        sides = zip(spaces(left, labels[1]), spaces(each.shape, labels[3]), strict=True)
        pairs = math.prod(taps_inside(window, axis, *both) for axis, both in enumerate(sides))
        batch, features = (each.shape[labels[3].index(letter)] for letter in "bf")
        return Arithmetic("convolution", 2 * pairs * batch * features * right[labels[2].index("i")], taps, count)
    if "BackwardFilter" in target[1]:
        places = math.prod(right) * left[labels[1].index("f")] // count
    elif "BackwardInput" in target[1]:
        places = math.prod(left) * each.shape[labels[3].index("f")] // count
    else:
        places = math.prod(each.shape) * right[labels[2].index("i")]
    return Arithmetic(target[1], 2 * places * taps, taps, count)


def window_of(line: str) -> dict[str, list[int]]:
    """Returns the attributes of a convolution's window, one number an axis; `pad` has two, a negative one crops."""
    found = re.search(r"window=\{([^}]*)\}", line)
    fields = dict(each.split("=") for each in found[1].split()) if found else {}
    return {name: [int(number) for number in re.findall(r"-?\d+", value)] for name, value in fields.items()}


def spaces(shape: list[int], labels: str) -> list[int]:
    """Returns the sides of an image along the axes of a window, in the window's order."""
    return [shape[labels.index(digit)] for digit in sorted(filter(str.isdigit, labels))]


def taps_inside(window: Mapping[str, list[int]], axis: int, side: int, out: int) -> int:
    """Returns how many products of a tap and a pixel there are along an axis, zeros of border and dilation left out."""

    def of(name: str) -> int:
        return window[name][axis] if name in window else 1

    before = window["pad"][2 * axis] if "pad" in window else 0
    places = (
        start * of("stride") + tap * of("rhs_dilate") - before for start in range(out) for tap in range(of("size"))
    )
    last = (side - 1) * of("lhs_dilate")
    return sum(0 <= place <= last and place % of("lhs_dilate") == 0 for place in places)
