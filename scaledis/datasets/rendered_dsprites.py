"""`rendered_dsprites`: a look-alike of dSprites that needs no download, with the same factors and 737,280 images.

Nothing is stored: a pixel is white if its center is inside the outline, which is computed for every batch inside the
compiled step. All lengths are in pixels at scale 1.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from scaledis.datasets import Dataset, Options

VERSION = 1  # of the images: raise it with every change of a pixel, for the fingerprint
PIXELS = 64
FACTORS = {
    "shape": np.arange(3),  # square, ellipse, heart
    "scale": np.linspace(0.5, 1.0, 6),
    "orientation": np.linspace(0.0, 2 * np.pi, 40),  # anticlockwise; the last one is a full turn, equal to the first
    "position_x": np.linspace(0.0, 1.0, 32),  # from left to right
    "position_y": np.linspace(0.0, 1.0, 32),  # from top to bottom
}
SIZES = tuple(values.size for values in FACTORS.values())

# All numbers below are fitted to frames of dSprites; experiments/benchmarks/fidelity_dsprites.py measures how well.
FIRST, SPAN = 16.0, 32.0  # the center of rotation is at FIRST + SPAN * position, from the corner of the image
SQUARE = 9.6  # half side
ELLIPSE = (12.76, 7.22)  # half axes
# The right half of the heart, about its center of rotation: an ellipse above the line y = BROAD (y points down), and
# below it a half width that is a polynomial in y / 10 and has its root at the tip.
BROAD = -4.0
LOBE_CENTER, LOBE = (4.767, -3.871), (4.856, 5.457)
FLANK = (-4.465, 9.117, 2.344, -8.298, -6.93, 8.131)


def load(directory: Path, options: Options) -> Dataset:
    """The data set; images [64, 64, 1] of 0 and 255. Neither reads nor writes `directory`."""
    angles = FACTORS["orientation"]
    return Dataset(
        name="rendered_dsprites",
        factor_names=tuple(FACTORS),
        factor_values=tuple(FACTORS.values()),
        image_shape=(PIXELS, PIXELS, 1),
        source=jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=-1), jnp.float32),
        gather=gather,
        version=f"rendered_dsprites {VERSION}",
    )


def gather(source: jax.Array, index: jax.Array) -> jax.Array:
    """Cosine and sine [40, 2] of the orientations, and image indices [n] -> uint8 [n, 64, 64, 1]."""
    shape, scale, orientation, column, row = (factor[:, None, None] for factor in jnp.unravel_index(index, SIZES))
    centers = jnp.arange(PIXELS) + 0.5
    right = centers[None, :] - (FIRST + SPAN / (SIZES[3] - 1) * column)
    down = centers[:, None] - (FIRST + SPAN / (SIZES[4] - 1) * row)
    cos, sin = source[orientation, 0], source[orientation, 1]
    size = jnp.asarray(FACTORS["scale"], jnp.float32)[scale]
    x = jnp.abs(right * cos - down * sin) / size  # every shape is its own mirror image
    y = (right * sin + down * cos) / size
    square = jnp.maximum(x, jnp.abs(y)) < SQUARE
    ellipse = (x / ELLIPSE[0]) ** 2 + (y / ELLIPSE[1]) ** 2 < 1
    lobe = ((x - LOBE_CENTER[0]) / LOBE[0]) ** 2 + ((y - LOBE_CENTER[1]) / LOBE[1]) ** 2 < 1
    heart = jnp.where(y < BROAD, lobe, x < jnp.polyval(jnp.asarray(FLANK, jnp.float32), y / 10))
    inside = jnp.where(shape == 0, square, jnp.where(shape == 1, ellipse, heart))
    return 255 * inside[..., None].astype(jnp.uint8)
