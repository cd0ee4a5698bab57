"""`dsprites_noisy`: the images of dSprites, white sprites on uniform noise (Locatello et al. 2019).

The factors are the five of dSprites. The noise of an image is random but fixed, and is no factor. The published file of
dSprites is used (datasets/dsprites.py).
"""

from pathlib import Path

from scaledis.datasets import Dataset, Options, dsprites
from scaledis.datasets._builders import painted

OPTIONS = dsprites.OPTIONS


def load(directory: Path, options: Options) -> Dataset:
    """dSprites below `directory`, painted; images [64, 64, 3]. Raises what `dsprites.load` raises."""
    return painted.painted("dsprites_noisy", dsprites.load(directory, options), painted.noisy)
