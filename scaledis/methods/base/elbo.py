"""The loss, the step and the state of a method that follows a gradient: L = L_rec + w R, in nats per image.

R is the penalty with the plain KL in it, and w = 1 - exp(-step / kl_warmup) keeps the top level, the deepest path,
alive while it learns (Zhao et al. 2017).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from jax import Array

from scaledis.core import UserError
from scaledis.core.streams import stream
from scaledis.methods.base import optimizer
from scaledis.methods.base.autoencoder import Autoencoder, Params, sigma_of
from scaledis.objectives import gaussian, partition
from scaledis.types import Batch, Config, Hyperparameters, Method, Penalty, Posterior, Pytree, State, Terms

Presence = Callable[[Hyperparameters, Array], Array]  # (hyperparameters, step) -> presence [L] of each level
Loss = Callable[[Params, Pytree, Hyperparameters, Batch, Array], tuple[Array, tuple[Terms, Pytree]]]
UpdateExtra = Callable[[Hyperparameters, Pytree, Pytree, Array], tuple[Pytree, Terms]]


def kl_of_units(posterior: Posterior) -> Array:
    """Returns KL(q(z_j | x) || p(z_j)) of each unit, [B, K]."""
    return gaussian.kl_to_standard(posterior.mean, posterior.log_variance)


def mean_kl(posterior: Posterior) -> Array:
    """Returns KL(q(z | x) || p(z)) of the batch, in nats per image."""
    return kl_of_units(posterior).sum(1).mean()


def stateless(value: Callable[[Hyperparameters, Posterior, Array], tuple[Array, Terms]]) -> Penalty:
    """Returns the penalty of (hyperparameters, posterior, key) -> (R, terms), which carries nothing between steps."""
    return Penalty(
        init=lambda key, hyperparameters, levels: (),
        value=lambda hyperparameters, extra, posterior, key: value(hyperparameters, posterior, key),
        update=lambda hyperparameters, extra, posterior, key: (extra, {}),
    )


def kl_weight(hyperparameters: Hyperparameters, step: Array) -> Array:
    """Returns w = 1 - exp(-step / kl_warmup), and 1 where kl_warmup is 0."""
    length = hyperparameters["kl_warmup"]
    return jnp.where(length > 0, -jnp.expm1(-step / jnp.maximum(length, 1e-6)), 1.0)


def elbo_terms(reconstruction: Array, kl: Array, sigma: Array) -> Terms:
    """Returns the terms that every method logs, in nats per image: the ELBO and its two terms, and sigma.

    In a progressive ladder they are those of the whole ladder: the KL of an absent level, which nothing reads, counts
    and loosens the bound. `pro_vlae.progressive_scale_aware` says what they are while a level fades in.
    """
    return {"reconstruction_nats": reconstruction, "kl_nats": kl, "elbo_nats": -reconstruction - kl, "sigma": sigma}


def per_level(name: str, values: Array) -> Terms:
    """Returns values [L] in nats as one term each: level L at the top, level 1 at the bottom."""
    return {f"{name}_level{len(values) - index}_nats": value for index, value in enumerate(values)}


def united(*several: Terms) -> Terms:
    """Returns all terms as one. Raises UserError for a name that occurs twice: one would take the other's place."""
    names = [name for terms in several for name in terms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"terms: {name!r} is logged by another part of the method already; choose another name.")
    return {name: term for terms in several for name, term in terms.items()}


def make_penalized_method(
    config: Config, model: Autoencoder, penalty: Penalty, presence_of: Presence | None = None
) -> Method:
    """Returns the Method of L = L_rec + w R. `presence_of` is that of `make_at_step`."""

    def levels(hyperparameters: Hyperparameters) -> Array:
        return jnp.asarray(partition.levels(config.model.allocation)) * hyperparameters["active"]

    def init(key: Array, hyperparameters: Hyperparameters) -> tuple[Params, Pytree]:
        extra = penalty.init(stream(key, "penalty"), hyperparameters, levels(hyperparameters))
        return model.init(stream(key, "network"), hyperparameters), extra

    def loss(
        params: Params, extra: Pytree, hyperparameters: Hyperparameters, batch: Batch, key: Array
    ) -> tuple[Array, tuple[Terms, Posterior]]:
        forward = model.forward(params, hyperparameters, batch.images, stream(key, "noise"))
        nll = model.negative_log_likelihood(params, hyperparameters, forward.output, forward.pixels)
        reconstruction = nll.mean()

        codes = forward.codes, forward.mean, forward.log_variance
        posterior = Posterior(*codes, levels(hyperparameters), batch.number)
        regularization, parts = penalty.value(hyperparameters, extra, posterior, stream(key, "penalty"))

        weight = hyperparameters["kl_weight"]
        total = reconstruction + weight * regularization
        terms = elbo_terms(reconstruction, mean_kl(posterior), sigma_of(params, hyperparameters))
        terms = {"loss_nats": total, **terms, "regularization_nats": regularization, "kl_weight": weight}
        return total, (united(terms, parts), jax.lax.stop_gradient(posterior))

    return make_gradient_method(config, model, init, [loss], penalty.update, presence_of)


def make_at_step(config: Config, presence_of: Presence | None) -> Callable[[State], Hyperparameters]:
    """Returns the function from a state to the hyperparameters of its step.

    They are those of the run, driven by their schedules, with `kl_weight` w and `presence` [L], how far each level has
    faded in. `presence_of` is (hyperparameters, step) -> presence; by default every level is present.
    """
    specs, steps = vars(config.schedule), config.train.steps
    schedules = {name: optimizer.make_schedule(f"schedule.{name}", spec, steps) for name, spec in specs.items()}

    def at_step(state: State) -> Hyperparameters:
        carried, step = state.hyperparameters, state.step
        presence = presence_of(carried, step) if presence_of else jnp.ones(len(config.model.allocation))
        added = {"kl_weight": kl_weight(carried, step), "presence": presence}
        return optimizer.at_step(carried, schedules, step) | added

    return at_step


def make_gradient_method(
    config: Config,
    model: Autoencoder,
    init: Callable[[Array, Hyperparameters], tuple[Params, Pytree]],
    losses: Sequence[Loss],
    update_extra: UpdateExtra,
    presence_of: Presence | None = None,
) -> Method:
    """Returns the Method that takes one Adam step down the sum of its losses, then updates what it carries.

    A level that was present in the last update, however little, is wholly present when the method encodes or decodes.

    Args:
      model: encodes and decodes.
      init: (key, hyperparameters) -> (params, extra).
      losses: (params, extra, hyperparameters of the step, batch, key) -> (loss, (terms, seen)). The gradient of each
        is clipped apart from the others'.
      update_extra: (hyperparameters, extra, seen, key) -> (extra, terms); `seen` is that of the last loss.
      presence_of: that of `make_at_step`.
    """
    adam, clip, at_step = optimizer.make_adam(), config.train.gradient_clip, make_at_step(config, presence_of)

    def start(key: Array, hyperparameters: Hyperparameters) -> State:
        params, extra = init(key, hyperparameters)
        return State(params, adam.init(params), extra, jnp.zeros((), jnp.int32), hyperparameters)

    def update(state: State, batch: Batch, key: Array) -> tuple[State, Terms]:
        now = at_step(state)
        terms: Terms = {}
        gradients, seen = [], None
        for loss in losses:
            gradient, (found, seen) = jax.grad(loss, has_aux=True)(state.params, state.extra, now, batch, key)
            gradients.append(gradient)
            terms = united(terms, found)
        clipped = [optimizer.clip(gradient, clip) for gradient in gradients]
        direction, adam_state = adam.update(jax.tree.map(lambda *parts: sum(parts), *clipped), state.optimizer)
        params = optimizer.descend(state.params, direction, now["learning_rate"])
        extra, more = update_extra(now, state.extra, seen, stream(key, "extra"))
        own = {"gradient_norm": optax.tree.norm(gradients[0]), "learning_rate": now["learning_rate"]}
        return State(params, adam_state, extra, state.step + 1, state.hyperparameters), united(terms, more, own)

    def whole(state: State) -> Hyperparameters:
        last = at_step(state._replace(step=jnp.maximum(state.step - 1, 0)))
        return last | {"presence": jnp.ceil(last["presence"])}

    return Method(
        start,
        update,
        encode=lambda state, images: model.encode(state.params, whole(state), images),
        decode=lambda state, codes: model.decode(state.params, whole(state), codes),
    )
