"""The demo: the ladder VAE without and with the scale-aware penalties, five seeds each, in the small tier.

    python -m scaledis.main --config=configs/quickstart.py --sweep=demo              # minutes on two cores
    python -m scaledis.main --config=configs/quickstart.py --sweep=demo_again --workdir=runs/quickstart-again

The page is runs/quickstart/report/index.html. Both models have the settings of configs/tier.py:small;
demo_again has five other seeds.
"""

import runpy
from pathlib import Path


def get_config():
    return runpy.run_path(str(Path(__file__).with_name("tier.py")))["get_config"]("small")


def sweep_demo(first=0):
    for name in ("vlae", "scale_vlae"):
        for seed in range(first, first + 5):
            yield {"method.name": name, "seed": seed}


def sweep_demo_again():
    yield from sweep_demo(5)
