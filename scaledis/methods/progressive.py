"""Ladders whose levels come one after the other, from the top (Li et al. 2020, proVLAE), plain and scale-aware."""

import jax.numpy as jnp

from scaledis.methods import Hyperparameter, Recipe
from scaledis.methods._dependence import Weights, weighing
from scaledis.methods.total_correlation import SCALE_AWARE, mix_of_levels, scale_aware


def progressive(hyperparameters, inference):
    """The progressive ladder VAE (Li et al. 2020, proVLAE).

        R = beta sum_{l present} KL(q(z_l | x) || p(z_l)) + inactive sum_{l not yet present} KL(q(z_l | x) || p(z_l))

    Training is cut into as many stages of equal length as there are levels; stage s adds the s-th level from the top.
    During its stage, its input from the encoder and what it injects into the decoder are multiplied by
    min(1, steps in the stage / fade). Before it, the level injects nothing, but its posterior reads the encoder all the
    same, and the second term trains it towards the prior.
    With beta = 1, the last stage has the VLAE's loss once its fade is over. The v_l have exponential linear units.
    """
    return Weights(kl=jnp.where(inference.presence > 0, hyperparameters["beta"], hyperparameters["inactive"]))


def progressive_scale_aware(hyperparameters, inference):
    """The progressive ladder VAE with the scale-aware penalties: the future work of Beyond Flat Latent, section 5.

        R = sum_{l present} [ KL_l + (beta_l - 1) TC(q(z_l)) ] + gamma KL(q(z) || prod_{l present} q(z_l))
            + inactive sum_{l not yet present} KL_l

    with the stages of `pro_vlae`. The last stage has the scale-aware ladder's loss once its fade is over.
    """
    present = inference.presence > 0
    row = scale_aware(hyperparameters, inference)
    return row._replace(
        kl=jnp.where(present, row.kl, hyperparameters["inactive"]),
        mutual_information=jnp.where(present, row.mutual_information, 0.0),
    )


def stage(step, levels: int, steps: int):
    """The stage of a step, 0 to L - 1, and the step at which it began."""
    length = max(steps // levels, 1)
    now = jnp.minimum(step // length, levels - 1)
    return now, now * length


def presence_of(config):
    """(hyperparameters, step) -> presence [L], top to bottom."""
    levels, steps = len(config.model.allocation), config.train.steps

    def presence(hyperparameters, step):
        now, began = stage(step, levels, steps)
        # Counted from 1, so that the newest level is there from the first step of its stage.
        faded = jnp.minimum((step - began + 1) / jnp.maximum(hyperparameters["fade"], 1.0), 1.0)
        level = jnp.arange(levels)
        return jnp.where((level == 0) | (level < now), 1.0, jnp.where(level == now, faded, 0.0))

    return presence


STAGES = {
    "inactive": Hyperparameter(0.5, "weight of the KL of a level that is not there yet (Li et al.: .5 on 3DShapes)"),
    "fade": Hyperparameter(500.0, "steps over which a new level fades in; 0: at once, as Li et al. on 3DShapes"),
}

pro_vlae = Recipe(
    weighing(progressive, progress=presence_of),
    progressive,
    about="levels added from the top: the progressive ladder VAE (Li et al. 2020).",
    hyperparameters={"beta": Hyperparameter(1.0, "weight of the KL of the levels that are there"), **STAGES},
    flat=False,
)
pro_scale_vlae = Recipe(
    weighing(progressive_scale_aware, progress=presence_of),
    progressive_scale_aware,
    about="levels added from the top, with the scale-aware penalties (Beyond Flat Latent, section 5).",
    hyperparameters={**SCALE_AWARE, **STAGES},
    flat=False,
    arrays=mix_of_levels,
)
