"""Methods that follow the gradient of one loss, and whatever learns beside it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from scaledis import optimiser
from scaledis.methods import Codes, Method

if TYPE_CHECKING:
    from scaledis.config import Config

Hyperparameters = dict[str, Array]
Terms = dict[str, Array]


class State(NamedTuple):
    """A run: parameters and their optimiser, what the method carries beside them, and what drives both.

    memory: discriminators with their optimisers, banks of posteriors, capacities, stages; () for most methods.
    """

    params: Any
    optimiser: Any
    memory: Any
    step: Array
    hyperparameters: Hyperparameters


class Objective(NamedTuple):
    """What a method descends.

    init: (key, hyperparameters) -> (params, memory).
    loss: (params, memory, hyperparameters, step, images, key) -> (loss, (terms, seen)); memory gets no gradient.
    remember: (memory, hyperparameters, step, seen, key) -> (memory, terms); after the step, from what the loss saw.
    encode: (state, images) -> Codes.
    decode: (state, codes) -> images.
    """

    init: Callable[[Array, Hyperparameters], tuple[Any, Any]]
    loss: Callable[[Any, Any, Hyperparameters, Array, Array, Array], tuple[Array, tuple[Terms, Any]]]
    remember: Callable[[Any, Hyperparameters, Array, Any, Array], tuple[Any, Terms]]
    encode: Callable[[State, Array], Codes]
    decode: Callable[[State, Array], Array]


def descending(objective: Objective, config: "Config") -> Method:
    """The Method that takes one Adam step down the loss, then lets the memory follow."""
    adam = optimiser.adam(config.train.gradient_clip)
    schedules = {
        name: optimiser.schedule(f"schedule.{name}", spec, config.train.steps)
        for name, spec in vars(config.schedule).items()
    }

    def init(key, hyperparameters):
        params, memory = objective.init(key, hyperparameters)
        return State(params, adam.init(params), memory, jnp.zeros((), jnp.int32), hyperparameters)

    def update(state, images, key):
        params, _, memory, step, _ = state
        now = optimiser.scheduled(state.hyperparameters, schedules, step)
        gradient, (terms, seen) = jax.grad(objective.loss, has_aux=True)(params, memory, now, step, images, key)
        direction, adam_state = adam.update(gradient, state.optimiser)
        params = optimiser.descend(params, direction, now["learning_rate"])
        memory, more = objective.remember(memory, now, step, seen, jax.random.fold_in(key, 1 << 30))
        terms |= more | {"gradient_norm": optax.tree.norm(gradient), "learning_rate": now["learning_rate"]}
        return State(params, adam_state, memory, step + 1, state.hyperparameters), terms

    return Method(init, update, objective.encode, objective.decode)
