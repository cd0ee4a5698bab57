"""The ladder VAE, with the penalties of Beyond Flat Latent and without."""

import dataclasses

import numpy as np

from scaledis.methods.alpha_tcvae import mix
from scaledis.methods.base.penalty import Weights, make_build
from scaledis.methods.base.spec import LADDER, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Config, Hyperparameters, Posterior


def scale_aware(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The scale-aware ladder VAE (Liu and Han, Beyond Flat Latent, Eq. 13).

        R = sum_l [ KL(q(z_l | x) || p(z_l)) + (beta_l - 1) TC(q(z_l)) ] + gamma KL(q(z) || prod_l q(z_l))

    which is Eq. 13 since the KL of a level is its mutual information, total correlation and dimension-wise KL (Eq. 9).
    beta = 1 and gamma = 0 is the VLAE (Zhao et al. 2017); beta_l = beta and gamma = beta - 1 is the VLAE with the
    beta-TCVAE's penalty on all units.

    alpha_l > 0 mixes the information of a level with its KL as the alpha-TCVAE does, for the K_l units of the level:

        KL_l  becomes  K_l alpha_l / (K_l - alpha_l) I(x; z_l) + (1 - alpha_l) / (1 - alpha_l / K_l) KL_l
    """
    terms = {name: hyperparameters[name] for name in ("kl", "mutual_information")}
    return Weights(**terms, intra=hyperparameters["beta"] - 1.0, inter=hyperparameters["gamma"])


def level_arrays(config: Config) -> dict[str, np.ndarray]:
    """Returns the weights of every level's mutual information and KL, from `alpha`."""
    alpha = np.broadcast_to(config.method.hyperparameters["alpha"], (len(config.model.allocation),))
    weights = [mix(float(share), units) for share, units in zip(alpha, config.model.allocation, strict=True)]
    information, kl = np.asarray(weights, np.float32).T
    return {"mutual_information": information, "kl": kl}


HYPERPARAMETERS = {
    "beta": Hyperparameter(8.0, "weight of TC within a level, including that in the KL", per_level=True),
    "gamma": Hyperparameter(3.0, "weight of the dependence between the levels"),
    "alpha": Hyperparameter(0.0, "share of the information term of a level", highest=1.0, per_level=True),
}

SCALE_VLAE = MethodSpec(
    make_build(scale_aware),
    equation_of(scale_aware),
    about="sum_l (beta_l - 1) TC(z_l) + gamma inter: the scale-aware ladder VAE (Liu and Han, Beyond Flat Latent).",
    hyperparameters=HYPERPARAMETERS,
    flat=False,
    arrays=level_arrays,
    widens=True,
    settings={"": LADDER},
)

METHODS = {
    "scale_vlae": SCALE_VLAE,
    "vlae": dataclasses.replace(
        SCALE_VLAE,
        about="no penalty: the ladder VAE (Zhao et al. 2017), in the form of Beyond Flat Latent, section 2.1.",
        hyperparameters={},
        same_as={"scale_vlae": {"beta": 1.0, "gamma": 0.0, "alpha": 0.0}},
        program="scale_vlae",
    ),
}
