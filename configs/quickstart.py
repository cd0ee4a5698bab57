"""The demo: the ladder VAE without and with the scale-aware penalties, on the rendered look-alike of 3DShapes.

    python -m scaledis.main --config=configs/quickstart.py --sweep=demo              # ten minutes on two cores
    python -m scaledis.main --config=configs/quickstart.py --sweep=demo,more_seeds --workdir=runs/quickstart-seeds

The page is runs/quickstart/report/index.html. Every setting is the default (scaledis/config.py) but the steps.
"""

from scaledis.experiment import default


def get_config():
    config = default()
    config.data.name = "rendered"
    config.train.steps = 4000
    config.train.checkpoint_every = 1000
    return config


def sweep_demo():
    for name in ("vlae", "scale_vlae"):
        yield {"method.name": name}


def sweep_more_seeds():
    for seed in (1, 2):
        yield {"seed": seed}
