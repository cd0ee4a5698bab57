"""Adam with gradient clipping, and the schedules that may drive the weights of an objective; all from optax."""

import re
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import optax
from jax import Array

from scaledis.core import UserError, registry
from scaledis.types import Pytree

LEAST_PRECISION = 1e-3  # share of 1 / sigma^2 where its schedule is 0
SCHEDULES: dict[str, Callable[[int, float], optax.Schedule]] = {
    "constant": lambda steps, least: optax.constant_schedule(1.0),
    "linear": lambda steps, least: optax.linear_schedule(1.0, least, steps),
    "cosine": lambda steps, least: optax.cosine_decay_schedule(1.0, steps, least),
    "warmup": lambda steps, least: optax.linear_schedule(least, 1.0, steps),
    "warmup_cosine": lambda steps, least: optax.warmup_cosine_decay_schedule(
        least, 1.0, max(steps // 20, 1), max(steps, 2), least
    ),
}


def make_schedule(key: str, spec: str, steps: int) -> optax.Schedule:
    """Returns step -> factor in [least, 1] for "name" (over all `steps`), "name:n" (the first n) or "name:n:least".

    linear and cosine fall from 1 to least, warmup rises from least to 1 and stays, warmup_cosine rises over the first
    twentieth and falls; least is 0 by default. "warmup:5000:0.25" of the precision takes sigma from twice
    its value down to it. Raises UserError for anything else.
    """
    make = registry.choose(key, str(spec).partition(":")[0], SCHEDULES)
    found = re.fullmatch(r"\w+(?::([1-9][0-9]{0,8})(?::(0?\.[0-9]{1,9}))?)?", str(spec), re.ASCII)
    if not found:
        raise UserError(
            f"{key}: {spec!r} must be a schedule, perhaps with a number of steps below 10^9 and its least factor, a "
            "decimal fraction, such as warmup:1000 or warmup:1000:0.25."
        )
    length, least = found.groups()
    return make(int(length or steps), float(least or 0))


def at_step(values: Mapping[str, Array], schedules: Mapping[str, optax.Schedule], step: Array) -> dict[str, Array]:
    """Returns the values at `step`. A schedule multiplies what its weight adds to the ELBO, which is beta - 1 for beta.

    `precision` drives the likelihood's 1 / sigma^2, which stays above 0 so that sigma is finite.
    """

    def driven(name: str, value: Array) -> Array:
        none = 1.0 if name == "beta" else 0.0
        return none + (value - none) * jnp.asarray(schedules[name](step))

    now = {name: driven(name, value) if name in schedules else value for name, value in values.items()}
    if "precision" in schedules:
        now["sigma"] = values["sigma"] / jnp.sqrt(jnp.maximum(schedules["precision"](step), LEAST_PRECISION))
    return now


def make_adam(b1: float = 0.9, b2: float = 0.999) -> optax.GradientTransformation:
    """Returns Adam without its learning rate, which a run carries as an array."""
    return optax.chain(optax.identity(), optax.scale_by_adam(b1, b2))


def clip(gradient: Pytree, norm: float) -> Pytree:
    """Returns the gradient, scaled down to a global norm of at most `norm`; 0 leaves it unchanged."""
    return optax.clip_by_global_norm(norm).update(gradient, optax.EmptyState())[0] if norm else gradient


def descend(params: Pytree, direction: Pytree, learning_rate: Array | float) -> Pytree:
    """Returns params - learning_rate * direction."""
    return optax.apply_updates(params, optax.tree.scale(-learning_rate, direction))
