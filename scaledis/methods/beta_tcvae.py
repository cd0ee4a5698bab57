"""The beta-TCVAE."""

from scaledis.methods.base.penalty import Weights, make_build
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Hyperparameters, Posterior


def flat_total_correlation(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The beta-TCVAE (Chen et al. 2018, Isolating Sources of Disentanglement).

        R = KL(q(z | x) || p(z)) + (beta - 1) TC(q(z))

    which is I(x; z) + beta TC(q(z)) + sum_j KL(q(z_j) || p(z_j)) of the paper, since the KL is the sum of the three
    terms. It is the scale-aware ladder with a single level.
    """
    return Weights(intra=hyperparameters["beta"] - 1.0)


METHODS = {
    "beta_tcvae": MethodSpec(
        make_build(flat_total_correlation),
        equation_of(flat_total_correlation),
        about="(beta - 1) TC(z): the beta-TCVAE (Chen et al. 2018).",
        hyperparameters={"beta": Hyperparameter(6.0, "weight of TC, including that in the KL")},
        same_as={
            "scale_vlae": {"gamma": 0.0, "alpha": 0.0},  # of one level
            "beta_stcvae": {"block": 1.0},
            "beta_tcvae_hfs": {"gamma": 0.0},
        },
        widens=True,
        settings={"": {**FLAT, "method.beta": 6.0}},  # of the published grid 1, 2, 4, 6, 8, 10; ours
    ),
}
