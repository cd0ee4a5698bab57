"""Data sets: one file each, found by name.

A module here defines `load(directory: Path, options: Options) -> Dataset`, and in `OPTIONS` the names of the options
that it understands, if there are any.
"""

import contextlib
import dataclasses
import functools
import hashlib
import math
import reprlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaledis.config import RESOLUTION, check_fields, flag, positive_int
from scaledis.core import convert, registry, runtime
from scaledis.core.errors import UserError
from scaledis.core.values import plain
from scaledis.datasets._builders import pixels

CACHE = "~/.cache/scaledis"  # prepared data sets and caches, unless the user says otherwise
SAMPLE = 256  # images that the fingerprint of a large set reads
WHOLE = 1 << 26  # bytes of images that it reads whole: 64 MB


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may ask of a data set. A set refuses what it does not understand.

    Raises UserError for a value of a wrong kind, for a resolution that is not a multiple of 16, and for bits below 8 or
    beside `scale`.

    Attributes:
      path: the user's own images, or a copy of a published set that TFDS prepared.
      download: fetch published files that are missing.
      accept_checksum: use a published file although its checksum is not the expected one.
      resolution: side of the images; 0 leaves it to the data set.
      scale: pixels are 0 to 1, and are multiplied by 255.
      bits: pixels are whole numbers from 0 to 2^bits - 1, of which the upper 8 bits stay; 0: of all bits of the file.
      folder_factor: the sub-folders of a folder of images are a factor.
      skip_unreadable: files that cannot be read as images are left out; without it they are an error.
    """

    path: Path | None = None
    download: bool = flag(False)
    accept_checksum: bool = flag(False)
    resolution: int = positive_int(0, least=0, most=RESOLUTION)
    scale: bool = flag(False)
    bits: int = positive_int(0, least=0, most=16)
    folder_factor: bool = flag(False)
    skip_unreadable: bool = flag(False)

    def __post_init__(self) -> None:
        check_fields("data.", self)
        if 0 < self.bits < 8 or (self.bits and self.scale):
            raise UserError(f"data.bits: {self.bits} must be 0, or from 8 to 16 without data.scale.")
        if self.resolution % pixels.STEP:
            raise UserError(f"data.resolution: {self.resolution} must be 0 or a multiple of {pixels.STEP}.")

    @property
    def images_path(self) -> Path:
        """`path`, for a set that has no images without it. Raises UserError where it is missing."""
        if self.path is None:
            raise UserError("data.path: is missing: where are the images?")
        return self.path


@dataclasses.dataclass(frozen=True, eq=False)  # one is equal to itself alone
class Dataset:
    """Images with their factors, read by index.

    An index is whole numbers [n] from 0 to N - 1; none at all are taken too. Raises UserError for a name, of the set, a
    factor or a value, that no file can hold.

    On a full grid of factors the index is the mixed-radix number of the factors, the last one varying fastest. Other
    sets have a table: a row of factors for each image, in which a combination may be missing or stand several times.

    Attributes:
      name: the name that every table, plot and result file carries.
      factor_names: F names; () where nothing is known about the images.
      factor_values: F arrays, the values of each factor in its own unit (degrees, hue in [0, 1), ...).
      image_shape: (H, W, C).
      source: the arrays that the images are made from, a pytree. They are an argument of every compiled function,
        never a constant in it.
      gather: pure function (source, index int32 [n]) -> uint8 [n, H, W, C]; runs inside the compiled step.
      table: int32 [N, F], the factor indices of images that are not a full grid; None for a full grid.
      held_out: int32 [n], the images that the data set's authors hold out; None where they hold out none.
      folders: int32 [N], the number of the folder that an image lies in; None for images that do not lie in folders.
      version: names the program of images that are computed, "" for images that are stored. The last bits of computed
        pixels differ between machines, so the fingerprint takes the version in their place.
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

    def __post_init__(self) -> None:
        values = [value for each in self.factor_values if np.asarray(each).dtype.kind in "OU" for value in each]
        for name in (self.name, *self.factor_names, *map(str, values)):
            try:
                name.encode()
            except (UnicodeEncodeError, AttributeError) as error:  # what is written down of a run is UTF-8
                raise UserError(
                    f"{self.name!a}: the name {registry.short(name)} is no UTF-8 text; rename it."
                ) from error
        object.__setattr__(self, "source", jax.tree.map(_of_numpy_or_jax, self.source))

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def size(self) -> int:
        """N, the number of images."""
        return int(np.prod(self.factor_sizes)) if self.table is None else len(self.table)

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the content: the same on every machine, other ones where the content differs.

        They are made from the factors (names, values, table), the shape and number of the images, the images held out,
        and the pixels: of all images up to 64 MB, of 256 images at equal distances beyond. The name is left out.
        """
        digest = hashlib.blake2b(digest_size=8)
        values = [[_text(value) for value in np.asarray(values).tolist()] for values in self.factor_values]
        digest.update(repr((self.factor_names, values, self.size, self.image_shape, self.version)).encode())
        for array in (self.table, self.held_out):
            digest.update(b"none" if array is None else np.asarray(array, "<i4").tobytes())
        if not self.version:
            whole = self.size * math.prod(self.image_shape) <= WHOLE
            index = np.arange(self.size) if whole else np.linspace(0, self.size - 1, SAMPLE).astype(np.int64)
            digest.update(self.images(index).tobytes())
        return digest.hexdigest()

    def factors(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> factor indices int32 [n, F]. Raises UserError for an index of no image."""
        index = self._checked(index)
        if self.table is not None:
            return self.table[index]
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=-1).astype(np.int32)

    def index(self, factors: np.ndarray) -> np.ndarray:
        """Factor indices [n, F] -> image indices int32 [n], on a full grid.

        Raises UserError for factors of another shape or kind, for one outside its range, and for a set that is not a
        full grid.
        """
        if self.table is not None:
            raise UserError(f"{self.name} is not a full grid of its factors; draw images with `matching` instead.")
        sizes = self.factor_sizes
        return np.ravel_multi_index(tuple(_whole("factors", factors, sizes, self.name).T), sizes).astype(np.int32)

    def sample(self, number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(images uint8 [n, H, W, C], factors int32 [n, F]) of `number` different images, drawn at random.

        The first n images of a grid do not do for a score: some factors have one value among them.
        Raises UserError for more images than there are, and for a number or seed that is not a whole one.
        """
        _check_whole("number", number, 1, self.size, f", the images of {self.name}")
        _check_whole("seed", seed, 0)
        index = np.random.default_rng(seed).choice(self.size, number, replace=False)
        return self.images(index), self.factors(index)

    def matching(self, rng: np.random.Generator, n: int, **fixed: int) -> np.ndarray:
        """Image indices int32 [n], drawn uniformly with replacement among the images that have the factors `fixed`.

        On a full grid the factors that are not fixed are independent and uniform; with a table they are as they are
        among the images that match. Raises UserError for an unknown factor or value, for a number below 0, for what is
        no numpy generator, and if no image matches.
        """
        if not isinstance(rng, np.random.Generator):
            raise UserError(f"rng: {registry.short(rng)} must be a generator, such as np.random.default_rng(0).")
        _check_whole("n", n, 0)
        for name, value in fixed.items():
            registry.check(f"factor of {self.name}", name, self.factor_names)
            _check_whole(name, value, 0, self.factor_sizes[self.factor_names.index(name)] - 1)
        columns = {self.factor_names.index(name): value for name, value in fixed.items()}
        if self.table is None:
            factors = rng.integers(0, self.factor_sizes, (n, len(self.factor_sizes)))
            for column, value in columns.items():
                factors[:, column] = value
            return self.index(factors)
        among = np.ones(len(self.table), bool)
        for column, value in columns.items():
            among &= self.table[:, column] == value
        among = np.flatnonzero(among)
        if not len(among):
            raise UserError(f"{self.name} has no image with {fixed}.")
        return rng.choice(among, n).astype(np.int32)

    def at(self, resolution: int) -> "Dataset":
        """The same set with images of `resolution` pixels a side, each the mean over a square of pixels, rounded.

        Raises UserError unless the resolution divides the sides, which must be equal, and is a multiple of 16.
        """
        height, width, channels = self.image_shape
        _check_whole("data.resolution", resolution, 1)
        if height != width or height % resolution or resolution % 16:
            possible = [size for size in range(16, height + 1, 16) if height == width and height % size == 0]
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
        """Image indices [n] -> uint8 [n, H, W, C], on the host.

        Raises UserError for an index of no image, and where JAX would make them in a process that was forked after it
        has computed.
        """
        index = self._checked(index)
        if isinstance(self.source, np.ndarray):  # an array on disk is read here, not brought to a device whole
            return np.asarray(self.gather(self.source, index))
        runtime.check_process("images")
        with runtime.pinned():
            return np.asarray(jax.jit(self.gather)(self.source, index))

    def _checked(self, index: Any) -> np.ndarray:
        return _whole("index", index, self.size, self.name).astype(np.int32)


def _of_numpy_or_jax(leaf: Any) -> Any:
    foreign = hasattr(leaf, "__array__") or hasattr(leaf, "__dlpack__")
    if isinstance(leaf, np.ma.MaskedArray) or foreign and not isinstance(leaf, np.ndarray | np.generic | jax.Array):
        return convert.numbers("source", leaf)
    return leaf


def rows(source: Any, index: jax.Array) -> jax.Array:
    """The `gather` of a set whose source is the array of its images: on the host for numpy, else in a compiled step."""
    return source[index]


def _whole(argument: str, given: Any, sizes: int | tuple[int, ...], name: str) -> np.ndarray:
    """`given` as whole numbers [n] from 0 to `sizes` - 1, or [n, F] below F sizes, of the data set `name`."""
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
    """Raises UserError unless `value` is a whole number from `least` to `most`, which is explained by `why`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        bound = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UserError(f"{argument}: {registry.short(value)} must be a whole number {bound}{why}.")


def names() -> list[str]:
    """The names that `load` takes."""
    return registry.modules(sys.modules[__name__])


def load(
    name: str,
    directory: str | Path = CACHE,
    *,
    path: str | Path | None = None,
    download: bool = False,
    **options: Any,
) -> Dataset:
    """The data set `name`; whatever it stores lies below `directory`.

    Args:
      name: a file in scaledis/datasets/.
      directory: where published files, prepared sets and caches are.
      path: the user's own images, or a copy of a published set that TFDS prepared.
      download: fetch published files that are missing, where the set allows it.
      **options: the other fields of `Options`: `resolution`, `scale`, ...

    Raises:
      UserError: the name is unknown, or the set has no such option.
      UserError: a path is missing or cannot exist, or the images cannot have the resolution.
      UserError: the images are nearly black, because their pixels are 0 and 1.
      UserError: a published file is missing, see `_builders.prepare.load`.

    >>> dataset = load("rendered_dsprites")
    >>> dataset.images(np.arange(3)).shape
    (3, 64, 64, 1)
    """
    module = registry.module("data.name", sys.modules[__name__], name)
    for key in options:
        registry.check("data", key, [field.name for field in dataclasses.fields(Options)])
    own_path = None if path is None or (isinstance(path, str) and not path) else expanded("data.path", path)
    wanted = Options(own_path, download, **{key: plain(value) for key, value in options.items()})
    understood = {"download", "resolution", *getattr(module, "OPTIONS", ())}
    for field in dataclasses.fields(Options):
        value = getattr(wanted, field.name)
        if field.name not in understood and value != field.default:
            raise UserError(f"data.{field.name}: {str(value)!r} is not understood by {name}.")
    dataset = module.load(expanded("data.directory", directory), wanted)
    if not wanted.scale:
        _check_range(dataset, "data.scale=True multiplies them by 255" if "scale" in understood else "scale them first")
    return dataset if wanted.resolution in (0, dataset.image_shape[0]) else dataset.at(wanted.resolution)


def _text(value: object) -> str:
    """A factor's value without the last digits of a float, in which two machines may differ."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def expanded(key: str, path: str | Path) -> Path:
    """The path with `~` and `~user` replaced by a home directory. Raises UserError for one that cannot exist."""
    try:
        expanded = Path(path).expanduser()
        with contextlib.suppress(FileNotFoundError):  # it may be made
            expanded.lstat()
        return expanded
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{key}: {reprlib.repr(str(path))} cannot be used: {reason}") from error


def _check_range(dataset: Dataset, remedy: str) -> None:
    """Raises UserError for stored images without a pixel above 1. The first block with one ends the search."""
    if isinstance(dataset.source, np.ndarray):
        blocks = np.array_split(np.arange(dataset.size), max(1, -(-dataset.size // 1000)))
        if not any((dataset.images(block) > 1).any() for block in blocks):
            raise pixels.dark(dataset.name, 1, remedy)
