"""Beyond Flat Latent, Table 1: its nine methods, each with its own settings, five seeds each: 45 runs.

    python -m scaledis.main --config=configs/table1.py:paper --config.data.name=shapes3d --sweep=table1
    python -m scaledis.main --config=configs/table1.py --sweep=table1 --dry_run

All methods train for the steps of the tier. The settings are those of each method's file, which are meant for the
paper tier; experiments/table1.py tunes every method for the small tier.
"""

from scaledis.sweeps.tiers import own_settings, tier_config

FLAT = ("beta_vae", "beta_vae_hfs", "beta_tcvae", "factor_vae", "dava", "alpha_tcvae")
LADDERS = ("nvae", "vlae", "scale_vlae")


def get_config(tier="small"):
    return tier_config(tier)


def sweep_table1():
    """The nine methods of Beyond Flat Latent, Table 1, x five seeds."""
    for name in FLAT + LADDERS:
        for seed in range(5):
            yield {"method.name": name, **own_settings(name), "seed": seed}
