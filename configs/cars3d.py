"""Cars3D, the setting of Beyond Flat Latent, Table 1: the scale-aware ladder, or another method with :METHOD.

    python -m scaledis.main --config=configs/cars3d.py --sweep=seeds
    python -m scaledis.main --config=configs/cars3d.py:vlae --sweep=seeds --workdir=runs/cars3d-vlae

The paper states 64x64 RGB, 10 units and five seeds. Steps, learning rate and weights are ours and have not been tested.
The paper's scores, DCI-D / DCI-C / MIG: ours .41 / .30 / .11; DAVA .33 / .28 / .13; VLAE .17 / .09 / .05. The set has
17,568 images, of which 15,000 are scored.
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default


def get_config(method="scale_vlae"):
    config = default()
    config.data.name = "cars3d"
    config.method.name = method
    config.update_from_flattened_dict(choose(method).settings_for("cars3d"))
    return config
