"""Pytrees of arrays by the paths of their leaves, as a checkpoint and its manifest hold them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaledis.core import UserError, hosts, version

WIDE, NARROW = "64[", "32["  # types in a structure; version 0.2 wrote wide ones under jax_enable_x64


class OtherStructure(UserError):
    """A checkpoint is whole, but of another state than expected."""


def flat(tree: Any) -> dict[str, Any]:
    """Returns a pytree as {path of a leaf: leaf}."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def unflat(leaves: Mapping[str, Any], like: Any) -> Any:
    """Returns a pytree like `like` with the leaves {path of a leaf: leaf}."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in flat(like)])


def structure(tree: Any) -> dict[str, str]:
    """Returns {path of a leaf: its dtype and shape}."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in flat(tree).items()}


def shape_of(description: str, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    """Returns the shape that an entry of `structure` describes."""
    dtype, _, shape = description.partition("[")
    return jax.ShapeDtypeStruct(json.loads(f"[{shape}"), dtype, sharding=sharding)


def unknown(leaf: Any) -> jax.Array:
    """Returns an array like `leaf` of NaN, or of -1 if it holds whole numbers."""
    value = np.nan if np.issubdtype(leaf.dtype, np.floating) else -1
    return hosts.place(np.full(leaf.shape, value).astype(leaf.dtype), leaf.sharding)


def check(folder: Path, manifest: Mapping[str, Any], like: Any, apart: str | None = None) -> set[str]:
    """Returns the paths of arrays that differ from those of `like`. Raises OtherStructure for one not below `apart`."""
    held = {name: each.replace(WIDE, NARROW) for name, each in manifest["structure"].items()}  # reading rounds
    wanted = structure(like)
    differing = {name for name, _ in held.items() ^ wanted.items()}
    needed = sorted(name for name in differing if apart is None or not name.startswith(apart))
    if needed:
        first = needed[0]
        raise OtherStructure(
            f"The checkpoint {folder}, written by version {manifest['version']}, has another structure than version "
            f"{version.VERSION} expects: {len(needed)} arrays differ, such as {first}, which is "
            f"{held.get(first, 'missing')} there and {wanted.get(first, 'missing')} here."
        )
    return differing
