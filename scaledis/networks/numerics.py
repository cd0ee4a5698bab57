"""The number formats in which networks compute. Parameters, losses, log densities and the optimizer have float32."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax import Array

from scaledis.core import registry

# What `train.matmul_precision` is to JAX. A GPU multiplies float32 ("highest") or TensorFloat32 (the other two); a TPU
# takes six, three or one pass of bfloat16; a CPU always multiplies float32.
PRECISIONS = {"float32": "highest", "tf32": "high", "bfloat16": "default"}
ACTIVATIONS = {"float32": None, "bfloat16": jnp.bfloat16}  # None: as they come
_activations: ContextVar[str] = ContextVar("activations", default="float32")


@contextlib.contextmanager
def using(precision: str, activations: str) -> Iterator[None]:
    """Sets the precision of all products and the format of all layers that are traced within.

    The gradient of a layer must be traced within too. Raises UserError for an unknown name.
    """
    registry.check("activations", activations, ACTIVATIONS)
    token = _activations.set(activations)
    try:
        with jax.default_matmul_precision(registry.choose("precision", precision, PRECISIONS)):
            yield
    finally:
        _activations.reset(token)


def held(x: Array) -> Array:
    """Returns an array in the format of activations, unchanged outside of `using`."""
    return x.astype(ACTIVATIONS[_activations.get()] or x.dtype)
