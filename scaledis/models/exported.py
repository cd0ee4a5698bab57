"""Exported models: encode and decode as programs, which need neither this package's networks nor a method's code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scaledis.core import UserError, files, kinds, portable, registry
from scaledis.training import model
from scaledis.types import Codes


class Exported(NamedTuple):
    """An exported model.

    encode: images uint8 [B, H, W, C] -> Codes, as numpy arrays.
    decode: codes [B, K] -> expected images float [B, H, W, C] in [0, 1], as a numpy array.
    about: the facts about the model, as in `Model.about`.

    encode and decode take arrays of any framework and any B, and raise the same errors as those of a Model.
    """

    encode: Callable[[Any], Codes]
    decode: Callable[[Any], np.ndarray]
    about: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Exported({self.about['config']['method']['name']}, step {self.about['step']})"


@kinds.checked
def load_exported(path: str | Path) -> Exported:
    """Loads the folder that `Model.export(path)` wrote in the format jax.

    Raises UserError for a folder of another format, for a file that is missing or damaged, and for a program that this
    version of JAX cannot read.

    >>> load_model().export("portable")
    >>> exported = load_exported("portable")
    >>> exported.decode(np.zeros((2, 10))).shape
    (2, 32, 32, 3)
    """
    folder = files.directory("path", path)
    if not (folder / portable.ABOUT).is_file():
        raise UserError(f"path: {registry.short(str(path))} has no {portable.ABOUT}, which Model.export writes.")
    about, functions = portable.read(folder)
    shape, levels = tuple(about["image_shape"]), np.asarray(about["levels"])

    def encode(images: np.ndarray) -> Codes:
        mean, log_variance = functions["encode"](images)
        return Codes(mean, log_variance, levels)

    def decode(codes: np.ndarray) -> Any:
        return functions["decode"](codes)[0]

    return Exported(model.checked_encode(encode, shape), model.checked_decode(decode, len(levels)), about)
