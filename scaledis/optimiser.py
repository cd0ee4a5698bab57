"""Adam with gradient clipping, and the schedules of the learning rate; all from optax."""

from collections.abc import Callable

import optax
from jax import Array

SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "linear": lambda steps: optax.linear_schedule(1.0, 0.0, steps),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, steps),
}


def adam(clip: float) -> optax.GradientTransformation:
    """Adam's direction, without the learning rate, which a run carries as an array. `clip`: global norm, 0 for none."""
    clipping = optax.clip_by_global_norm(clip) if clip else optax.identity()
    return optax.chain(clipping, optax.scale_by_adam())


def descend(params, direction, learning_rate: Array):
    """params - learning_rate * direction."""
    return optax.apply_updates(params, optax.tree.scale(-learning_rate, direction))
