"""Adam with gradient clipping, and the schedules that may drive the weights of an objective; all from optax."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from scaledis import registry
from scaledis.errors import UserError

LEAST_PRECISION = 1e-3  # share of 1 / sigma^2 where its schedule is at 0
SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "linear": lambda steps: optax.linear_schedule(1.0, 0.0, steps),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, steps),
    "warmup": lambda steps: optax.linear_schedule(0.0, 1.0, steps),
    "warmup_cosine": lambda steps: optax.warmup_cosine_decay_schedule(0.0, 1.0, max(steps // 20, 1), steps),
}


def make_schedule(key: str, spec: str, steps: int) -> optax.Schedule:
    """step -> factor in [0, 1], from "name" (over all `steps`) or "name:n" (over the first n), e.g. "warmup:1000".

    linear and cosine fall from 1 to 0, warmup rises from 0 to 1 and stays, warmup_cosine rises over the first
    twentieth and falls. Raises UserError for anything else.
    """
    name, _, length = str(spec).partition(":")
    make = registry.choose(key, name, SCHEDULES)
    if length and not (length.isdecimal() and len(length) < 10 and int(length) > 0):
        raise UserError(f"{key}: {spec!r} must be a schedule and a number of steps below 10^9, such as {name}:1000.")
    return make(int(length) if length else steps)


def at_step(values: Mapping[str, Array], schedules: Mapping[str, optax.Schedule], step: Array) -> dict[str, Array]:
    """The values at `step`: a schedule multiplies what its weight adds to the ELBO, which for beta is beta - 1.

    `precision` drives the likelihood's 1 / sigma^2, which stays above 0 so that sigma is finite.
    """

    def driven(name: str, value: Array) -> Array:
        none = 1.0 if name == "beta" else 0.0
        return none + (value - none) * schedules[name](step)

    now = {name: driven(name, value) if name in schedules else value for name, value in values.items()}
    if "precision" in schedules:
        now["sigma"] = values["sigma"] / jnp.sqrt(jnp.maximum(schedules["precision"](step), LEAST_PRECISION))
    return now


def make_adam(b1: float = 0.9, b2: float = 0.999) -> optax.GradientTransformation:
    """Adam's direction, without the learning rate, which a run carries as an array."""
    return optax.chain(optax.identity(), optax.scale_by_adam(b1, b2))


def clip(gradient: Any, norm: float) -> Any:
    """The gradient, scaled down to a global norm of at most `norm`; 0 leaves it as it is."""
    return optax.clip_by_global_norm(norm).update(gradient, optax.EmptyState())[0] if norm else gradient


def descend(params: Any, direction: Any, learning_rate: Array | float) -> Any:
    """params - learning_rate * direction."""
    return optax.apply_updates(params, optax.tree.scale(-learning_rate, direction))
