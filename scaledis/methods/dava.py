"""DAVA: a capacity that an image discriminator drives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaledis.core.streams import each, stream
from scaledis.methods.base import optimizer
from scaledis.methods.base.adversary import Adversary, check_batch, follow, make_adversary
from scaledis.methods.base.autoencoder import Autoencoder, Params, blank, make_autoencoder, sigma_of
from scaledis.methods.base.elbo import Loss, UpdateExtra, elbo_terms, make_gradient_method
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.networks.discriminator import OfImages
from scaledis.networks.spec import apply
from scaledis.objectives import gaussian
from scaledis.types import Batch, Config, Hyperparameters, ImageSpec, Method, Pytree, Terms


class Extra(NamedTuple):
    """The extra state of DAVA: the image discriminator, its accuracy on the last batch, and C, in nats per unit."""

    adversary: Adversary
    accuracy: Array
    capacity: Array


class Seen(NamedTuple):
    """The images for the discriminator: pixels decoded from codes and from shuffled codes, [C, H, W, B]."""

    decoded: Array
    shuffled: Array


RISES, HOLDS = 0.501, 0.51  # accuracies up to which the capacity rises, and up to which it holds; above, it falls
ADAM = optimizer.make_adam()  # of the discriminator
ADVERSARY_CLIP = 1.0  # global norm of its gradient
FAKE = 0.6  # the least probability at which an image counts as decoded from codes
SMOOTHING = 0.6  # the discriminator's labels lie up to this far from 0 and 1


def next_capacity(capacity: Array, accuracy: Array, step: Array, highest: Array) -> Array:
    """Returns C + step if the discriminator is no better than chance, C if it is hardly better, else C - step."""
    move = jnp.where(accuracy <= RISES, 1.0, jnp.where(accuracy <= HOLDS, 0.0, -1.0))
    return jnp.minimum(capacity + move * step, highest)


def resample(codes: Array, key: Array) -> Array:
    """Returns codes [B, K] whose units are each drawn from the batch's values of that unit, with replacement."""
    keys = each(key, jnp.arange(codes.shape[1]))
    index = jax.vmap(lambda key: jax.random.randint(key, (len(codes),), 0, len(codes)), out_axes=1)(keys)
    return jnp.take_along_axis(codes, index, axis=0)


def build(config: Config, images: ImageSpec) -> Method:
    """DAVA (Estermann and Wattenhofer 2023, Disentangling Adversarial Variational Autoencoder).

        L = L_rec + gamma |mean_j KL(q(z_j | x) || p(z_j)) - C|^4
            + sum_batch [ encoder v CE(D(x_z), shuffled) + decoder min(v, 1) CE(D(x_s), not shuffled) ]
        v = max(100 (accuracy of D - 1/2), 0)

    x_z is decoded from codes z, x_s from codes whose units were each redrawn from the batch, with replacement. The
    third term trains only the encoder and the fourth only the decoder; both are sums over the batch, and their gradient
    is clipped separately from that of the first two terms. The image discriminator D learns afterwards, with labels
    smoothed by up to 0.6. C moves by `capacity_step`: up while the accuracy of D is at most .501, down while it is
    above .51, and never beyond `highest_capacity` nats per unit. The published code takes a separate Adam step down
    the adversarial terms; here one step takes both gradients. The KL has no warm-up: C starts at 0.
    """
    model = make_autoencoder(config, images)
    network = OfImages(config.model.channels)

    def init(key: Array, hyperparameters: Hyperparameters) -> tuple[Params, Extra]:
        params = network.init(stream(key, "adversary"), blank(images.shape))
        extra = Extra(make_adversary(params, ADAM), jnp.float32(0.5), jnp.zeros(()))
        return model.init(stream(key, "network"), hyperparameters), extra

    losses = [make_capacity_loss(model), make_adversarial_loss(model, network)]
    return make_gradient_method(config, model, init, losses, make_update_extra(config, network))


def make_capacity_loss(model: Autoencoder) -> Loss:
    """Makes the loss L_rec + gamma |mean_j KL(q(z_j | x) || p(z_j)) - C|^4."""

    def loss(
        params: Params, extra: Extra, hyperparameters: Hyperparameters, batch: Batch, key: Array
    ) -> tuple[Array, tuple[Terms, tuple[()]]]:
        forward = model.forward(params, hyperparameters, batch.images, stream(key, "noise"))
        nll = model.negative_log_likelihood(params, hyperparameters, forward.output, forward.pixels)
        kl = gaussian.kl_to_standard(forward.mean, forward.log_variance).sum(1).mean()
        penalty = (kl / hyperparameters["active"].sum() - extra.capacity) ** 4
        total = nll.mean() + hyperparameters["gamma"] * penalty
        terms = {"loss_nats": total, **elbo_terms(nll.mean(), kl, sigma_of(params, hyperparameters))}
        return total, (terms | {"capacity_penalty": penalty}, ())

    return loss


def make_adversarial_loss(model: Autoencoder, network: OfImages) -> Loss:
    """Makes the loss of the two sums over the batch, by which encoder and decoder learn from the discriminator."""

    def loss(
        params: Params, extra: Extra, hyperparameters: Hyperparameters, batch: Batch, key: Array
    ) -> tuple[Array, tuple[Terms, Seen]]:
        codes = model.forward(params, hyperparameters, batch.images, stream(key, "noise")).codes
        decoded = model.mean(model.output(lax.stop_gradient(params), hyperparameters, codes))
        others = resample(lax.stop_gradient(codes), stream(key, "shuffle"))
        shuffled = model.mean(model.output(params, hyperparameters, others))
        force = jnp.maximum(100 * (extra.accuracy - 0.5), 0)
        on_decoded, on_shuffled = (apply(network, extra.adversary.params, pixels) for pixels in (decoded, shuffled))
        encoder = force * jax.nn.softplus(on_decoded).sum()
        decoder = jnp.minimum(force, 1) * jax.nn.softplus(-on_shuffled).sum()
        total = hyperparameters["encoder"] * encoder + hyperparameters["decoder"] * decoder
        terms = {"adversarial_encoder": encoder, "adversarial_decoder": decoder}
        return total, (terms, lax.stop_gradient(Seen(decoded, shuffled)))

    return loss


def make_update_extra(config: Config, network: OfImages) -> UpdateExtra:
    """Makes the step of the discriminator, with labels smoothed by up to 0.6, and of the capacity after it."""

    def update_extra(hyperparameters: Hyperparameters, extra: Extra, seen: Seen, key: Array) -> tuple[Extra, Terms]:
        smooth = SMOOTHING * jax.random.uniform(key, (2, seen.decoded.shape[-1]))

        def loss(params: Pytree) -> tuple[Array, Array]:
            on_decoded, on_shuffled = apply(network, params, seen.decoded), apply(network, params, seen.shuffled)
            nats = cross_entropy(on_decoded, 1 - smooth[0]).mean() + cross_entropy(on_shuffled, smooth[1]).mean()
            accuracy = 0.5 * jnp.mean(jax.nn.sigmoid(on_decoded) >= FAKE)
            return 0.5 * nats, accuracy + 0.5 * jnp.mean(jax.nn.sigmoid(on_shuffled) < FAKE)

        adversary, terms = follow(extra.adversary, loss, ADAM, config.discriminator.learning_rate, ADVERSARY_CLIP)
        accuracy = terms["discriminator_accuracy"]
        move, highest = hyperparameters["capacity_step"], hyperparameters["highest_capacity"]
        capacity = next_capacity(extra.capacity, accuracy, move, highest)
        return Extra(adversary, accuracy, capacity), terms | {"capacity_per_unit_nats": capacity}

    return update_extra


def cross_entropy(logit: Array, label: Array) -> Array:
    """Returns -label log D - (1 - label) log(1 - D), in nats."""
    return jax.nn.softplus(logit) - label * logit


PUBLISHED = {  # the same for every data set
    "method.gamma": 500.0,
    "method.capacity_step": 4e-5,
    "train.batch": 128,
    "train.steps": 150_000,
    "train.gradient_clip": 1.0,
    "discriminator.learning_rate": 1e-4,
}

METHODS = {
    "dava": MethodSpec(
        build,
        equation_of(build),
        about="a capacity that an image discriminator drives: DAVA (Estermann and Wattenhofer 2023).",
        hyperparameters={
            "gamma": Hyperparameter(500.0, "weight of the distance to the capacity, to the fourth power"),
            "highest_capacity": Hyperparameter(8.0, "highest C, nats per unit"),
            "capacity_step": Hyperparameter(4e-5, "change of C in a step, in nats per unit; 4e-5 at batch 128"),
            "encoder": Hyperparameter(0.3, "weight of the encoder's adversarial term, a sum over the batch"),
            "decoder": Hyperparameter(0.001, "weight of the decoder's adversarial term, a sum over the batch"),
        },
        estimator=False,
        check=check_batch,
        widens=True,
        settings={"": {**FLAT, **PUBLISHED}},
    ),
}
