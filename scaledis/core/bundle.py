"""A folder of named arrays and the facts about them: `model.safetensors`, and `model.json` with checksums of both."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core import UserError, files, safetensors

ARRAYS, ABOUT, SUM = "model.safetensors", "model.json", "sha256"


def write(folder: Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes both files, and replaces older ones. Raises UserError if they cannot be written."""
    data = safetensors.dumps(arrays)
    files.write_bytes(folder / ARRAYS, data)
    files.write_sealed(folder / ABOUT, {**about, SUM: hashlib.sha256(data).hexdigest()})


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the facts and the arrays. Raises UserError, naming the file, if one of both is missing or damaged."""
    about = files.read_json(folder / ABOUT, SUM, needs_seal=True)
    data = files.read_bytes(folder / ARRAYS)
    if hashlib.sha256(data).hexdigest() != about.pop(SUM):
        raise UserError(f"{folder / ARRAYS} is damaged: it is not the file that {ABOUT} was written with.")
    try:
        return about, safetensors.loads(data)
    except UserError as error:
        raise UserError(f"{folder / ARRAYS} is damaged: {error}.") from error
