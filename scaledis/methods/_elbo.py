"""Methods of the form  L = L_rec + w R:  reconstruction, and a regulariser R of the codes, in nats per image.

w = 1 - exp(-step / kl_warmup) keeps the top level, the deepest path, alive while it learns (Zhao et al. 2017).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from scaledis import gaussian, objective, partition
from scaledis.methods import Codes, Method
from scaledis.methods._descent import Hyperparameters, Objective, Terms, descending
from scaledis.networks import ladder

if TYPE_CHECKING:
    from scaledis.config import Config
    from scaledis.datasets import Dataset

Progress = Callable[[Hyperparameters, Array], Array]  # (hyperparameters, step) -> presence [L] of each level, in [0, 1]


class Inference(NamedTuple):
    """What a regulariser sees of a batch.

    codes, mean, log_variance: [B, K], samples and the posteriors that they were drawn from.
    levels: [L, K], 0/1, the active units of each level.
    presence: [L], how far each level is faded in; 1 but for progressive methods.
    """

    codes: Array
    mean: Array
    log_variance: Array
    levels: Array
    presence: Array

    @property
    def kl(self) -> Array:
        """KL(q(z_j | x) || p(z_j)) of each unit, [B, K]."""
        return gaussian.kl_to_standard(self.mean, self.log_variance)

    @property
    def mean_kl(self) -> Array:
        """KL(q(z | x) || p(z)) of the batch, in nats per image."""
        return self.kl.sum(1).mean()


class Regulariser(NamedTuple):
    """R, and what it carries between steps.

    init: (key, hyperparameters, levels [L, K]) -> memory.
    nats: (hyperparameters, memory, inference, key) -> (R, terms).
    remember: (hyperparameters, memory, inference, key) -> (memory, terms).
    """

    init: Callable[[Array, Hyperparameters, Array], Any]
    nats: Callable[[Hyperparameters, Any, Inference, Array], tuple[Array, Terms]]
    remember: Callable[[Hyperparameters, Any, Inference, Array], tuple[Any, Terms]]


def forgetful(nats: Callable[[Hyperparameters, Inference, Array], tuple[Array, Terms]]) -> Regulariser:
    """A regulariser that is a function of (hyperparameters, inference, key) and carries nothing."""
    return Regulariser(
        init=lambda key, hyperparameters, levels: (),
        nats=lambda hyperparameters, memory, inference, key: nats(hyperparameters, inference, key),
        remember=lambda hyperparameters, memory, inference, key: (memory, {}),
    )


class Autoencoder(NamedTuple):
    """The ladder network with its likelihood, as pure functions. Pixels and outputs are [C, H, W, B].

    init: (key, hyperparameters) -> params.
    infer: (params, hyperparameters, images uint8 [B, H, W, C], presence) -> (pixels, mean [B, K], log_variance [B, K]).
    sample: (hyperparameters, mean, log_variance, key) -> codes [B, K].
    output: (params, hyperparameters, codes, presence) -> output, which the likelihood turns into pixels.
    nats: (params, hyperparameters, output, pixels) -> -log p(x | z), [B].
    expected: output -> images [B, H, W, C] in [0, 1].
    encode, decode: those of a Method, given the presence of the levels at the state's step.
    """

    init: Callable[[Array, Hyperparameters], Any]
    infer: Callable[..., tuple[Array, Array, Array]]
    sample: Callable[[Hyperparameters, Array, Array, Array], Array]
    output: Callable[..., Array]
    nats: Callable[[Any, Hyperparameters, Array, Array], Array]
    expected: Callable[[Array], Array]
    encode: Callable[..., Codes]
    decode: Callable[..., Array]


def blank(image_shape: tuple[int, int, int]) -> Array:
    """One image of zeros as networks take it, [C, H, W, 1]: parameters are drawn for it."""
    height, width, channels = image_shape
    return jnp.zeros((channels, height, width, 1))


def pixels_of(images: Array) -> Array:
    """uint8 [B, H, W, C] -> float [C, H, W, B] in [0, 1]."""
    return images.transpose(3, 1, 2, 0).astype(jnp.float32) / 255.0


def starting(network: Any, likelihood: objective.Likelihood, hyperparameters: Hyperparameters) -> dict[str, Any]:
    """A run's params: the network's, and the likelihood's where it learns its sigma."""
    return {"network": network} | ({"log_sigma": jnp.log(hyperparameters["sigma"])} if likelihood.learns_sigma else {})


def sigma_of(params: dict[str, Any], hyperparameters: Hyperparameters) -> Array:
    """The sigma of the likelihood, learned or given."""
    return jnp.exp(params["log_sigma"]) if "log_sigma" in params else hyperparameters["sigma"]


def autoencoder(config: "Config", dataset: "Dataset", rectifier: ladder.Rectifier = nn.relu) -> Autoencoder:
    """The autoencoder of a config: the ladder of its allocation."""
    allocation = config.model.allocation
    network = ladder.of_model(config.model, dataset.image_shape, rectifier)
    likelihood = objective.LIKELIHOODS[config.objective.likelihood]

    def init(key, hyperparameters):
        return starting(network.init(key, blank(dataset.image_shape))["params"], likelihood, hyperparameters)

    def infer(params, hyperparameters, images, presence=None):
        pixels = pixels_of(images)
        # A level that is not there yet reads the trunk all the same: its weighed KL trains it towards the prior.
        reads = None if presence is None else jnp.where(presence > 0, presence, 1.0)
        mean, log_variance = network.apply({"params": params["network"]}, pixels, reads, method="encode")
        active = hyperparameters["active"]
        return pixels, mean.T * active, log_variance.T * active

    def sample(hyperparameters, mean, log_variance, key):
        noise = standard_normal(key, allocation, mean.shape[0])
        return mean + jnp.exp(0.5 * log_variance) * noise * hyperparameters["active"]

    def output(params, hyperparameters, codes, presence=None):
        codes = (codes * hyperparameters["active"]).T
        return network.apply({"params": params["network"]}, codes, presence, method="decode")

    def nats(params, hyperparameters, output, pixels):
        return likelihood.nats(output, pixels, sigma_of(params, hyperparameters))

    def expected(output):
        return likelihood.mean(output).transpose(3, 1, 2, 0)

    def encode(state, images, presence=None):
        _, mean, log_variance = infer(state.params, state.hyperparameters, images, presence)
        return Codes(mean, log_variance, partition.level_of_unit(allocation))

    def decode(state, codes, presence=None):
        return expected(output(state.params, state.hyperparameters, codes, presence))

    return Autoencoder(init, infer, sample, output, nats, expected, encode, decode)


def regularised(
    config: "Config", dataset: "Dataset", regulariser: Regulariser, progress: Progress | None = None
) -> Method:
    """The Method of L = L_rec + w R on the ladder of the config; one level is the flat network of the baselines.

    With `progress`, the v_l have exponential linear units, as the nets of Li et al. 2020: what a level injects when it
    comes only disturbs a decoder that has learned without it, and relus are dead for good within some twenty steps.
    """
    allocation = config.model.allocation
    model = autoencoder(config, dataset, nn.elu if progress else nn.relu)

    def presence_at(hyperparameters, step):
        return progress(hyperparameters, step) if progress else None

    def levels(hyperparameters):
        return partition.levels(allocation) * hyperparameters["active"]

    def init(key, hyperparameters):
        memory = regulariser.init(jax.random.fold_in(key, 1), hyperparameters, levels(hyperparameters))
        return model.init(key, hyperparameters), memory

    def loss(params, memory, hyperparameters, step, images, key):
        presence = presence_at(hyperparameters, step)
        pixels, mean, log_variance = model.infer(params, hyperparameters, images, presence)
        codes = model.sample(hyperparameters, mean, log_variance, key)
        output = model.output(params, hyperparameters, codes, presence)
        reconstruction = model.nats(params, hyperparameters, output, pixels).mean()

        there = jnp.ones(len(allocation)) if presence is None else presence
        inference = Inference(codes, mean, log_variance, levels(hyperparameters), there)
        regularisation, parts = regulariser.nats(hyperparameters, memory, inference, jax.random.fold_in(key, 1 << 29))

        weight = warmup(hyperparameters, step)
        total = reconstruction + weight * regularisation
        terms = {
            "loss_nats": total,
            "reconstruction_nats": reconstruction,
            "regularisation_nats": regularisation,
            "kl_nats": inference.mean_kl,
            "elbo_nats": -reconstruction - inference.mean_kl,
            "kl_weight": weight,
            "sigma": sigma_of(params, hyperparameters),
            **({} if presence is None else {"stage": jnp.ceil(presence).sum()}),
            **parts,
        }
        return total, (terms, jax.lax.stop_gradient(inference))

    def remember(memory, hyperparameters, step, inference, key):
        return regulariser.remember(hyperparameters, memory, inference, key)

    def whole(state):
        """Presence for evaluation: every level that has begun to fade in counts whole."""
        presence = presence_at(state.hyperparameters, state.step)
        return None if presence is None else jnp.ceil(presence)

    def encode(state, images):
        return model.encode(state, images, whole(state))

    def decode(state, codes):
        return model.decode(state, codes, whole(state))

    return descending(Objective(init, loss, remember, encode, decode), config)


def warmup(hyperparameters: Hyperparameters, step: Array) -> Array:
    """w = 1 - exp(-step / kl_warmup); 1 where kl_warmup is 0."""
    length = hyperparameters["kl_warmup"]
    return jnp.where(length > 0, -jnp.expm1(-step / jnp.maximum(length, 1e-6)), 1.0)


def per_level(name: str, values: Array) -> Terms:
    """Values [L] in nats as one term each: level L at the top, level 1 at the bottom."""
    return {f"{name}_level{len(values) - index}_nats": value for index, value in enumerate(values)}


def in_all(name: str, values: Array) -> Terms:
    """Values [P] in nats of parts that are no levels, summed."""
    return {f"{name}_of_blocks_nats": values.sum()}


def standard_normal(key: Array, allocation: tuple[int, ...], batch: int) -> Array:
    """Standard normal [B, K]; each unit has a key of its own, so that padding a level changes no other unit's noise."""
    keys = jax.vmap(lambda unit: jax.random.fold_in(key, unit))(partition.unit_keys(allocation))
    return jax.vmap(lambda key: jax.random.normal(key, (batch,)), out_axes=1)(keys)
