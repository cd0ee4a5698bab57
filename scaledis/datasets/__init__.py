"""Data sets: one file each, found by name.

A module here defines `load(directory: Path, options: Options) -> Dataset`, and may list in `OPTIONS` the names of the
options that it understands.
"""

import contextlib
import dataclasses
import reprlib
import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scaledis.config import Data
from scaledis.core import UserError, registry, values
from scaledis.core.fields import check_fields, flag
from scaledis.datasets._builders import pixels
from scaledis.datasets.base.dataset import Dataset, rows

__all__ = ["CACHE", "Dataset", "Examples", "Options", "expanded", "load", "names", "rows"]

CACHE = Data.directory  # of prepared data sets and caches, unless the user names another


@runtime_checkable
class Examples(Protocol):
    """Your own images as a Python object, such as a data set of PyTorch.

    An example is an image [H, W], [H, W, C] or [C, H, W] of numpy, JAX, torch or Pillow; or (image, labels), where
    labels are a number, a string, a list or a dictionary of them; or a dictionary with an image and labels.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Options(Data):
    """The options of a data set: the section `data` of a config. A set refuses the keys that it does not understand.

    Raises UserError for a value that fails its field's check, for a resolution that is not a multiple of 16, and for
    bits below 8 or beside `scale`.

    Attributes:
      path: your own images, or a copy of a published set that TFDS prepared.
      download: whether published files that are missing are fetched.
      examples: your own images as a Python object.
    """

    path: Path | None = None  # type: ignore[assignment]  # of a config it is text
    download: bool = flag(False, "fetch published files that are missing")
    examples: Examples | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields("data.", self)
        if 0 < self.bits < 8 or (self.bits and self.scale):
            raise UserError(f"data.bits: {self.bits} must be 0, or from 8 to 16 without data.scale.")
        if self.resolution % pixels.STEP:
            nearest = -(-self.resolution // pixels.STEP) * pixels.STEP
            side = f"{self.resolution} must be 0 or a multiple of {pixels.STEP}"
            raise UserError(f"data.resolution: {side}; {nearest} pads images of {self.resolution}x{self.resolution}.")

    @property
    def images_path(self) -> Path:
        """`path`, of a set that needs one. Raises UserError if it is missing."""
        if self.path is None:
            raise UserError("data.path: missing; --config.data.path=PLACE names your own images.")
        return self.path


OPTIONS = [field.name for field in dataclasses.fields(Options) if field.name != "examples"]  # that `load` takes by name


def names() -> list[str]:
    """Returns the names that `load` takes."""
    return registry.modules(sys.modules[__name__])


def load(
    name: str | Examples, directory: str | Path = CACHE, *, path: str | Path | None = None, **options: Any
) -> Dataset:
    """Returns the data set `name`, or that of a Python object.

    Args:
      name: a data set of `scaledis list`; or a Python object with your own images, see `Examples`.
      directory: where published files, prepared sets and caches are.
      path: your own images, or a copy of a published set that TFDS prepared.
      **options: the other fields of `Options`: `download`, `resolution`, `scale`, ...

    Raises:
      UserError: the name or an option is unknown, or the set does not understand the option.
      UserError: a path is missing or cannot exist, or the images cannot have the resolution.
      UserError: the images are nearly black, because their pixels are 0 and 1.
      UserError: a published file is missing, see `_builders.prepare.load`.

    >>> dataset = load("rendered_dsprites")
    >>> dataset.images(np.arange(3)).shape
    (3, 64, 64, 1)
    """
    given: Examples | None = None
    module_name: Any = name  # which may be no string at all
    if isinstance(name, Examples) and not isinstance(name, str):
        is_huggingface = type(name).__module__.partition(".")[0] == "datasets"
        given, module_name = name, "huggingface" if is_huggingface else "examples"
    module = registry.module("data.name", sys.modules[__name__], module_name)
    for key in options:
        registry.check("data", key, OPTIONS)
    own_path = None if path is None or (isinstance(path, str) and not path) else expanded("data.path", path)
    wanted = Options(path=own_path, examples=given, **{key: values.plain(value) for key, value in options.items()})
    understood = {"download", "resolution", *getattr(module, "OPTIONS", ())}
    for field in dataclasses.fields(Options):
        value = getattr(wanted, field.name)
        if field.name not in understood and value != field.default:
            raise UserError(f"data.{field.name}: {str(value)!r} is not understood by {module_name}.")
    try:
        dataset = module.load(expanded("data.directory", directory), wanted)
        if not wanted.scale:
            remedy = "data.scale=True multiplies them by 255" if "scale" in understood else "scale them first"
            _check_bright(dataset, remedy)
    except UserError as error:
        if given is None:
            raise
        raise UserError(f"name: {error}") from error
    return dataset if wanted.resolution in (0, dataset.image_shape[0]) else dataset.at(wanted.resolution)


def _check_bright(dataset: Dataset, remedy: str) -> None:
    """Raises UserError for stored images without a pixel above 1; the first bright block ends the search."""
    blocks = np.array_split(np.arange(dataset.size), max(1, -(-dataset.size // 1000)))
    if isinstance(dataset.source, np.ndarray) and not any((dataset.images(block) > 1).any() for block in blocks):
        raise pixels.dark(dataset.name, 1, remedy)


def expanded(key: str, path: str | Path) -> Path:
    """The path with `~` and `~user` replaced by a home directory. Raises UserError if it cannot exist."""
    try:
        expanded = Path(path).expanduser()
        with contextlib.suppress(FileNotFoundError):  # it may be made
            expanded.lstat()
        return expanded
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{key}: {reprlib.repr(str(path))} cannot be used: {reason}") from error
