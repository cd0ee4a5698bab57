"""The demo: the ladder VAE without and with the scale-aware penalties, three seeds each, in the small tier.

    scaledis demo                                               # minutes on two cores, with a comparison at the end
    python -m scaledis.main --config=configs/quickstart.py --sweep=demo
    scaledis sweep quickstart long --workdir=runs/long          # five seeds each, 5,000 steps
    scaledis sweep quickstart long_again --workdir=runs/long-again

The page of the demo is runs/quickstart/report/index.html. Both models have the settings of configs/tier.py:small, but
the demo trains 800 steps; long_again has other seeds than long.
"""

from scaledis.sweeps.tiers import tier_config

LONG = {"train.steps": 5000, "train.checkpoint_every": 1000, "train.log_every": 100}


def get_config():
    config = tier_config("small")
    config.train.steps = 800
    config.train.checkpoint_every = 400
    config.train.log_every = 20
    return config


def sweep_demo():
    """VLAE and the scale-aware ladder on three seeds."""
    for name in ("vlae", "scale_vlae"):
        for seed in range(3):
            yield {"method.name": name, "seed": seed}


def sweep_long(first=0):
    """VLAE and the scale-aware ladder on five seeds, 5,000 steps."""
    for name in ("vlae", "scale_vlae"):
        for seed in range(first, first + 5):
            yield {"method.name": name, "seed": seed, **LONG}


def sweep_long_again():
    """Five other seeds."""
    yield from sweep_long(5)
