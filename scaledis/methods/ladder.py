"""The ladder VAE, plain and scale-aware (Liu and Han, Beyond Flat Latent)."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis import aggregate, gaussian, objective, partition
from scaledis.methods import Codes, Method, Recipe
from scaledis.methods._descent import from_loss
from scaledis.networks import ladder

if TYPE_CHECKING:
    from scaledis.config import Config
    from scaledis.datasets import Dataset


def build(config: "Config", dataset: "Dataset") -> Method:
    """The ladder VAE with both penalties (Beyond Flat Latent, Eq. 13):

        L = L_rec + w [ sum_l KL(q(z_l | x) || p(z_l)) + sum_l (beta_l - 1) TC(q(z_l)) + gamma L_inter ]

    which is Eq. 13 since the KL of a level is its mutual information, total correlation and dimension-wise KL (Eq. 9).
    w = 1 - exp(-step / kl_warmup) keeps the top level, the deepest path, alive while it learns (Zhao et al. 2017).

    Hyperparameters of a run: beta [L], gamma, sigma, kl_warmup, learning_rate, active [K] (0 for padding).
    """
    model = config.model
    allocation = model.allocation
    network = ladder.of_capacity(model.parameters, allocation, model.channels, model.injection, dataset.image_shape)
    likelihood = objective.LIKELIHOODS[config.objective.likelihood]
    estimator = aggregate.ESTIMATORS[config.objective.estimator]
    log_weights = aggregate.normalised(estimator(config.train.batch, dataset.size))
    membership, levels = partition.membership(allocation), partition.units_of_level(allocation)
    depth = len(allocation)

    def posterior(params, hyperparameters, images):
        """images uint8 [B, H, W, C] -> pixels [C, H, W, B] in [0, 1], mean [B, K], log_variance [B, K]."""
        pixels = images.transpose(3, 1, 2, 0).astype(jnp.float32) / 255.0
        mean, log_variance = network.apply(params, pixels, method="encode")
        active = hyperparameters["active"]
        return pixels, mean.T * active, log_variance.T * active

    def loss(params, hyperparameters, step, images, key):
        active, beta, gamma = (hyperparameters[name] for name in ("active", "beta", "gamma"))
        pixels, mean, log_variance = posterior(params, hyperparameters, images)
        codes = mean + jnp.exp(0.5 * log_variance) * _noise(key, allocation, mean.shape[0]) * active

        output = network.apply(params, codes.T, method="decode")
        reconstruction = likelihood.nats(output, pixels, hyperparameters["sigma"]).mean()

        kl = partition.combine(gaussian.kl_to_standard(mean, log_variance), levels).mean(0)

        log_aggregate = aggregate.log_density(codes, mean, log_variance, log_weights, membership * active)
        rows = partition.contrasts(allocation, active)
        penalty = partition.combine(log_aggregate, partition.scale_aware(rows, beta, gamma)).mean()

        weight = -jnp.expm1(-step / jnp.maximum(hyperparameters["kl_warmup"], 1e-6))
        total = reconstruction + weight * (kl.sum() + penalty)

        parts = objective.decompose(codes, mean, log_variance, log_aggregate, rows, levels * active)
        terms = {
            "loss_nats": total,
            "reconstruction_nats": reconstruction,
            "kl_nats": kl.sum(),
            "penalty_nats": penalty,
            "kl_weight": weight,
            "inter_nats": parts.inter.mean(),
            **_per_level("kl", kl),
            **_per_level("mutual_information", parts.mutual_information.mean(0)),
            **_per_level("total_correlation", parts.total_correlation.mean(0)),
            **_per_level("dimension_wise", parts.dimension_wise.mean(0)),
        }
        return total, terms

    def init_params(key):
        height, width, channels = dataset.image_shape
        return network.init(key, jnp.zeros((channels, height, width, 1)))

    def encode(params, hyperparameters, images):
        _, mean, log_variance = posterior(params, hyperparameters, images)
        return Codes(mean, log_variance, partition.level_of_unit(allocation))

    def decode(params, hyperparameters, codes):
        output = network.apply(params, (codes * hyperparameters["active"]).T, method="decode")
        return likelihood.mean(output).transpose(3, 1, 2, 0)

    def _per_level(name: str, values: Array) -> dict[str, Array]:
        return {f"{name}_level{depth - index}_nats": values[index] for index in range(depth)}

    return from_loss(init_params, loss, encode, decode, config.train)


def _noise(key: Array, allocation: tuple[int, ...], batch: int) -> Array:
    """Standard normal [B, K]; each unit has a key of its own, so that padding a level changes no other unit's noise."""
    units = [level << 16 | unit for level, count in enumerate(allocation) for unit in range(count)]
    keys = jax.vmap(lambda unit: jax.random.fold_in(key, unit))(jnp.asarray(units))
    return jax.vmap(lambda key: jax.random.normal(key, (batch,)), out_axes=1)(keys)


def _scale_aware_arrays(config: "Config") -> dict[str, np.ndarray]:
    depth = len(config.model.allocation)
    beta, gamma = config.method.hyperparameters["beta"], config.method.hyperparameters["gamma"]
    levels = beta if isinstance(beta, tuple) else (beta,) * depth
    if len(levels) != depth:
        raise ValueError(f"method.beta: {beta} has {len(levels)} values, but model.allocation has {depth} levels.")
    if not all(isinstance(value, int | float) and 0 <= value < np.inf for value in (*levels, gamma)):
        raise ValueError(f"method.beta: {beta} and method.gamma: {gamma} must be finite numbers, not negative.")
    return {"beta": np.asarray(levels, np.float32), "gamma": np.float32(gamma)}


scale_vlae = Recipe(
    build,
    defaults={"beta": 8.0, "gamma": 3.0},
    arrays=_scale_aware_arrays,
    about="+ sum_l (beta_l - 1) TC(z_l) + gamma inter: the scale-aware ladder VAE (Liu and Han, Beyond Flat Latent).",
)
vlae = Recipe(
    build,
    defaults={},
    arrays=lambda config: {"beta": np.ones(len(config.model.allocation), np.float32), "gamma": np.float32(0)},
    about="no penalty: the ladder VAE (Zhao et al. 2017), in the form of Beyond Flat Latent, section 2.1.",
)
