"""Small classifiers of a data set's factors, trained on its images once and stored beside its caches."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jax import Array

from scaledis.core import UserError, chunks, files, npz, runtime
from scaledis.core.progress import shown
from scaledis.datasets import Dataset, expanded
from scaledis.methods.base.autoencoder import as_pixels, blank
from scaledis.networks.classifier import OfFactors
from scaledis.networks.spec import apply
from scaledis.types import Pytree

VERSION = 1  # of the network and its training; raise it with every change, or stale classifiers are read
STEPS, BATCH, STRIDE = 1500, 64, 50  # STRIDE steps are compiled as one
LEARNING_RATE = 3e-3
TESTED, SHARE = 5000, 0.1  # test images, and their share of the data set, whichever are fewer
CHUNK = 500  # images classified at once

Classify = Callable[[np.ndarray], list[np.ndarray]]


class Classifiers(NamedTuple):
    """Classifiers of the factors of an image.

    classify: images [n, H, W, C] in [0, 1] -> the probabilities of every factor's values, [n, V_k] each.
    accuracy: float [F], the share of right answers on test images.
    """

    classify: Classify
    accuracy: np.ndarray


def of_dataset(dataset: Dataset, directory: str | Path) -> Classifiers:
    """Returns the classifiers of a data set, read from `directory`, or trained and stored there.

    One network classifies all factors: four convolutions and a layer of 256 units, trained by 1,500 steps of Adam on 64
    images each, blurred by random amounts, since decoders blur. Its file is named by the fingerprint and the resolution
    of the data set. On `rendered` at 32x32 training takes 41 s on one core, and 99.8 % of the answers are right for the
    hardest factor, the scale; a decoder that renders one factor per unit then has an edit selectivity of 0.995, or of
    0.988 if it blurs.

    Raises UserError for a data set without factors, and for a directory that cannot be written.
    """
    if not dataset.factor_names:
        raise UserError(f"{dataset.name} has no factors to classify")
    network = OfFactors(dataset.factor_sizes)
    height, width, _ = dataset.image_shape
    name = f"classifiers_v{VERSION}_{dataset.fingerprint}_{height}x{width}.npz"
    path = expanded("data.directory", directory) / name
    try:
        held = {key: npz.read(path, key) for key in npz.names(path)}
    except UserError:  # the file is missing or damaged
        held = train(network, dataset)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_arrays(path, **held)
        except OSError as error:
            raise UserError(f"data.directory: cannot write the classifiers to {path}: {error}") from error
    accuracy = held.pop("accuracy")
    params = traverse_util.unflatten_dict(held, sep="/")
    return Classifiers(lambda images: probabilities(network, params, images), accuracy)


def train(network: OfFactors, dataset: Dataset) -> dict[str, np.ndarray]:
    """Returns the trained parameters by their path, and `accuracy` [F] on test images."""
    rng = np.random.default_rng(0)
    order = rng.permutation(dataset.size)
    tested, trained = np.split(order, [max(1, min(TESTED, int(SHARE * dataset.size)))])
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, STEPS))

    def loss(params: Pytree, pixels: Array, factors: Array) -> Array:
        logits = apply(network, params, pixels)
        entropies = map(optax.softmax_cross_entropy_with_integer_labels, (each.T for each in logits), factors.T)
        return jnp.asarray(sum(each.mean() for each in entropies))

    def update(carried: Pytree, batch: Pytree) -> tuple[Pytree, None]:
        params, state = carried
        images, factors, strength = batch
        pixels = softened(as_pixels(images), strength)
        direction, state = optimizer.update(jax.grad(loss)(params, pixels, factors), state)
        return (optax.apply_updates(params, direction), state), None

    stride = jax.jit(lambda carried, batches: jax.lax.scan(update, carried, batches)[0], donate_argnums=0)
    params = network.init(jax.random.key(0, impl=runtime.KEYS), blank(dataset.image_shape))
    carried = params, optimizer.init(params)
    for _ in shown(range(STEPS // STRIDE), f"classifiers of {dataset.name}", STEPS // STRIDE):
        index = rng.choice(trained, STRIDE * BATCH).astype(np.int32)
        batches = dataset.images(index), dataset.factors(index), rng.random(len(index), np.float32)
        carried = stride(carried, jax.tree.map(lambda rows: rows.reshape(STRIDE, BATCH, *rows.shape[1:]), batches))
    params = jax.tree.map(np.asarray, carried[0])
    told = probabilities(network, params, dataset.images(tested) / np.float32(255))
    answers = np.stack([each.argmax(axis=1) for each in told], axis=1)
    accuracy = (answers == dataset.factors(tested)).mean(axis=0)
    return {**traverse_util.flatten_dict(params, sep="/"), "accuracy": accuracy}


def softened(pixels: Array, strength: Array) -> Array:
    """Pixels [C, H, W, B], each image mixed with its mean over 3x3 pixels by its strength [B]."""
    for axis in (1, 2):
        padded = jnp.pad(pixels, [(int(axis == place),) * 2 for place in range(4)], mode="edge")
        one, two, three = (jax.lax.slice_in_dim(padded, n, n + pixels.shape[axis], axis=axis) for n in range(3))
        pixels = (1 - strength) * two + strength * (one + two + three) / 3
    return pixels


def probabilities(network: OfFactors, params: Pytree, images: np.ndarray) -> list[np.ndarray]:
    """Images [n, H, W, C] in [0, 1] -> [n, V_k] for every factor, in chunks of one shape."""
    parts = [of_chunk(network, params, chunk) for chunk in chunks.chunked(images, CHUNK)]
    return [chunks.joined(factor, len(images)) for factor in zip(*parts, strict=True)]


@functools.partial(jax.jit, static_argnums=0)
def of_chunk(network: OfFactors, params: Pytree, images: Array) -> list[Array]:
    """Images [n, H, W, C] in [0, 1] -> [n, V_k] for every factor."""
    logits = apply(network, params, images.transpose(3, 1, 2, 0))
    return [jax.nn.softmax(each, axis=0).T for each in logits]
