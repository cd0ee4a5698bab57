"""Beyond Flat Latent, Figure 1: no penalty, intra-level only, inter-level only, both, on three levels of three units.

    python -m scaledis.main --config=configs/figure1.py:paper --config.data.name=shapes3d --sweep=figure1
    python -m scaledis.main --config=configs/figure1.py --sweep=figure1 --dry_run

20 runs, five seeds each, in one program. The metric `level` measures the dependence within and between the levels.
"""

from scaledis.sweeps.expand import sweep_regularizers
from scaledis.sweeps.tiers import own_settings, tier_config


def get_config(tier="small"):
    config = tier_config(tier)
    config.update_from_flattened_dict(own_settings("scale_vlae"))
    config.model.allocation = (3, 3, 3)
    config.evaluate.metrics = ("dci", "mig", "level")
    return config


def sweep_figure1():
    """The four objectives x five seeds."""
    for objective in sweep_regularizers():
        for seed in range(5):
            yield {**objective, "seed": seed}
