"""Image files of every kind as RGB squares of one size."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from scaledis.datasets._builders import pixels
from scaledis.errors import UserError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"),
)
LARGEST = 50_000_000  # pixels of a file: decoding takes some 8 bytes for each, so 0.4 GB
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises for broken files
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16-bit gray
GRAY = ("1", "L", "I", "F", *DEEP)
UPRIGHT = {  # what turns an image upright, by the orientation in its EXIF block
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read(file: Path, side: int, scale: bool) -> np.ndarray:
    """An image file as uint8 [side, side, 3]; of several frames or pages the first.

    The largest central square is resized by Lanczos' filter, transparency is put on white, and the image is turned
    upright (EXIF). Gray of 16 bits keeps its upper 8. With `scale` pixels from 0 to 1 are multiplied by 255.

    Raises:
      UserError: the file is damaged, or larger than 50 million pixels.
      UserError: its pixels are 32-bit numbers, whose range is not known, and `scale` is False.
      UserError: a pixel is above 1, and `scale` is True.
    """
    try:
        with Image.open(file) as image:
            if image.width * image.height > LARGEST:
                raise UserError(f"{image.width}x{image.height} is more than {LARGEST:,} pixels, make it smaller")
            orientation = _orientation(image)
            picture: Image.Image = image
            if image.mode == "I" and image.format == "PPM":  # which has 16 bits, whatever the mode says
                picture = Image.fromarray(np.asarray(image).astype(np.uint16))
            length = min(picture.size)
            left, top = ((size - length) // 2 for size in picture.size)
            whole = left == top == 0
            square = _colored(picture if whole else picture.crop((left, top, left + length, top + length)), scale)
            square = square.resize((side, side), Image.Resampling.LANCZOS)
    except UNREADABLE as error:
        raise UserError(f"{file}: {error}") from error
    if square.mode == "RGBA":
        square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square).convert("RGB")
    return np.asarray(square.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else square)


def _colored(image: Image.Image, scale: bool) -> Image.Image:
    """A decoded image as RGB, or as RGBA where it is transparent."""
    if scale:
        values = np.asarray(image if image.mode in GRAY else image.convert("RGB"))
        return Image.fromarray(pixels.to_bytes("pixels", values, scale)).convert("RGB")
    if image.mode in DEEP:  # Pillow would clip, not scale, them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(f"its pixels are 32-bit numbers (mode {image.mode}); save them as 8 or 16 bits")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block raises what it likes, and the pixels are still good
        return 1
