"""Adam with gradient clipping, and the schedules that may drive the weights of an objective; all from optax."""

from collections.abc import Callable, Mapping

import optax
from jax import Array

from scaledis import registry
from scaledis.errors import UserError

SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "linear": lambda steps: optax.linear_schedule(1.0, 0.0, steps),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, steps),
    "warmup": lambda steps: optax.linear_schedule(0.0, 1.0, steps),
    "warmup_cosine": lambda steps: optax.warmup_cosine_decay_schedule(0.0, 1.0, max(steps // 20, 1), steps),
}


def schedule(key: str, spec: str, steps: int) -> optax.Schedule:
    """step -> factor in [0, 1], from "name" (over all `steps`) or "name:n" (over the first n), e.g. "warmup:1000".

    linear and cosine fall from 1 to 0, warmup rises from 0 to 1 and stays, warmup_cosine rises over the first
    twentieth and falls. Raises UserError for what is none of these.
    """
    name, _, length = spec.partition(":")
    make = registry.choose(key, name, SCHEDULES)
    if length and not (length.isdigit() and int(length) > 0):
        raise UserError(f"{key}: {spec!r} must be a schedule and a positive number of steps, such as {name}:1000.")
    return make(int(length) if length else steps)


def scheduled(values: Mapping[str, Array], schedules: Mapping[str, optax.Schedule], step: Array) -> dict[str, Array]:
    """The values at `step`: a schedule multiplies what its weight adds to the ELBO, which for beta is beta - 1."""

    def at_step(name: str, value: Array) -> Array:
        none = 1.0 if name == "beta" else 0.0
        return none + (value - none) * schedules[name](step)

    return {name: at_step(name, value) if name in schedules else value for name, value in values.items()}


def adam(clip: float, b1: float = 0.9, b2: float = 0.999) -> optax.GradientTransformation:
    """Adam's direction, without the learning rate, which a run carries as an array. `clip`: global norm, 0 for none."""
    clipping = optax.clip_by_global_norm(clip) if clip else optax.identity()
    return optax.chain(clipping, optax.scale_by_adam(b1, b2))


def descend(params, direction, learning_rate: Array):
    """params - learning_rate * direction."""
    return optax.apply_updates(params, optax.tree.scale(-learning_rate, direction))
