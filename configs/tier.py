"""The two sizes at which the papers' claims are tested: :small, which takes an evening on two cores, and :paper.

    python -m scaledis.main --config=configs/tier.py:small --sweep=method.name=vlae,scale_vlae --sweep=seeds
    python -m experiments.table1 --tier=small     # the experiments take the same sizes
    configs/table1.py, table2.py, figure1.py, granularity.py are the papers' sweeps, each with :small or :paper

:paper in place of :small gives the same experiment at the papers' size. small: `rendered` box-filtered to 32x32, a
quarter to a half of the papers' channels, a quarter of the width of a discriminator of codes, 150,000 parameters for
flat methods and ladders alike. paper: 64x64, 1.2M (ladders) and 0.77M (flat methods) parameters, 300,000 steps.
"""

from scaledis.sweeps.tiers import tier_config as get_config

__all__ = ["get_config"]
