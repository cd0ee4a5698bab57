"""Methods that are one loss and one optimiser."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from scaledis import optimiser
from scaledis.methods import Codes, Method

if TYPE_CHECKING:
    from scaledis.config import Train


class State(NamedTuple):
    params: Any
    optimiser: Any
    step: Array
    hyperparameters: dict[str, Array]


def from_loss(
    init_params: Callable[[Array], Any],
    loss: Callable[[Any, dict[str, Array], Array, Array, Array], tuple[Array, dict[str, Array]]],
    encode: Callable[[Any, dict[str, Array], Array], Codes],
    decode: Callable[[Any, dict[str, Array], Array], Array],
    train: "Train",
) -> Method:
    """A Method that follows the gradient of `loss(params, hyperparameters, step, images, key) -> (loss, terms)`."""
    adam = optimiser.adam(train.gradient_clip)
    schedule = optimiser.SCHEDULES[train.schedule](train.steps)

    def init(key, hyperparameters):
        params = init_params(key)
        return State(params, adam.init(params), jnp.zeros((), jnp.int32), hyperparameters)

    def update(state, images, key):
        hyperparameters = state.hyperparameters
        gradient, terms = jax.grad(loss, has_aux=True)(state.params, hyperparameters, state.step, images, key)
        direction, adam_state = adam.update(gradient, state.optimiser)
        learning_rate = hyperparameters["learning_rate"] * schedule(state.step)
        params = optimiser.descend(state.params, direction, learning_rate)
        terms = terms | {"gradient_norm": optax.tree.norm(gradient), "learning_rate": learning_rate}
        return State(params, adam_state, state.step + 1, hyperparameters), terms

    return Method(
        init,
        update,
        lambda state, images: encode(state.params, state.hyperparameters, images),
        lambda state, codes: decode(state.params, state.hyperparameters, codes),
    )
