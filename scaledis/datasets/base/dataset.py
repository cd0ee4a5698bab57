"""The type of a data set: images with their factors, read by index."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from scaledis.core import UserError, convert, registry, runtime
from scaledis.datasets._builders.pixels import STEP

SAMPLE = 256  # images that the fingerprint of a large set reads
WHOLE = 1 << 26  # bytes; of a set with fewer bytes of images the fingerprint reads all: 64 MB


@dataclasses.dataclass(frozen=True, eq=False)  # one is equal to itself alone
class Dataset:
    """Images with their factors, read by index.

    An index is an array of whole numbers [n] from 0 to N - 1; n may be 0. Raises UserError if the name of the set, of a
    factor or of a value is not text that UTF-8 can hold.

    On a full grid of factors the index is the mixed-radix number of the factors, the last one varying fastest. Other
    sets have a table with a row of factors for each image: a combination may be missing or occur several times.

    Attributes:
      name: the name that every table, plot and result file carries.
      factor_names: F names; () if the factors of the images are unknown.
      factor_values: F arrays, the values of each factor in its own unit (degrees, hue in [0, 1), ...).
      image_shape: (H, W, C).
      source: the arrays that the images are made from, a pytree. They are an argument of every compiled function,
        never a constant in it.
      gather: pure function (source, index int32 [n]) -> uint8 [n, H, W, C]; runs inside the compiled step.
      table: int32 [N, F], the factor indices of images that are not a full grid; None for a full grid.
      held_out: int32 [n], the images that the authors of the set hold out; None if they hold out none.
      version: names the program that computes the images; "" if they are stored. The last bits of computed pixels
        differ between machines, so the fingerprint takes the version in their place.
      folders: int32 [N], the number of the folder of each image; None for images without folders.
      measured: whether `factors` returns the numbers themselves instead of their ranks, since some have a fraction or
        are missing. Such a set has a table, with -1 for a missing label.
    """

    name: str
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]
    source: Any
    gather: Callable[[Any, Any], Any]
    table: np.ndarray | None = None
    held_out: np.ndarray | None = None
    version: str = ""
    folders: np.ndarray | None = None
    measured: bool = False

    def __post_init__(self) -> None:
        values = [value for each in self.factor_values if np.asarray(each).dtype.kind in "OU" for value in each]
        for name in (self.name, *self.factor_names, *map(str, values)):
            try:
                name.encode()
            except (UnicodeEncodeError, AttributeError) as error:  # the files of a run are UTF-8
                reason = f"the name {registry.short(name)} is no UTF-8 text; rename it."
                raise UserError(f"{self.name!a}: {reason}") from error
        object.__setattr__(self, "source", jax.tree.map(_of_numpy_or_jax, self.source))

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def size(self) -> int:
        """N, the number of images."""
        return int(np.prod(self.factor_sizes)) if self.table is None else len(self.table)

    @property
    def extent(self) -> str:
        """The number of images and their shape: "480,000 images of 64x64x3"."""
        return f"{self.size:,} image{'s' * (self.size != 1)} of {'x'.join(map(str, self.image_shape))}"

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {size}" for name, size in zip(self.factor_names, self.factor_sizes, strict=True))
        return f"Dataset({self.name}: {self.extent}; {f'factors {sizes}' if sizes else 'no factors'})"

    @functools.cached_property
    def fingerprint(self) -> str:
        """A checksum of the content, 16 hex digits, the same on every machine.

        It covers the factors (names, values, table), the shape and number of the images, the images held out, and the
        pixels: of all images up to 64 MB, beyond that of 256 images at equal distances. It does not cover the name.
        """
        digest = hashlib.blake2b(digest_size=8)
        values = [
            [f"{value:.9g}" if isinstance(value, float) else str(value) for value in np.asarray(values).tolist()]
            for values in self.factor_values  # two machines may differ in the last digits of a float
        ]
        digest.update(repr((self.factor_names, values, self.size, self.image_shape, self.version)).encode())
        for array in (self.table, self.held_out):
            digest.update(b"none" if array is None else np.asarray(array, "<i4").tobytes())
        if not self.version:
            whole = self.size * math.prod(self.image_shape) <= WHOLE
            index = np.arange(self.size) if whole else np.linspace(0, self.size - 1, SAMPLE).astype(np.int64)
            digest.update(self.images(index).tobytes())
        return digest.hexdigest()

    def factors(self, index: np.ndarray) -> np.ndarray:
        """Returns the factors [n, F] of images [n]: the index of each value, int32.

        For a set that is `measured` they are float64: numbers unchanged, the indices of categories, and NaN for a
        missing label. Raises UserError for an index of no image.
        """
        ranks = self.ranks(index)
        if not self.measured:
            return ranks
        values = [each if each.dtype.kind in "biuf" else np.arange(len(each)) for each in self.factor_values]
        return np.stack([np.append(each, np.nan)[rank] for each, rank in zip(values, ranks.T, strict=True)], axis=1)

    def ranks(self, index: np.ndarray) -> np.ndarray:
        """Returns the index of each factor's value of images [n], int32 [n, F]; -1 for a missing label.

        Raises UserError for an index of no image.
        """
        index = _whole("index", index, self.size, self.name).astype(np.int32)
        if self.table is not None:
            return self.table[index]
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=-1).astype(np.int32)

    def index(self, factors: np.ndarray) -> np.ndarray:
        """Returns the images int32 [n] that have the factor indices [n, F], on a full grid.

        Raises UserError for factors of another shape or dtype or outside of their range, and for a set with a table.
        """
        if self.table is not None:
            raise UserError(f"{self.name} is not a full grid of its factors; draw images with `matching` instead.")
        sizes = self.factor_sizes
        return np.ravel_multi_index(tuple(_whole("factors", factors, sizes, self.name).T), sizes).astype(np.int32)

    def sample(self, number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Draws `number` different images, and returns them, uint8 [n, H, W, C], with their `factors` [n, F].

        A score needs such a draw: among the first n images of a grid some factors have only one value.
        Raises UserError for more images than N, and for a number or seed that is not whole.
        """
        _check_whole("number", number, 1, self.size, f", the images of {self.name}")
        _check_whole("seed", seed, 0)
        index = np.random.default_rng(seed).choice(self.size, number, replace=False)
        return self.images(index), self.factors(index)

    def matching(self, rng: np.random.Generator, n: int, **fixed: int) -> np.ndarray:
        """Draws images int32 [n], uniformly with replacement, among the images that have the factors `fixed`.

        On a full grid the other factors are independent and uniform; with a table they are distributed as among the
        images that match. Raises UserError for an unknown factor or value, for a number below 0, for an `rng` that is
        no numpy generator, and if no image matches.
        """
        if not isinstance(rng, np.random.Generator):
            raise UserError(f"rng: {registry.short(rng)} must be a generator, such as np.random.default_rng(0).")
        _check_whole("n", n, 0)
        columns = []
        for name, value in fixed.items():
            registry.check(f"factor of {self.name}", name, self.factor_names)
            columns.append(self.factor_names.index(name))
            _check_whole(name, value, 0, self.factor_sizes[columns[-1]] - 1)
        if self.table is None:
            factors = rng.integers(0, self.factor_sizes, (n, len(self.factor_sizes)))
            factors[:, columns] = [*fixed.values()]
            return self.index(factors)
        among = np.flatnonzero((self.table[:, columns] == [*fixed.values()]).all(axis=1))
        if not len(among):
            raise UserError(f"{self.name} has no image with {fixed}.")
        return rng.choice(among, n).astype(np.int32)

    def at(self, resolution: int) -> "Dataset":
        """Returns the same set with images of `resolution` pixels a side, each pixel the rounded mean of a square.

        Raises UserError unless the images are square, and the resolution divides their side and is a multiple of 16.
        """
        height, width, channels = self.image_shape
        _check_whole("data.resolution", resolution, 1)
        if height != width or height % resolution or resolution % STEP:
            possible = [size for size in range(STEP, height + 1, STEP) if height == width and height % size == 0]
            shape = f"{self.name} of {height}x{width}"
            raise UserError(f"data.resolution: {resolution} is not possible for {shape}; choices: {possible}.")
        side = height // resolution

        def gather(source: Any, index: jax.Array) -> jax.Array:
            images = self.gather(source, index)
            squares = images.reshape(-1, resolution, side, resolution, side, channels).astype("uint32")
            return ((squares.sum((2, 4)) + side**2 // 2) // side**2).astype("uint8")

        name = f"{self.name} at {resolution}x{resolution}"
        return dataclasses.replace(self, name=name, image_shape=(resolution, resolution, channels), gather=gather)

    def images(self, index: np.ndarray) -> np.ndarray:
        """Returns the images of an index [n], uint8 [n, H, W, C], on the host.

        Raises UserError for an index of no image, and if JAX has to compute them in a process that was forked after JAX
        had computed.
        """
        index = _whole("index", index, self.size, self.name).astype(np.int32)
        if isinstance(self.source, np.ndarray):  # of an array on disk only these images are read
            return np.asarray(self.gather(self.source, index))
        runtime.check_process("images")
        with runtime.pinned():
            return np.asarray(jax.jit(self.gather)(self.source, index))


def _of_numpy_or_jax(leaf: Any) -> Any:
    """Returns an array of another framework as one of numpy, and any other leaf as it is."""
    foreign = hasattr(leaf, "__array__") or hasattr(leaf, "__dlpack__")
    if isinstance(leaf, np.ma.MaskedArray) or foreign and not isinstance(leaf, np.ndarray | np.generic | jax.Array):
        return convert.numbers("source", leaf)
    return leaf


def rows(source: Any, index: jax.Array) -> jax.Array:
    """The `gather` of a set whose source is the array of its images."""
    return source[index]


def _whole(argument: str, given: Any, sizes: int | tuple[int, ...], name: str) -> np.ndarray:
    """`given` as whole numbers [n] from 0 to `sizes` - 1, or [n, F] below F sizes. Errors name the data set `name`."""
    try:
        found = np.asarray(given)
    except (ValueError, TypeError, OverflowError):
        found = np.array(None)
    shape = np.shape(sizes)
    if not found.size and found.shape in ((0,), (0, *shape)):
        return np.zeros((0, *shape), int)
    if found.dtype.kind not in "iu" or found.shape[1:] != shape or not found.ndim:
        expected = f"[n, {shape[0]}]" if shape else "[n]"
        raise UserError(f"{argument}: {found.dtype} {found.shape} must be whole numbers {expected}.")
    outside = ((found < 0) | (found >= np.asarray(sizes))).reshape(len(found), -1).any(axis=1)
    if outside.any():
        first, what = found[outside.argmax()].tolist(), "values" if shape else "images"
        raise UserError(f"{argument}: {first} is outside of {name}, which has {sizes} {what}, counted from 0.")
    return found


def _check_whole(argument: str, value: Any, least: int, most: int | None = None, why: str = "") -> None:
    """Raises UserError unless `value` is a whole number from `least` to `most`; `why` explains `most`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        bound = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UserError(f"{argument}: {registry.short(value)} must be a whole number {bound}{why}.")
