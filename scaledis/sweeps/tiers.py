"""Tiers: the two sizes at which the papers' claims are tested.

small takes an evening on two cores: `rendered` box-filtered to 32x32, a quarter to a half of the papers' channels, a
quarter of the width of a discriminator of codes, 150,000 parameters for flat methods and ladders alike. paper is the
papers' own size: 64x64, 1.2M (ladders) and 0.77M (flat methods) parameters, 300,000 steps.
"""

from typing import TYPE_CHECKING

from scaledis.core import registry
from scaledis.methods import choose
from scaledis.sweeps.configs import default

if TYPE_CHECKING:
    from ml_collections import ConfigDict

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


def tier_config(tier: str = "small") -> "ConfigDict":
    """Returns the config of a tier on `rendered`, for a config file to edit. Raises UserError for an unknown tier."""
    config = default()
    config.data.name = "rendered"
    config.update_from_flattened_dict(registry.choose("tier", tier, TIERS))
    return config


def own_settings(method: str, dataset: str = "") -> dict[str, object]:
    """Returns the settings of a method for a data set by dotted key, without `train.steps`, which the tier sets.

    Raises UserError for an unknown method.
    """
    return {key: value for key, value in choose(method).settings_for(dataset).items() if key != "train.steps"}
