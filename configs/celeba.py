"""CelebA, the setting of Beyond Flat Latent, Figure 2: traversals of a ladder of four levels, or of :METHOD.

    python -m scaledis.main --config=configs/celeba.py
    python -m scaledis.main --config=configs/celeba.py:alpha_tcvae --workdir=runs/celeba-alpha_tcvae

The paper states four levels and no numbers; everything else is ours and untested here. The official split holds:
training sees its 162,770 images, and the codes that are scored come from the 39,829 of validation and test.
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
