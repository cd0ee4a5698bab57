"""What version 0.1.0 wrote: its checkpoints, and the shape of images that it did not write down."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from scaledis.errors import UserError

VERSION = "0.1.0"
NAMES = {"state": "method", "extra": "memory", "optimizer": "optimiser"}  # of fields: now -> then
DEPTH = 4  # convolutions of stride 2


def is_checkpoint(folder: Path) -> bool:
    return (folder / "default" / "manifest.ocdbt").is_file()


def restore(folder: Path, like: Any) -> Any:
    """A checkpoint as a pytree of the structure of `like`.

    Raises UserError where it cannot be read. Without checksums nothing tells damage from another structure.
    """
    with ocp.StandardCheckpointer() as reader:
        try:
            found = reader.restore(folder / "default", _nested(like))
        except (ValueError, KeyError, TypeError) as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise UserError(f"The checkpoint {folder} of version {VERSION} cannot be read: {reason}.") from error
    leaves = [_at(found, path) for path, _ in jax.tree_util.tree_flatten_with_path(like)[0]]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def image_shape(folder: Path, channels: tuple[int, ...]) -> tuple[int, int, int]:
    """(H, W, C) of the images of a checkpoint, from the decoder's first and last layer; they are square.

    Raises UserError where it cannot be read.
    """
    with ocp.StandardCheckpointer() as reader:
        tree = reader.metadata(folder / "default")
    tree = getattr(tree, "item_metadata", tree)
    if tree is None:
        raise UserError(f"The checkpoint {folder} of version {VERSION} cannot be read: it has no metadata.")
    network = tree["method"]["params"]["network"]
    if "top_down" in network:
        _, _, height, width = network["top_down"]["top"].shape
        side, colors = height << DEPTH, network["top_down"]["f0"]["bias"].shape[-1]
    else:
        places = network["decoder"]["f"]["bias"].shape[-1] // channels[-1]
        side, colors = math.isqrt(places) << DEPTH, network["decoder"]["f0"]["bias"].shape[-1]
    return side, side, colors


def _nested(tree: Any) -> Any:
    """The pytree as nested dictionaries and lists with the names of then."""
    if hasattr(tree, "_fields"):
        return {NAMES.get(name, name): _nested(getattr(tree, name)) for name in tree._fields}
    if isinstance(tree, Mapping):
        return {name: _nested(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_nested(value) for value in tree]
    return tree


def _at(tree: Any, path: Any) -> Any:
    for key in path:
        if hasattr(key, "name"):
            tree = tree[NAMES.get(key.name, key.name)]
        else:
            tree = tree[key.key if hasattr(key, "key") else key.idx]
    return tree
