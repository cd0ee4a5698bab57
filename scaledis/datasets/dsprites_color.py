"""`dsprites_color`: the images of dSprites, each sprite in one random color on black (Locatello et al. 2019).

The factors are the five of dSprites. The color of an image is random but fixed, and is no factor. The published file of
dSprites is used (datasets/dsprites.py).
"""

from pathlib import Path

from scaledis.datasets import Dataset, Options, dsprites
from scaledis.datasets._builders import painted

OPTIONS = dsprites.OPTIONS


def load(directory: Path, options: Options) -> Dataset:
    """dSprites below `directory`, painted; images [64, 64, 3]. Raises what `dsprites.load` raises."""
    return painted.painted("dsprites_color", dsprites.load(directory, options), painted.colored)
