"""CelebA, the setting of Beyond Flat Latent, Figure 2: traversals of a ladder of four levels, or of :METHOD.

    python -m scaledis.main --config=configs/celeba.py
    python -m scaledis.main --config=configs/celeba.py:alpha_tcvae --workdir=runs/celeba-alpha_tcvae

The paper states four levels and no numbers; everything else is ours and has not been tested. The split is the official
one: runs train on its 162,770 training images, and are scored on images of its validation and test sets (39,829).
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default


def get_config(method="scale_vlae"):
    config = default()
    config.data.name = "celeba"
    config.method.name = method
    config.evaluate.split = "held_out"
    config.update_from_flattened_dict(choose(method).settings_for("celeba"))
    return config
