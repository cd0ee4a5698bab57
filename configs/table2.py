"""Beyond Flat Latent, Table 2: nine allocations of ten units, VLAE and ours, five seeds each: 90 runs, 3 programs.

python -m scaledis.main --config=configs/table2.py:paper --config.data.name=shapes3d --sweep=table2
python -m scaledis.main --config=configs/table2.py --sweep=table2 --dry_run
"""

from scaledis.sweeps.expand import sweep_allocations
from scaledis.sweeps.tiers import own_settings, tier_config


def get_config(tier="small"):
    config = tier_config(tier)
    config.update_from_flattened_dict(own_settings("scale_vlae"))
    return config


def sweep_table2():
    """Nine allocations x VLAE and the scale-aware ladder x five seeds."""
    for allocation in sweep_allocations():
        for name in ("vlae", "scale_vlae"):
            for seed in range(5):
                yield {**allocation, "method.name": name, "seed": seed}
