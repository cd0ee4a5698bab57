"""Methods that weigh total correlations: flat (beta-, alpha-TCVAE, beta-STCVAE) and along a ladder (VLAE and ours)."""

import math

import numpy as np

from scaledis import partition
from scaledis.errors import UserError
from scaledis.methods import Hyperparameter, Recipe
from scaledis.methods._dependence import Weights, weighing


def flat_total_correlation(hyperparameters, inference):
    """The beta-TCVAE (Chen et al. 2018, Isolating Sources of Disentanglement).

        R = KL(q(z | x) || p(z)) + (beta - 1) TC(q(z))

    which is their I(x; z) + beta TC(q(z)) + sum_j KL(q(z_j) || p(z_j)), since the KL holds each of the three once.
    It is the scale-aware ladder of one level.
    """
    return Weights(intra=hyperparameters["beta"] - 1.0)


beta_tcvae = Recipe(
    weighing(flat_total_correlation),
    flat_total_correlation,
    about="(beta - 1) TC(z): the beta-TCVAE (Chen et al. 2018).",
    hyperparameters={"beta": Hyperparameter(6.0, "weight of the total correlation, as a whole")},
)


def convex_mix(hyperparameters, inference):
    """The alpha-TCVAE (Meo et al. 2024).

        R = K alpha / (K - alpha) I(x; z) + (1 - alpha) / (1 - alpha / K) KL(q(z | x) || p(z))

    of the conditional entropy bottleneck and the variational information bottleneck, for K units. That is the reading
    `bound`, which follows from the total correlation bound and is the VAE at alpha = 0: it is the default for that. The
    reading `code` is that of the published code with its sign mended: sum_j KL(q(z_j) || p(z_j)) in place of the KL,
    without any total correlation.
    """
    return Weights(
        mutual_information=hyperparameters["mutual_information"],
        kl=hyperparameters["kl"],
        dimension_wise=hyperparameters["dimension_wise"],
    )


def mix(alpha: float, units: int) -> tuple[float, float]:
    """The weights of the information term and of the bound. Raises UserError for alpha = K = 1."""
    if alpha >= units:
        raise UserError(f"method.alpha: {alpha} must be below 1 on a level of one unit.")
    return units * alpha / (units - alpha), (1 - alpha) / (1 - alpha / units)


def _mix_arrays(config):
    given = config.method.hyperparameters
    information, bound = map(np.float32, mix(given["alpha"], config.model.allocation[0]))
    kl, dimension_wise = (bound, np.float32(0)) if given["reading"] == "bound" else (np.float32(0), bound)
    return {"mutual_information": information, "kl": kl, "dimension_wise": dimension_wise}


ALPHA = Hyperparameter(0.25, "share of the information term", highest=1.0)

alpha_tcvae = Recipe(
    weighing(convex_mix),
    convex_mix,
    about="a convex mix of I(x; z) and the KL: the alpha-TCVAE (Meo et al. 2024).",
    hyperparameters={
        "alpha": ALPHA,
        "reading": Hyperparameter("bound", "what the mix is of, the bound or the code", choices=("bound", "code")),
    },
    arrays=_mix_arrays,
)


def between_blocks(hyperparameters, inference):
    """The beta-STCVAE (Chen et al. 2025, Disentangling Granularity), with blocks of b units, of granularity g = b / K.

        R = KL(q(z | x) || p(z)) - v sum_blocks TC(q(z_block)) + (beta - 1) KL(q(z) || prod_blocks q(z_block))

    v = 1, `within = free`, is the paper's formula, I(x; z) + beta TC_joint + sum_j KL(q(z_j) || p(z_j)), and the
    default; in it dependence within a block is free. `within = rewarded` is what the published code trains,
    v = 1 + beta / 2. b = 1 is the beta-TCVAE.
    """
    beta = hyperparameters["beta"]
    return Weights(intra=-1.0 - hyperparameters["rewarded"] * beta / 2, inter=beta - 1.0)


def _blocks(hyperparameters, levels):
    in_use = levels.sum(0)
    return partition.blocks(len(in_use), hyperparameters["block"]) * in_use


def block_sizes(units: int) -> dict[float, int]:
    """Granularity -> block size: g = b / m for every divisor b of the units, m the largest of them, all K."""
    return {size / units: size for size in range(1, units + 1) if units % size == 0}


def _block_arrays(config):
    given, units = config.method.hyperparameters, config.model.allocation[0]
    size = int(given["block"])
    if given["granularity"]:
        known = block_sizes(units)
        found = [block for g, block in known.items() if math.isclose(g, given["granularity"], rel_tol=0.02)]
        if not found:
            listed = ", ".join(f"{g:.3g} (blocks of {block})" for g, block in known.items())
            raise UserError(f"method.granularity: {given['granularity']} does not exist for {units} units; {listed}.")
        size = found[0]
    elif size != given["block"] or size > units:
        raise UserError(
            f"method.block: {given['block']} must be a whole number from 1 to {units}, the units there are."
        )
    rewarded = np.float32(given["within"] == "rewarded")
    return {"block": np.float32(size), "rewarded": rewarded}


beta_stcvae = Recipe(
    weighing(between_blocks, parts_of=_blocks),
    between_blocks,
    about="independence between blocks of b units, none within: the beta-STCVAE (Chen et al. 2025).",
    hyperparameters={
        "beta": Hyperparameter(5.0, "weight of the dependence between blocks, as a whole"),
        "block": Hyperparameter(2, "b, units per block; the last block is what is left", lowest=1),
        "granularity": Hyperparameter(0.0, "g = b / K instead of b, for a b that divides the units; 0: take b"),
        "within": Hyperparameter("free", "dependence within a block", choices=("free", "rewarded")),
    },
    arrays=_block_arrays,
)


def scale_aware(hyperparameters, inference):
    """The scale-aware ladder VAE (Liu and Han, Beyond Flat Latent, Eq. 13).

        R = sum_l [ KL(q(z_l | x) || p(z_l)) + (beta_l - 1) TC(q(z_l)) ] + gamma KL(q(z) || prod_l q(z_l))

    which is Eq. 13 since the KL of a level is its mutual information, total correlation and dimension-wise KL (Eq. 9).
    beta = 1 and gamma = 0 is the VLAE (Zhao et al. 2017); beta_l = beta and gamma = beta - 1 is the VLAE with the
    beta-TCVAE's penalty on all units.

    alpha_l > 0 mixes the information of a level with its KL as the alpha-TCVAE does, for the K_l units of the level:

        KL_l  becomes  K_l alpha_l / (K_l - alpha_l) I(x; z_l) + (1 - alpha_l) / (1 - alpha_l / K_l) KL_l
    """
    return Weights(
        kl=hyperparameters["kl"],
        mutual_information=hyperparameters["mutual_information"],
        intra=hyperparameters["beta"] - 1.0,
        inter=hyperparameters["gamma"],
    )


def mix_of_levels(config):
    """The weights of every level's mutual information and KL, from `alpha`."""
    alpha = np.broadcast_to(config.method.hyperparameters["alpha"], (len(config.model.allocation),))
    weights = [mix(float(share), units) for share, units in zip(alpha, config.model.allocation, strict=True)]
    information, kl = np.asarray(weights, np.float32).T
    return {"mutual_information": information, "kl": kl}


def plain(config):
    """The arrays that make the scale-aware ladder a plain one."""
    nothing = np.zeros(len(config.model.allocation), np.float32)
    return {
        "beta": nothing + 1,
        "gamma": np.float32(0),
        "alpha": nothing,
        "kl": nothing + 1,
        "mutual_information": nothing,
    }


SCALE_AWARE = {
    "beta": Hyperparameter(8.0, "weight of the total correlation within a level, as a whole", per_level=True),
    "gamma": Hyperparameter(3.0, "weight of the dependence between the levels"),
    "alpha": Hyperparameter(0.0, "share of the information term of a level", highest=1.0, per_level=True),
}

_build_ladder = weighing(scale_aware)
scale_vlae = Recipe(
    _build_ladder,
    scale_aware,
    about="sum_l (beta_l - 1) TC(z_l) + gamma inter: the scale-aware ladder VAE (Liu and Han, Beyond Flat Latent).",
    hyperparameters=SCALE_AWARE,
    flat=False,
    arrays=mix_of_levels,
)
vlae = Recipe(
    _build_ladder,
    scale_aware,
    about="no penalty: the ladder VAE (Zhao et al. 2017), in the form of Beyond Flat Latent, section 2.1.",
    flat=False,
    arrays=plain,
)
