"""Ladders whose levels come one after the other, from the top (Li et al. 2020, proVLAE), plain and scale-aware."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis.core import UserError
from scaledis.methods import scale_vlae
from scaledis.methods.base.autoencoder import make_autoencoder
from scaledis.methods.base.elbo import Presence, make_penalized_method
from scaledis.methods.base.penalty import Weights, WeightsOf, weighted_decomposition
from scaledis.methods.base.spec import LADDER, Hyperparameter, MethodSpec, equation_of
from scaledis.methods.scale_vlae import scale_aware
from scaledis.types import Config, Hyperparameters, ImageSpec, Method, Penalty, Posterior, Pytree, Terms


def progressive(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The progressive ladder VAE (Li et al. 2020, proVLAE).

        R = beta sum_{l present} KL(q(z_l | x) || p(z_l)) + inactive sum_{l not yet present} KL(q(z_l | x) || p(z_l))

    Training has one stage for each level, of equal length unless `alone` and `stage` say otherwise; stage s adds the
    s-th level from the top. From then on, the input of the level from the encoder and its output to the decoder are
    multiplied by min(1, steps since its stage began / fade); a fade is at most as long as stages of equal length.
    Before its stage, the level adds nothing to the decoder, but its posterior still reads the encoder, and the second
    term trains it towards the prior. With beta = 1, the last stage has the loss of the VLAE once its fade is over. The
    v_l have exponential linear units.
    """
    return Weights(kl=jnp.where(hyperparameters["presence"] > 0, hyperparameters["beta"], hyperparameters["inactive"]))


def progressive_scale_aware(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The progressive ladder VAE with the scale-aware penalties: the future work of Beyond Flat Latent, section 5.

        R = sum_{l present} p_l [ KL_l + (beta_l - 1) TC(q(z_l)) ] + gamma KL(q(z) || prod_{l present} q(z_l))
            + inactive sum_{l not yet present} KL_l

    with the stages of `pro_vlae`, and p_l = min(1, steps since the stage of l began / fade), 1 for the top. A level
    that fades in reads the whole state of the encoder, and its codes are m + p_l s eps. If a level had its whole noise
    or its whole penalty from its first step, it would become empty before the decoder had learned to read it, and would
    stay empty. The last stage has the loss of the scale-aware ladder once its fade is over.
    KL_l is always that of N(m, s^2). While a level fades in, `kl_nats` is therefore too small, by
    -log p_l - (1 - p_l^2) s^2 / 2 for each of its units, and `elbo_nats` is no bound. Both are right after the last
    fade.
    """
    presence = hyperparameters["presence"]
    row = scale_aware(hyperparameters, posterior)
    kl = jnp.where(presence > 0, presence * row.kl, hyperparameters["inactive"])
    return row._replace(kl=kl, mutual_information=presence * row.mutual_information, intra=presence * row.intra)


def stages(config: Config, given: Mapping[str, Any], library: Any = jnp) -> tuple[Any, Any]:
    """Returns the step at which each level begins, [L], top to bottom, and the steps over which it fades in.

    The top level begins before step 0. `library` is that of the numbers `given`: numpy outside of a compiled program.
    """
    levels, steps = len(config.model.allocation), config.train.steps
    alone, stage, fade = given["alone"], given["stage"], given["fade"]
    equal = library.where(alone > 0, (steps - alone) // max(levels - 1, 1), steps // levels)
    length = library.where(stage > 0, stage, library.maximum(equal, 1))
    level = library.arange(levels)
    begins = library.where(alone > 0, alone, length) + (level - 1) * length
    fade = library.where(stage > 0, fade, library.minimum(fade, length))
    return library.where(level == 0, -math.inf, begins), library.maximum(fade, 1.0)


def presence_of(config: Config) -> Presence:
    """Returns (hyperparameters, step) -> presence [L], top to bottom."""

    def presence(hyperparameters: Hyperparameters, step: Array) -> Array:
        begins, fade = stages(config, hyperparameters)
        # Counted from 1, so that a level is present from the first step of its stage.
        return jnp.clip((step - begins + 1) / fade, 0.0, 1.0)

    return presence


def check_stages(config: Config) -> None:
    """Raises UserError for stages that do not fit in the steps: a level would be used that has not faded in."""
    given, steps = config.method.hyperparameters, config.train.steps
    begins, fade = stages(config, given, np)
    if (end := begins.max() + fade) > steps:
        alone, stage, fade = (given[name] for name in ("alone", "stage", "fade"))
        raise UserError(
            f"method.alone: {alone}, with method.stage {stage} and method.fade {fade}, lets the last level fade in "
            f"until step {math.ceil(end)}, but train.steps is {steps}; smaller ones fit, or {math.ceil(end)} steps."
        )


def with_stage(base: Penalty) -> Penalty:
    """Returns `base` with a term `stage`, the number of levels that are present."""

    def value(hyperparameters: Hyperparameters, extra: Pytree, posterior: Posterior, key: Array) -> tuple[Array, Terms]:
        total, terms = base.value(hyperparameters, extra, posterior, key)
        return total, terms | {"stage": jnp.ceil(hyperparameters["presence"]).sum()}

    return base._replace(value=value)


def make_build(weights: WeightsOf, clear: bool = False) -> Callable[[Config, ImageSpec], Method]:
    """Returns the `build` of a progressive ladder. `clear` is that of `make_autoencoder`."""

    def build(config: Config, images: ImageSpec) -> Method:
        """L = L_rec + w R, where R is a row of weights over the levels that are present."""
        penalty = with_stage(weighted_decomposition(config, images, weights))
        return make_penalized_method(config, make_autoencoder(config, images, clear), penalty, presence_of(config))

    return build


STAGES = {
    "inactive": Hyperparameter(0.5, "weight of the KL of an absent level (Li et al.: .5 on 3DShapes)"),
    "fade": Hyperparameter(500.0, "steps over which a new level fades in, at most a stage of equal length; 0: at once"),
    "alone": Hyperparameter(0.0, "steps of the first stage, with the top alone; 0: as many as those of the others"),
    "stage": Hyperparameter(0.0, "steps of each next stage but the last, which has the rest; 0: all of equal length"),
}

# Published for 3DShapes, on a larger network: 3 levels of 3 units, 15 epochs for each of three stages.
SHAPES3D: Mapping[str, object] = {
    "model.allocation": (3, 3, 3),
    "method.beta": 8.0,
    "method.inactive": 0.5,
    "method.fade": 0.0,
    "objective.likelihood": "bernoulli",
    "objective.kl_warmup": 0.0,
    "train.learning_rate": 5e-4,
    "train.batch": 100,
    "train.steps": 216_000,
}
LATER = {"method.beta": 1.0, "method.fade": 5000.0, "train.batch": 128}
DSPRITES = {"model.allocation": (2, 2, 2), **LATER}
CELEBA = {"model.allocation": (7, 7, 7, 7), "method.inactive": 0.1, **LATER}

METHODS = {
    "pro_vlae": MethodSpec(
        make_build(progressive),
        equation_of(progressive),
        about="levels added from the top: the progressive ladder VAE (Li et al. 2020).",
        hyperparameters={"beta": Hyperparameter(1.0, "weight of the KL of the present levels"), **STAGES},
        flat=False,
        network="ladder_elu",
        check=check_stages,
        shares=("stage",),
        widens=True,
        settings={"": SHAPES3D, "dsprites": DSPRITES, "celeba": CELEBA},
    ),
    "pro_scale_vlae": MethodSpec(
        make_build(progressive_scale_aware, clear=True),
        equation_of(progressive_scale_aware),
        about="levels added from the top, with the scale-aware penalties (Beyond Flat Latent, section 5).",
        hyperparameters={
            **scale_vlae.HYPERPARAMETERS,
            **STAGES,
            "inactive": Hyperparameter(0.0, "weight of the KL of an absent level"),
            "fade": Hyperparameter(2500.0, "steps over which a new level, its noise and its penalties fade in"),
        },
        flat=False,
        network="ladder_elu",
        check=check_stages,
        shares=("stage",),
        arrays=scale_vlae.level_arrays,
        widens=True,
        settings={"": LADDER},
    ),
}
