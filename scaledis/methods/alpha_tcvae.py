"""The alpha-TCVAE."""

import numpy as np

from scaledis.core import UserError
from scaledis.methods.base.penalty import Weights, make_build
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Config, Hyperparameters, Posterior


def convex_mix(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The alpha-TCVAE (Meo et al. 2024).

        R = K alpha / (K - alpha) I(x; z) + (1 - alpha) / (1 - alpha / K) KL(q(z | x) || p(z))

    a mix of the conditional entropy bottleneck and the variational information bottleneck, for K units. This is the
    reading `bound`, which follows from the total correlation bound; it is the default, since it is the VAE at
    alpha = 0. The reading `code` is that of the published code with its sign corrected: sum_j KL(q(z_j) || p(z_j)) in
    place of the KL, without any total correlation. In this reading, information beyond log B is nearly unpenalized if
    the estimator saturates at log B.
    """
    return Weights(
        mutual_information=hyperparameters["mutual_information"],
        kl=hyperparameters["kl"],
        dimension_wise=hyperparameters["dimension_wise"],
    )


def mix(alpha: float, units: int) -> tuple[float, float]:
    """Returns the weights of the information term and of the bound. Raises UserError for alpha = K = 1."""
    if alpha >= units:
        raise UserError(f"method.alpha: {alpha} must be below 1 on a level of one unit.")
    return units * alpha / (units - alpha), (1 - alpha) / (1 - alpha / units)


def mix_arrays(config: Config) -> dict[str, np.ndarray]:
    """Returns the three weights of the reading that the config asks for."""
    given = config.method.hyperparameters
    information, bound = mix(given["alpha"], config.model.allocation[0])
    kl, dimension_wise = (bound, 0.0) if given["reading"] == "bound" else (0.0, bound)
    weights = {"mutual_information": information, "kl": kl, "dimension_wise": dimension_wise}
    return {name: np.asarray(weight, np.float32) for name, weight in weights.items()}


METHODS = {
    "alpha_tcvae": MethodSpec(
        make_build(convex_mix),
        equation_of(convex_mix),
        about="a convex mix of I(x; z) and the KL: the alpha-TCVAE (Meo et al. 2024).",
        hyperparameters={
            "alpha": Hyperparameter(0.25, "share of the information term", highest=1.0),
            "reading": Hyperparameter("bound", "that of the paper's bound or of its code", choices=("bound", "code")),
        },
        arrays=mix_arrays,
        widens=True,
        settings={"": {**FLAT, "method.alpha": 0.25}},  # alpha is that of the published example
    ),
}
