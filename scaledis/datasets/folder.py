"""`folder`: your own folder of images, any number and size, without factors; --config.data.path=FOLDER.

Prepared once, below the data directory: folder/DIGEST/images.npy, where DIGEST stands for the folder's path and for the
names, sizes and times of its files. A folder that changes is prepared anew; what was prepared before may be deleted.
"""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from scaledis import datasets
from scaledis.datasets import Dataset, _prepared
from scaledis.errors import UserError

VERSION = 1  # of the prepared form: raise it when the bytes to be written change
PIXELS = 64
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
BLOCK = 1000  # images held in memory
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises for broken files


def load(directory: Path, path: Path) -> Dataset:
    """The images below the folder `path`, sorted by their path in it; images [64, 64, 3], no factors.

    Every image is turned upright (EXIF), made RGB (transparency is dropped), cut to its largest central square and
    resized to 64x64 by Lanczos' filter; hidden files are left out. The images are a read-only memory map of
    a file below `directory`.

    Raises:
      UserError: `path` is no folder.
      UserError: it holds no image, or one that cannot be read.
      UserError: the disk is full or cannot be written.
    """
    path = path.resolve()
    if not path.is_dir():
        raise UserError(f"data.path: there is no folder {path}.")
    files = find(path)
    if not files:
        raise UserError(f"data.path: {path} holds no image; expected files that end in {', '.join(SUFFIXES)}.")
    target = directory / "folder" / _digest(path, files) / "images.npy"
    if not target.exists():
        with _prepared.lock(target.parent):
            if not target.exists():
                _write(path, files, target)
    images = np.load(target, mmap_mode="r", allow_pickle=False)
    table = np.zeros((len(files), 0), np.int32)
    return Dataset(f"folder: {path.name}", (), (), images.shape[1:], images, datasets.rows, table)


def find(path: Path) -> list[Path]:
    """The images in the folder `path` and its sub-folders, sorted by their path in it."""
    found = (file.relative_to(path) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    names = sorted(file.as_posix() for file in found if not any(part.startswith(".") for part in file.parts))
    return [path / name for name in names]


def read(file: Path) -> np.ndarray:
    """An image file as uint8 [64, 64, 3]. Raises UserError that names the file if it cannot be read."""
    try:
        with Image.open(file) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode == "I;16":  # Pillow would clip sixteen bits of grey, not scale them
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert("RGBA").convert("RGB")  # a palette with transparency warns when made RGB at once
            side = min(image.size)
            left, top = ((length - side) // 2 for length in image.size)
            square = image.crop((left, top, left + side, top + side))
            return np.asarray(square.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS))
    except UNREADABLE as error:
        raise UserError(f"data.path: {file} cannot be read as an image: {error}") from error


def _digest(path: Path, files: list[Path]) -> str:
    digest = hashlib.sha256(f"{VERSION}\0{path}".encode())
    for file in files:
        about = file.stat()
        digest.update(f"\0{file.relative_to(path)}\0{about.st_size}\0{about.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _write(path: Path, files: list[Path], target: Path) -> None:
    """Writes all images to `target`, whole or not at all. The caller holds the lock of its folder."""
    print(f"folder: preparing {len(files):,} images of {path} in {target.parent}, once", file=sys.stderr, flush=True)
    partial = target.with_suffix(".partial")
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), PIXELS, PIXELS, 3)}
    progress = tqdm(total=len(files), desc="folder: reading", disable=None)  # drawn on a terminal only
    try:
        with progress, ThreadPoolExecutor() as pool, open(partial, "wb") as output:
            np.lib.format.write_array_header_1_0(output, header)  # padded to 64 bytes, the alignment JAX can share
            for start in range(0, len(files), BLOCK):
                for image in pool.map(read, files[start : start + BLOCK]):
                    output.write(image)
                    progress.update()
            output.flush()
            os.fsync(output.fileno())
        partial.rename(target)
    except OSError as error:
        raise UserError(f"data.directory: {target} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
