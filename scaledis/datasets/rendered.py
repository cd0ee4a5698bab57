"""`rendered`: a look-alike of 3DShapes that needs no download, with the same six factors and grid of 480,000 images.

The 480 geometries (scale, shape, orientation) are ray-cast once into shading maps; every image is a linear mix of the
maps of its geometry with the colors of its three hues, so a batch is composed inside the compiled step.
"""

import colorsys
import dataclasses
import itertools
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from scaledis.core import UserError
from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import scene

VERSION = 4  # of the shading maps: raise it with every change of the scene, or stale caches are read
HUES = np.linspace(0.0, 0.9, 10)
FACTORS = {
    "floor_hue": HUES,
    "wall_hue": HUES,
    "object_hue": HUES,
    "scale": np.linspace(0.75, 1.25, 8),
    "shape": np.arange(4),
    "orientation": np.linspace(-30.0, 30.0, 15),  # degrees, the azimuth of the camera
}
GEOMETRIES = tuple(FACTORS[name].size for name in ("scale", "shape", "orientation"))
MAPS_SHAPE = (int(np.prod(GEOMETRIES)), len(scene.MATERIALS), scene.SIZE, scene.SIZE)
COLORS = 255 * np.array([colorsys.hsv_to_rgb(hue, 1, 1) for hue in HUES], np.float32)
SKY = np.array([153, 226, 249], np.float32)
WHITE = np.array([255, 255, 255], np.float32)


def load(directory: Path, options: Options) -> Dataset:
    """The data set; its shading maps are read from `directory`, or rendered and stored there (10 s on two cores).

    At a lower resolution the maps are box-filtered instead of the images: composing them is then as much cheaper. The
    two differ where a color overflows within a square of pixels.

    Raises UserError, naming the directory, where it cannot be written.
    """
    dataset = Dataset(
        name="rendered",
        factor_names=tuple(FACTORS),
        factor_values=tuple(FACTORS.values()),
        image_shape=(scene.SIZE, scene.SIZE, 3),
        source=jnp.asarray(_cached_maps(directory)),
        gather=gather,
        version=f"rendered {VERSION}",
    )
    if options.resolution in (0, scene.SIZE):
        return dataset
    small, sides = dataset.at(options.resolution), (options.resolution, scene.SIZE // options.resolution)
    squares = dataset.source.astype(jnp.float32).reshape(*MAPS_SHAPE[:2], *sides, *sides).mean((3, 5))
    version = f"{dataset.version} in maps of {options.resolution}"
    return dataclasses.replace(small, source=squares.astype(jnp.float16), gather=gather, version=version)


def gather(source: jax.Array, index: jax.Array) -> jax.Array:
    """Shading maps [480, 5, H, W] and image indices [n] -> uint8 [n, H, W, 3]."""
    floor, wall, object_, geometry = jnp.unravel_index(index, (len(HUES), len(HUES), len(HUES), MAPS_SHAPE[0]))
    hues, maps = jnp.asarray(COLORS), source[geometry].astype(jnp.float32)
    sky, white = jnp.asarray(SKY)[None], jnp.asarray(WHITE)[None]
    colors = hues[floor], hues[wall], hues[object_], sky, white  # in the order of scene.MATERIALS
    # A sum of products fuses into one loop; as an einsum this is ten times slower on a CPU.
    images = sum(maps[:, m, :, :, None] * color[:, None, None] for m, color in enumerate(colors))
    return jnp.clip(jnp.round(images), 0, 255).astype(jnp.uint8)


def _cached_maps(directory: Path) -> np.ndarray:
    """The shading maps float16 [480, 5, 64, 64], rendered where the cache is missing, cut short or not ours."""
    path = directory / f"rendered_v{VERSION}.npz"
    try:
        with open(path, "rb") as file:
            maps = np.load(file, allow_pickle=False)["maps"]  # an archive, for its checksum: flipped bits are noticed
        if (maps.shape, maps.dtype) == (MAPS_SHAPE, np.float16):
            return maps
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile):
        pass
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # an unwritable directory fails before the work
        try:
            maps = _render()
            with open(temporary, "wb") as file:
                np.savez(file, maps=maps)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        what = f"the shading maps of 'rendered' to {directory}"
        raise UserError(f"data.directory: cannot write {what}: {error}") from error
    return maps


def _render() -> np.ndarray:
    print(f"rendered: ray-casting {MAPS_SHAPE[0]} geometries, once, about 10 s", file=sys.stderr)
    solids = [(scale, scene.SHAPES[shape]) for scale, shape in itertools.product(FACTORS["scale"], FACTORS["shape"])]
    with ThreadPoolExecutor() as pool:
        maps = list(pool.map(lambda azimuth: scene.shading(azimuth, solids), FACTORS["orientation"]))
    return np.stack(maps, axis=1).reshape(MAPS_SHAPE).astype(np.float16)
