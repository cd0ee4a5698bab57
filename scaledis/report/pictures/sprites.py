"""Many small images in one WebP file, as text that a page holds: the frames of a unit, a row of samples."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from scaledis.report.content import pixels

EFFORTS = ((82, 1), (60, 1), (40, 1), (60, 2), (30, 2), (20, 4))  # quality of WebP, and one pixel of so many is kept


def tables(images: Sequence[np.ndarray], budget: int) -> list[str]:
    """Each table of images [R, S, H, W, C] as the data URI of one picture, R rows of S images without gaps.

    The quality is the best of `EFFORTS` in which all of them together take at most `budget` bytes of text; the last
    one is taken where none does.
    """
    found: list[str] = []
    for quality, stride in EFFORTS:
        found = [_uri(table[:, :, ::stride, ::stride], quality) for table in images]
        if sum(map(len, found)) <= budget:
            break
    return found


def _uri(table: np.ndarray, quality: int) -> str:
    rows, columns, height, width = table.shape[:4]
    picture = pixels(table).transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
