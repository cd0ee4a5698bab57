"""Disentangling Granularity: the beta-STCVAE of 8 units over capacity, size of a block, beta and seed: 360 runs.

    python -m scaledis.main --config=configs/granularity.py:paper --config.data.name=dsprites --sweep=granularity
    python -m scaledis.main --config=configs/granularity.py --sweep=blocks,betas,seeds   # at the tier's own capacity
    python -m scaledis.main --config=configs/granularity.py --sweep=granularity --dry_run

From the paper: 8 units, beta 5, and the quantities that vary. The capacities are ours; the convolutions are of three
sizes, each for two capacities.
"""

import itertools

from scaledis.sweeps.expand import sweep_seeds
from scaledis.sweeps.tiers import tier_config

THIN, USUAL, WIDE = (4, 8, 16, 16), (8, 16, 32, 32), (16, 32, 64, 64)  # channels
CAPACITIES = {20_000: THIN, 40_000: THIN, 80_000: USUAL, 150_000: USUAL, 300_000: WIDE, 600_000: WIDE}  # parameters


def get_config(tier="small"):
    config = tier_config(tier)
    config.data.name = "rendered_dsprites"
    config.method.name = "beta_stcvae"
    config.method.beta = 5.0
    config.model.latents = 8
    config.objective.likelihood = "bernoulli"
    config.objective.kl_warmup = 0.0
    return config


def sweep_capacities():
    """Six numbers of parameters, from thin to wide."""
    for parameters, channels in CAPACITIES.items():
        yield {"model.parameters": parameters, "model.channels": channels}


def sweep_blocks():
    """Every size of a block that divides 8 units; 1 is the beta-TCVAE."""
    for block in (1, 2, 4, 8):
        yield {"method.block": block}


def sweep_betas():
    """The paper's beta, a smaller and a larger one."""
    for beta in (2.0, 5.0, 10.0):
        yield {"method.beta": beta}


def sweep_granularity():
    """Capacities x blocks x betas x five seeds."""
    for parts in itertools.product(sweep_capacities(), sweep_blocks(), sweep_betas(), sweep_seeds()):
        yield {key: value for part in parts for key, value in part.items()}
