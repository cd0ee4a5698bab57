"""Methods with a discriminator: of codes (FactorVAE) and of images (DAVA)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaledis import density_ratio, gaussian
from scaledis.density_ratio import Adversary
from scaledis.methods import Hyperparameter, Recipe
from scaledis.methods._dependence import Weights, weighing
from scaledis.methods._descent import Objective, descending
from scaledis.methods._elbo import autoencoder, blank, sigma_of
from scaledis.networks import discriminator


def adversarial_total_correlation(hyperparameters, inference):
    """The FactorVAE (Kim and Mnih 2018, Disentangling by Factorising).

        R = KL(q(z | x) || p(z)) + gamma E[ log D(z) - log (1 - D(z)) ]

    The discriminator D tells codes from codes whose units were shuffled over the batch: its logit estimates TC(q(z)).
    It learns after the autoencoder, from codes without gradient; shuffled are those of the second half of the batch, so
    that the two classes share no image. The autoencoder learns from the whole batch. (Published codes either draw a
    second batch, halve the autoencoder's, or shuffle the same codes; ours is the first at half the images.)
    """
    return Weights(intra=hyperparameters["gamma"])


def _enough_images(config):
    density_ratio.check_batch(config.train.batch)
    return {}


factor_vae = Recipe(
    weighing(adversarial_total_correlation, estimator="density_ratio"),
    adversarial_total_correlation,
    about="gamma TC(z) by a discriminator of codes: the FactorVAE (Kim and Mnih 2018).",
    hyperparameters={"gamma": Hyperparameter(10.0, "weight of the total correlation, beside the KL's own")},
    arrays=_enough_images,
)


class Memory(NamedTuple):
    """What DAVA carries: the image discriminator, its accuracy on the last batch, and the capacity C, nats per unit."""

    adversary: Adversary
    accuracy: Array
    capacity: Array


class Seen(NamedTuple):
    """What the discriminator learns from: images decoded from codes and from shuffled codes, [C, H, W, B]."""

    decoded: Array
    shuffled: Array


RISES, HOLDS = 0.501, 0.51  # accuracies up to which the capacity rises, and holds; above it falls
FAKE = 0.6  # a probability from which an image counts as decoded from codes
SMOOTHING = 0.6  # the discriminator's labels lie up to this far from 0 and 1


def next_capacity(capacity: Array, accuracy: Array, step: Array, highest: Array) -> Array:
    """C + step where the discriminator is no better than chance, C where it hardly is, C - step where it is."""
    move = jnp.where(accuracy <= RISES, 1.0, jnp.where(accuracy <= HOLDS, 0.0, -1.0))
    return jnp.minimum(capacity + move * step, highest)


def resampled(codes: Array, key: Array) -> Array:
    """Codes [B, K] whose every unit is drawn from the batch's own values of that unit, with replacement."""
    keys = jax.vmap(lambda unit: jax.random.fold_in(key, unit))(jnp.arange(codes.shape[1]))
    index = jax.vmap(lambda key: jax.random.randint(key, (len(codes),), 0, len(codes)), out_axes=1)(keys)
    return jnp.take_along_axis(codes, index, axis=0)


def with_image_discriminator(config, dataset):
    """DAVA (Estermann and Wattenhofer 2023, Disentangling Adversarial Variational Autoencoder).

        L = L_rec + gamma |mean_j KL(q(z_j | x) || p(z_j)) - C|^4
            + encoder v CE(D(x_z), shuffled) + decoder min(v, 1) CE(D(x_s), not shuffled)
        v = max(100 (accuracy of D - 1/2), 0)

    x_z is decoded from codes z, x_s from codes whose every unit was drawn from the batch anew, with replacement. The
    third term moves the encoder only and the fourth the decoder only. The image discriminator D learns after them, with
    labels smoothed by up to 0.6. C moves by `capacity_step`: up while D's accuracy is at most .501, down above .51,
    and never beyond `highest_capacity` nats per unit. The published code takes the adversarial terms in a step of their
    own; here they are in the same one. There is no warm-up of the KL: C starts at 0.
    """
    model = autoencoder(config, dataset)
    network = discriminator.OfImages(config.model.channels)

    def init(key, hyperparameters):
        params = network.init(jax.random.fold_in(key, 1), blank(dataset.image_shape))
        return model.init(key, hyperparameters), Memory(
            density_ratio.adversary(params), jnp.float32(0.5), jnp.zeros(())
        )

    def loss(params, memory, hyperparameters, step, images, key):
        active = hyperparameters["active"]
        pixels, mean, log_variance = model.infer(params, hyperparameters, images)
        codes = model.sample(hyperparameters, mean, log_variance, key)
        decoded = model.output(params, hyperparameters, codes)
        reconstruction = model.nats(params, hyperparameters, decoded, pixels).mean()

        kl = gaussian.kl_to_standard(mean, log_variance).sum(1).mean()
        penalty = (kl / active.sum() - memory.capacity) ** 4

        others = resampled(lax.stop_gradient(codes), jax.random.fold_in(key, 1 << 29))
        shuffled = model.output(params, hyperparameters, others)
        with_fixed_decoder = model.output(lax.stop_gradient(params), hyperparameters, codes)
        force = jnp.maximum(100 * (memory.accuracy - 0.5), 0)
        on_decoded, on_shuffled = (
            network.apply(memory.adversary.params, _image(output)) for output in (with_fixed_decoder, shuffled)
        )
        encoder = force * jax.nn.softplus(on_decoded).mean()
        decoder = jnp.minimum(force, 1) * jax.nn.softplus(-on_shuffled).mean()

        total = reconstruction + hyperparameters["gamma"] * penalty
        total += hyperparameters["encoder"] * encoder + hyperparameters["decoder"] * decoder
        terms = {
            "loss_nats": total,
            "reconstruction_nats": reconstruction,
            "kl_nats": kl,
            "elbo_nats": -reconstruction - kl,
            "sigma": sigma_of(params, hyperparameters),
            "capacity_penalty": penalty,
            "adversarial_encoder_nats": encoder,
            "adversarial_decoder_nats": decoder,
        }
        return total, (terms, lax.stop_gradient(Seen(_image(decoded), _image(shuffled))))

    def _image(output):
        return model.expected(output).transpose(3, 1, 2, 0)

    def remember(memory, hyperparameters, step, seen, key):
        smooth = SMOOTHING * jax.random.uniform(key, (2, seen.decoded.shape[-1]))

        def adversary_loss(params):
            on_decoded, on_shuffled = network.apply(params, seen.decoded), network.apply(params, seen.shuffled)
            nats = _cross_entropy(on_decoded, 1 - smooth[0]).mean() + _cross_entropy(on_shuffled, smooth[1]).mean()
            accuracy = 0.5 * jnp.mean(jax.nn.sigmoid(on_decoded) >= FAKE)
            return 0.5 * nats, accuracy + 0.5 * jnp.mean(jax.nn.sigmoid(on_shuffled) < FAKE)

        adversary, terms = density_ratio.follow(
            memory.adversary, adversary_loss, config.discriminator.learning_rate, "discriminator"
        )
        accuracy = terms["discriminator_accuracy"]
        step_size, highest = hyperparameters["capacity_step"], hyperparameters["highest_capacity"]
        capacity = next_capacity(memory.capacity, accuracy, step_size, highest)
        return Memory(adversary, accuracy, capacity), terms | {"capacity_per_unit_nats": capacity}

    return descending(Objective(init, loss, remember, model.encode, model.decode), config)


def _cross_entropy(logit: Array, label: Array) -> Array:
    return jax.nn.softplus(logit) - label * logit


dava = Recipe(
    with_image_discriminator,
    with_image_discriminator,
    about="a capacity that an image discriminator drives: DAVA (Estermann and Wattenhofer 2023).",
    hyperparameters={
        "gamma": Hyperparameter(500.0, "weight of the distance to the capacity, to the fourth power"),
        "highest_capacity": Hyperparameter(8.0, "highest C, nats per unit"),
        "capacity_step": Hyperparameter(4e-5, "how far C moves in a step, nats per unit; 4e-5 at batch 128"),
        "encoder": Hyperparameter(0.3, "weight of the encoder's adversarial term"),
        "decoder": Hyperparameter(0.001, "weight of the decoder's adversarial term"),
    },
    arrays=_enough_images,
)
