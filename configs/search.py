"""A search for the penalties of the scale-aware ladder, in the small tier of configs/tier.py.

    scaledis train --config=configs/search.py --search=optuna:64 --objective=dci/disentanglement
    scaledis train search --search=optuna:32 --objective=udr --seeds=3           # without factors: how far seeds agree
    scaledis train search --search=optuna:54,batch:27 --halving=eta:3,rungs:2,by:dci/disentanglement \
        --objective=dci/disentanglement                                          # two of three trials end early, twice
"""

from scaledis.search.space import log_uniform, uniform
from scaledis.sweeps.tiers import tier_config


def get_config():
    return tier_config("small")


def search_space():
    """The weights of the two penalties, and the learning rate."""
    return {
        "method.beta": log_uniform(1, 64),
        "method.gamma": uniform(0, 8),
        "train.learning_rate": log_uniform(3e-4, 3e-3),
    }
