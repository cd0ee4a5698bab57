"""The ladder VAE without penalties: the scale-aware ladder at beta = 1, gamma = 0, in the same program."""

import numpy as np

from scaledis.config import Config
from scaledis.methods import scale_vlae
from scaledis.methods.base.penalty import make_build
from scaledis.methods.base.settings import LADDER
from scaledis.methods.base.spec import MethodSpec, equation_of


def plain_arrays(config: Config) -> dict[str, np.ndarray]:
    """The arrays that make the scale-aware ladder a plain one."""
    nothing = np.zeros(len(config.model.allocation), np.float32)
    return {
        "beta": nothing + 1,
        "gamma": np.asarray(0, np.float32),
        "alpha": nothing,
        "kl": nothing + 1,
        "mutual_information": nothing,
    }


METHODS = {
    "vlae": MethodSpec(
        make_build(scale_vlae.scale_aware),
        equation_of(scale_vlae.scale_aware),
        about="no penalty: the ladder VAE (Zhao et al. 2017), in the form of Beyond Flat Latent, section 2.1.",
        flat=False,
        arrays=plain_arrays,
        program="scale_vlae",
        settings={"": LADDER},
    ),
}
