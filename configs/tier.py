"""The two sizes at which the papers' claims are checked: :small, an evening on two cores, and :paper.

    python -m scaledis.main --config=configs/tier.py:small --sweep=method.name=vlae,scale_vlae --sweep=seeds
    python -m experiments.table1 --tier=small     # the experiments take the same sizes
    configs/table1.py, table2.py, figure1.py, granularity.py are the papers' sweeps, each with :small or :paper

One key makes an experiment its twin at the papers' size. small: `rendered` box-filtered to 32x32, a quarter
to a half of the papers' channels, a quarter of the width of a discriminator of codes, 150,000 parameters for flat
methods and ladders alike. paper: 64x64, 1.2M and 0.77M parameters, 300,000 steps.
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default

TIERS = {
    "small": {
        "data.resolution": 32,
        "model.channels": (8, 16, 32, 32),
        "model.ladder_channels": (8, 8, 8),
        "model.parameters": 150_000,
        "model.injection": "map",
        "discriminator.features": 250,
        "objective.sigma": 0.25,
        "train.steps": 5000,
        "train.checkpoint_every": 1000,
        "train.keep": 1,
        "evaluate.train_codes": 4000,
        "evaluate.test_codes": 2000,
        "evaluate.chance": 0,
    },
    "paper": {"train.steps": 300_000, "train.checkpoint_every": 10_000},
}


def get_config(tier="small"):
    config = default()
    config.data.name = "rendered"
    config.update_from_flattened_dict(TIERS[tier])
    return config


def own_settings(method, dataset=""):
    """What a method's own file says for a data set, as overrides; the steps are the tier's."""
    return {key: value for key, value in choose(method).settings_for(dataset).items() if key != "train.steps"}
