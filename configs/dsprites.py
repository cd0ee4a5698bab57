"""dSprites: the beta-STCVAE over its granularities (Disentangling Granularity), or another method with :METHOD.

    python -m scaledis.main --config=configs/dsprites.py --sweep=granularities
    python -m scaledis.main --config=configs/dsprites.py:beta_tcvae --workdir=runs/dsprites-beta_tcvae
    python -m scaledis.main --config=configs/dsprites.py --config.data.name=rendered_dsprites  # without the real data

From the paper: beta 5, and the sweeps over capacity and granularity. Optimizer, batch and likelihood are those of the
literature on flat baselines; the number of units is ours.
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default


def get_config(method="beta_stcvae"):
    config = default()
    config.data.name = "dsprites"
    config.method.name = method
    config.update_from_flattened_dict(choose(method).settings_for("dsprites"))
    return config
