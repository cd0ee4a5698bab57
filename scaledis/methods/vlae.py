"""The ladder VAE without penalties."""

import dataclasses

from scaledis.methods.base.settings import LADDER
from scaledis.methods.scale_vlae import SCALE_VLAE

METHODS = {
    "vlae": dataclasses.replace(
        SCALE_VLAE,
        about="no penalty: the ladder VAE (Zhao et al. 2017), in the form of Beyond Flat Latent, section 2.1.",
        hyperparameters={},
        same_as={"scale_vlae": {"beta": 1.0, "gamma": 0.0, "alpha": 0.0}},
        program="scale_vlae",
        settings={"": LADDER},
    ),
}
