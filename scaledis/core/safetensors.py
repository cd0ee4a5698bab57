"""Named arrays as one file of the safetensors format: a length, a header in JSON, and the numbers as in memory.

https://github.com/huggingface/safetensors describes the format. Nothing in such a file is executed.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scaledis.core import UserError

TYPES = {"F32": "<f4", **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)}}
NAMES = {np.dtype(code): name for name, code in TYPES.items()}
LENGTH, ALIGNED = 8, 8  # bytes of the header's length; what the header's own length is a multiple of


def dumps(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the file of arrays by name, float32 or whole numbers. Raises UserError for an array of another type."""
    header, parts, end = {}, [], 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if dtype not in NAMES:
            raise UserError(f"{name}: {array.dtype} cannot be saved; the types are float32 and whole numbers.")
        parts.append(array.astype(dtype).tobytes())
        start, end = end, end + len(parts[-1])
        header[name] = {"dtype": NAMES[dtype], "shape": list(array.shape), "data_offsets": [start, end]}
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % ALIGNED)
    return b"".join([len(words).to_bytes(LENGTH, "little"), words, *parts])


def loads(data: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name. Raises UserError for another kind of file, and for another type."""
    start = LENGTH + int.from_bytes(data[:LENGTH], "little")
    try:
        if start > len(data):
            raise ValueError("it ends within its header")
        header = json.loads(data[LENGTH:start])
        header.pop("__metadata__", None)
        arrays = {name: _array(entry, data[start:]) for name, entry in header.items()}
        firsts, lasts = zip((0, 0), *sorted(entry["data_offsets"] for entry in header.values()), strict=True)
        if firsts[1:] != lasts[:-1] or lasts[-1] != len(data) - start:
            raise ValueError("its arrays overlap, or do not fill it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"not a safetensors file of float32 and whole numbers ({reason})") from None
    return arrays


def _array(entry: Mapping[str, Any], numbers: bytes) -> np.ndarray:
    dtype, shape, (first, last) = np.dtype(TYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
    if not all(isinstance(size, int) and size >= 0 for size in (*shape, first, last)):
        raise ValueError("a size is not a whole number")
    if last > len(numbers) or last - first != dtype.itemsize * math.prod(shape):
        raise ValueError("an array is not of its size")
    return np.frombuffer(numbers[first:last], dtype).reshape(shape)
