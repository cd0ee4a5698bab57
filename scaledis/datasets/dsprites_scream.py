"""`dsprites_scream`: the sprites of dSprites, inverted into pieces of Munch's The Scream (Locatello et al. 2019).

The factors are the five of dSprites. The piece and the tint of an image are random but fixed, and are no factors. The
published file of dSprites is used (datasets/dsprites.py), and a picture DIRECTORY/manual/scream.jpg, which the user
places there: a reproduction of the painting, or another picture. The picture is scaled down to at most 350 x 274
pixels, as in the paper's code.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from scaledis.core.errors import UserError
from scaledis.datasets import Dataset, Options, dsprites
from scaledis.datasets._builders import painted

OPTIONS = dsprites.OPTIONS
FILE, LARGEST = "scream.jpg", (350, 274)  # width and height


def load(directory: Path, options: Options) -> Dataset:
    """dSprites below `directory` on pieces of the picture; images [64, 64, 3].

    Raises UserError for a picture that is missing, cannot be read or is smaller than an image, and what `dsprites.load`
    raises.
    """
    background, sprites = _picture(directory / "manual" / FILE), dsprites.load(directory, options)
    height, width, _ = sprites.image_shape
    if background.shape[0] < height or background.shape[1] < width:
        size = "x".join(map(str, background.shape[1::-1]))
        raise UserError(f"dsprites_scream: {FILE} has {size} pixels; at least {width}x{height} are needed.")
    return painted.painted("dsprites_scream", sprites, painted.on_background, background)


def _picture(path: Path) -> np.ndarray:
    """Returns the picture as uint8 [h, w, 3]."""
    try:
        with Image.open(path) as image:
            image.thumbnail(LARGEST)
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise UserError(f"dsprites_scream: place a picture of the painting at {path}.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"dsprites_scream: {path} cannot be read as a picture: {error}") from error
