"""Image files of every kind as RGB images of one size."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffTags

from scaledis.core import UserError
from scaledis.datasets._builders import pixels

SUFFIXES = tuple(".png .jpg .jpeg .jfif .webp .bmp .gif .tif .tiff .pbm .pgm .ppm .pnm".split())
LARGEST = 50_000_000  # pixels of a file: decoding takes some 8 bytes for each, so 0.4 GB
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises for broken files
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16-bit gray
GRAY = ("1", "L", "I", "F", *DEEP)
TAGS = {info.name: number for number, info in TiffTags.TAGS_V2.items()}
OTHER_BYTES = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}  # orders of two bytes
UPRIGHT = {  # what turns an image upright, by the orientation in its EXIF block
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
Opener = Callable[[], ImageFile.ImageFile]


class Picture(NamedTuple):
    """The image of a file.

    Attributes:
      pixels: uint8 [side, side, 3].
      largest: the largest number if pixels have more than 8 bits, perhaps with its lower 8 bits set; else -1.
    """

    pixels: np.ndarray
    largest: int


def read(file: Path, side: int, scale: bool, bits: int = 0) -> Picture:
    """An image file as uint8 [side, side, 3]. Raises what `fitted` raises, and UserError if the file is damaged."""
    try:
        with Image.open(file) as image:
            return fitted(image, lambda: Image.open(file), (side, side), scale, bits)
    except UNREADABLE as error:
        raise UserError(f"{file}: {error}") from error


def fitted(image: ImageFile.ImageFile, again: Opener, size: tuple[int, int], scale: bool, bits: int = 0) -> Picture:
    """An opened image file, or its first frame or page, as uint8 [height, width, 3].

    The largest central part of this shape is resized by Lanczos' filter, transparency becomes white, and EXIF turns it
    upright. Pixels of 16 bits keep the upper 8; whole numbers of `bits` bits keep the upper 8 of these. With `scale`
    pixels from 0 to 1 are multiplied by 255.

    Args:
      image: opened and not yet decoded.
      again: opens the same file once more, to read the lower bytes of 16-bit colors.
      size: the width and height of the result.
      scale, bits: as in `config.data`.

    Raises:
      UserError: the image is larger than 50 million pixels.
      UserError: its pixels are 32-bit numbers, whose range is unknown, and neither `scale` nor `bits` is given.
      UserError: a pixel is above 1, and `scale` is True.
      UserError: a pixel has more bits than `bits`, or the lower ones of its 16 cannot be read.
    """
    if image.width * image.height > LARGEST:
        raise UserError(f"{image.width}x{image.height} is more than {LARGEST:,} pixels, make it smaller")
    _check_tiff(image)
    picture, largest = (image, -1) if scale else _reduced(image, again, bits)
    orientation = 1  # by hand: ImageOps.exif_transpose raises for a broken block, and would turn all pixels
    with contextlib.suppress(Exception):  # a broken EXIF block raises anything; the pixels are still good
        # Decodes a PNG, whose `tile` is then gone.
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    width, height = size if orientation not in SIDEWAYS else size[::-1]  # before it is turned
    length = min(picture.width * height, picture.height * width)
    part = max(1, length // height), max(1, length // width)
    left, top = ((whole - own) // 2 for whole, own in zip(picture.size, part, strict=True))
    if part != picture.size:
        picture = picture.crop((left, top, left + part[0], top + part[1]))
    picture = _on_white(_colored(picture, scale).resize((width, height), Image.Resampling.LANCZOS))
    return Picture(np.asarray(picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture), largest)


def flat(image: Image.Image) -> Image.Image:
    """An open image as it is if it is gray, else as RGB; transparency becomes white."""
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in GRAY else _on_white(_colored(image, scale=False))


def _on_white(image: Image.Image) -> Image.Image:
    """An image in RGB or RGBA as RGB."""
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _reduced(image: ImageFile.ImageFile, again: Opener, bits: int) -> tuple[Image.Image, int]:
    """A picture with 8 bits instead of more, and the `largest` of `Picture`."""
    clear = image.info.get("transparency")
    if image.mode in DEEP or (image.mode == "I" and (bits or image.format == "PPM")):  # a PPM file has at most 16 bits
        values = np.asarray(image)
    elif not _is_deep(image):
        return image, -1
    elif clear is not None:
        raise UserError("its colors have 16 bits, and one of them is transparent; save it with 8 bits")
    elif bits in (0, 16):  # Pillow reads the upper 8
        return image, int(np.asarray(image)[..., :3].max()) << 8 | 255
    else:
        values = _sixteen(image, again)
    shallow = Image.fromarray(pixels.to_bytes("pixels", values, scale=False, bits=bits or 16))
    if clear is not None:
        shallow.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return shallow, int(values.max())


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the colors of an image that is not yet decoded have 16 bits, whatever its mode says."""

    def is_deep(codec: str, args: Any) -> bool:
        largest = args[1] if codec.startswith("ppm") and isinstance(args, tuple) else 0
        return ";16" in str(args) or largest > 255

    return any(is_deep(tile.codec_name, tile.args) for tile in image.tile)


def _sixteen(image: ImageFile.ImageFile, again: Opener) -> np.ndarray:
    """The colors uint16 [h, w, 3] of an image. Pillow reads the upper bytes, and the lower ones by changed tiles."""
    if image.mode != "RGB" or image.format == "PPM":
        raise UserError(f"the lower bits of its 16 cannot be read ({image.format}, {image.mode}); save it with 8 bits")
    with again() as lower:
        lower.tile = [tile._replace(args=_other_byte(tile.args)) for tile in lower.tile]
        return np.asarray(image).astype(np.uint16) << 8 | np.asarray(lower)


def _other_byte(args: Any) -> Any:
    """The arguments of a decoder of Pillow, such as "RGB;16B" or ("RGB;16B", ..), that reads the other of two bytes."""
    if isinstance(args, tuple):
        return (_other_byte(args[0]), *args[1:])
    return args[:-1] + OTHER_BYTES[args[-1]]


def _check_tiff(image: ImageFile.ImageFile) -> None:
    """Raises UserError for a TIFF file that Pillow decodes to wrong pixels without an error."""
    tags = getattr(image, "tag_v2", {})
    deep = max(tags.get(TAGS["BitsPerSample"], (8,))) > 8
    planes = deep and tags.get(TAGS["PlanarConfiguration"]) == 2 and not _is_deep(image)
    negative = deep and tags.get(TAGS["PhotometricInterpretation"]) == 0
    if planes or negative or (not deep and 2 in tags.get(TAGS["SampleFormat"], ())):
        raise UserError("a TIFF file of planes, negatives or signed bytes cannot be read; save it as PNG")


def _colored(image: Image.Image, scale: bool) -> Image.Image:
    """A decoded image as RGB, or as RGBA where it is transparent."""
    if scale:
        values = np.asarray(image if image.mode in GRAY else image.convert("RGB"))
        return Image.fromarray(pixels.to_bytes("pixels", values, scale)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UserError(f"its pixels are 32-bit numbers (mode {image.mode}); save them as 8 or 16 bits")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)
