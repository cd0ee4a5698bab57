"""Pixels of any origin as bytes from 0 to 255, and images of any size as squares that the networks can halve."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from scaledis.core import UserError
from scaledis.datasets._builders.archives import mismatch

STEP = 16  # a side must be its multiple: the networks halve it four times


class Squares(NamedTuple):
    """How images of one size become squares.

    Attributes:
      side: of the squares.
      change: what is done, for the name of the data set; "" for nothing.
      of: images uint8 [n, h, w, C] -> uint8 [n, side, side, C].
    """

    side: int
    change: str
    of: Callable[[np.ndarray], np.ndarray]


def to_bytes(where: str, pixels: np.ndarray, scale: bool, bits: int = 0, part: bool = False) -> np.ndarray:
    """Pixels of any shape and number type, 0 to 255, as uint8; with `scale`, pixels in [0, 1] times 255.

    With `bits` whole numbers from 0 to 2^bits - 1 keep their upper 8 bits, x >> (bits - 8). `where` names the pixels in
    an error.

    Raises:
      UserError: no pixel is above 1, so that the images would be nearly black, and `scale` is False. A `part` of all
        images may be dark.
      UserError: a pixel is above 1, and `scale` is True.
      UserError: a pixel is not a whole number from 0 to 255, or to 2^bits - 1.
      UserError: the pixels have 8 bits or a fraction, and `bits` is given.
    """
    if pixels.dtype.kind not in "buif":
        raise mismatch(where, "dtype", pixels.dtype, "uint8, 0 to 255")
    low, high = pixels.min(), pixels.max()
    most = 2 ** (bits or 8) - 1
    if not (0 <= low and high <= most):  # also where one is NaN
        found = f"from {low:g} to {high:g} ({pixels.dtype})"
        remedies = f"0 to {most}" + (f" by data.bits={bits}" if bits else ", or 0 to 1 with data.scale=True")
        if pixels.dtype.kind in "ui" and low >= 0 and most < high < 1 << 16:
            remedies += f", or 0 to {2 ** used(high) - 1} with data.bits={used(high)}"
        raise mismatch(where, "range", found, f"{remedies}; bring the pixels there first")
    if scale:
        if high > 1:
            raise UserError(f"{where}: data.scale=True is for pixels from 0 to 1, and the largest is {high:g}.")
        return np.round(255 * pixels.astype(np.float32)).astype(np.uint8)
    if bits:
        if pixels.dtype.kind not in "ui" or pixels.dtype.itemsize == 1:
            raise UserError(f"{where}: data.bits={bits} is for whole numbers of more bits than 8, not {pixels.dtype}.")
        return (pixels >> (bits - 8)).astype(np.uint8)
    if high <= 1 and not part:
        raise dark(where, high, "data.scale=True multiplies them by 255")
    if pixels.dtype.kind == "f" and (pixels % 1).any():
        raise UserError(f"{where}: {pixels.dtype} pixels are not all whole numbers; save them as uint8.")
    return pixels.astype(np.uint8, copy=False)


def used(largest: int) -> int:
    """How many bits whole numbers up to `largest` take, 8 at least."""
    return max(8, int(largest).bit_length())


def dark(where: str, largest: float, remedy: str) -> UserError:
    """The error for images of 0 and 1, which are nearly black on the scale of 0 to 255."""
    return UserError(f"{where}: the largest pixel is {largest:g}, so the images would be nearly black; {remedy}.")


def are_squares(height: int, width: int, resolution: int) -> bool:
    """Whether `squares` leaves images of this size as they are."""
    return height == width and height % (resolution or STEP) == 0


def squares(where: str, height: int, width: int, resolution: int) -> Squares:
    """How images of height x width become squares of R = `resolution` a side; they stay as they are where R is 0.

    Squares whose side is a multiple of R stay as they are too: `Dataset.at` reduces them. Images that lack fewer than
    16 rows and columns get copies of the outermost ones at the borders; so 28x28 become 32x32 and no pixel changes. All
    others are made square in this way, then resized by Lanczos' filter. The change is printed to stderr. Raises
    UserError for images that need a resolution and have none.
    """
    if are_squares(height, width, resolution):
        return Squares(height, "", lambda images: images)
    longer = max(height, width)
    if not resolution:
        nearest = -(-longer // STEP) * STEP
        raise UserError(
            f"{where}: images of {height}x{width} must be squares with a multiple of {STEP} as their side; "
            f"data.resolution={nearest} pads them, any other one resizes them too."
        )
    side = resolution if 0 <= resolution - longer < STEP else longer
    borders = [((side - length) // 2, side - length - (side - length) // 2) for length in (height, width)]
    done = [f"padded to {side}x{side}"] if (height, width) != (side, side) else []
    done += [f"resized to {resolution}x{resolution}"] if side != resolution else []
    change = " and ".join(done)
    print(f"{where}: images of {height}x{width} are {change} (data.resolution)", file=sys.stderr)

    def changed(images: np.ndarray) -> np.ndarray:
        padded = np.pad(images, [(0, 0), *borders, (0, 0)], mode="edge")
        return padded if side == resolution else resized(padded, (resolution, resolution))

    return Squares(resolution, change, changed)


def to_squares(where: str, images: np.ndarray, resolution: int) -> tuple[np.ndarray, str]:
    """Images uint8 [N, h, w, C] as `squares` makes them, and the change. Raises what `squares` raises."""
    found = squares(where, images.shape[1], images.shape[2], resolution)
    return found.of(images), found.change


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [n, H, W, C] with C of 1 or 3 -> uint8 [n, *size, C], by the antialiasing Lanczos filter."""
    pictures = (Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in images)
    small = [np.asarray(picture.resize(size[::-1], Image.Resampling.LANCZOS)) for picture in pictures]
    return np.stack(small).reshape(len(images), *size, -1)
