"""Writes images block by block into a memory-mapped file, so that a machine needs memory for one block only."""

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scaledis.core import UserError
from scaledis.core.progress import shown
from scaledis.datasets import Options
from scaledis.datasets._builders import disk, pixels

VERSION = 1  # of the prepared form: raise it when the bytes to be written change
BLOCK = 1 << 25  # bytes of pixels in memory


def rows_of_block(shape: Sequence[int]) -> int:
    """How many images [H, W, C] a block has."""
    return max(1, BLOCK // math.prod(shape))


def kept(
    where: str,
    shape: tuple[int, ...],
    blocks: Iterable[np.ndarray],
    options: Options,
    folder: Path,
    source: Sequence[object],
) -> tuple[np.ndarray, str]:
    """Images as a read-only memory map of a file below `folder`, and what was done to them (`pixels.squares`).

    The file is written once for a `source` and its options; where the source has changed, it is replaced. A process
    that is killed leaves no file that counts.

    Args:
      where: names the images in an error.
      shape: [N, H, W, C] of the images as they come.
      blocks: pixels [n, H, W, C] of any type of numbers, in order; read if the file is missing.
      options: what becomes of the pixels.
      folder: of the prepared files.
      source: [what names the source, its signature], as JSON.

    Raises UserError for pixels that `pixels.to_bytes` or `pixels.squares` refuse, and for a disk that is full or cannot
    be written.
    """
    squares = pixels.squares(where, shape[1], shape[2], options.resolution)
    shape = (shape[0], squares.side, squares.side, shape[3])
    name, signature = source
    folder /= _digest([VERSION, name, options.scale, options.bits, options.resolution])
    file, partial = folder / f"images-{_digest([signature])}.npy", folder / "images.partial"
    try:
        if not file.exists():
            with disk.lock(folder):
                if not file.exists():
                    print(f"{where}: preparing {shape[0]:,} images in {folder}, once", file=sys.stderr, flush=True)
                    _replace(folder, partial, file, where, shape, _bytes(where, blocks, options, squares))
        return _mapped(file), squares.change
    except OSError as error:
        raise UserError(f"data.directory: {folder} could not be written: {error}") from error


def _mapped(file: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"data.directory: {file} is damaged ({error}); delete it, and it is prepared again.") from error
    return found


def _replace(
    folder: Path, partial: Path, file: Path, where: str, shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> None:
    """Writes the file of the images whole or not at all, under the lock, then removes those of a former source."""
    try:
        with disk.synced(partial) as output:
            _write(output, where, shape, blocks, folder)
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
    for old in set(folder.glob("images-*.npy")) - {file}:
        old.unlink()


def unnamed(
    where: str, shape: tuple[int, ...], blocks: Iterable[np.ndarray], options: Options, folder: Path
) -> tuple[np.ndarray, str]:
    """What `kept` returns, for a source that has no name: its file has none either, and ends with this process."""
    squares = pixels.squares(where, shape[1], shape[2], options.resolution)
    shape = (shape[0], squares.side, squares.side, shape[3])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as output:
            _write(output, where, shape, _bytes(where, blocks, options, squares), folder)
            output.flush()
            start = output.tell() - math.prod(shape)
            return np.memmap(output, np.uint8, "r", start, shape), squares.change
    except OSError as error:
        raise UserError(f"data.directory: {folder} could not be written: {error}") from error


def _bytes(where: str, blocks: Iterable[np.ndarray], options: Options, squares: pixels.Squares) -> Iterator[np.ndarray]:
    for block in blocks:
        yield squares.of(pixels.to_bytes(where, block, options.scale, options.bits, part=True))


def _write(output: BinaryIO, where: str, shape: tuple[int, ...], blocks: Iterable[np.ndarray], folder: Path) -> None:
    """Writes an .npy file. Raises UserError if the disk is too small."""
    disk.demand(folder, math.prod(shape))
    disk.write_header(output, shape)
    for block in shown(blocks, f"{where}: preparing", shape[0], size=len):
        output.write(np.ascontiguousarray(block).data)


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
