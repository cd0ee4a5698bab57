"""The FactorVAE."""

from scaledis.methods.base import adversary
from scaledis.methods.base.penalty import Weights, make_build
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.types import Hyperparameters, Posterior


def adversarial_total_correlation(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The FactorVAE (Kim and Mnih 2018, Disentangling by Factorising).

        R = KL(q(z | x) || p(z)) + gamma E[ log D(z) - log (1 - D(z)) ]

    The discriminator D tells codes from codes whose units were shuffled over the batch: its logit estimates TC(q(z)).
    It learns after the autoencoder, from codes without gradient; shuffled are those of the second half of the batch, so
    that the two classes share no image. The autoencoder learns from the whole batch. (Published codes either draw a
    second batch, halve the autoencoder's, or shuffle the same codes; ours is the first at half the images.)
    """
    return Weights(intra=hyperparameters["gamma"])


METHODS = {
    "factor_vae": MethodSpec(
        make_build(adversarial_total_correlation, estimator="density_ratio"),
        equation_of(adversarial_total_correlation),
        about="gamma TC(z) by a discriminator of codes: the FactorVAE (Kim and Mnih 2018).",
        hyperparameters={"gamma": Hyperparameter(10.0, "weight of the total correlation, besides that in the KL")},
        estimator=False,
        check=adversary.check_batch,
        widens=True,
        # gamma of the published grid 10 to 100, ours; the optimizers are published.
        settings={"": {**FLAT, "method.gamma": 10.0, "discriminator.learning_rate": 1e-4}},
    ),
}
