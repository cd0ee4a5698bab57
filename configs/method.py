"""One method on one data set, :METHOD or :METHOD,DATASET, with the settings of the method's file for that data set.

    scaledis train scale_vlae --data=rendered --steps=4000      # as --config=configs/method.py:scale_vlae,rendered
    scaledis train factor_vae --data=dsprites --seeds=5
    scaledis train vlae --config.data.resolution=32 --config.train.batch=32

Sizes are those of the papers: 64x64 images, 1.2M parameters for a ladder, 300,000 steps unless the command has --steps.
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default


def get_config(argument="scale_vlae"):
    method, _, dataset = argument.partition(",")
    config = default()
    config.data.name = dataset or "rendered"
    config.method.name = method
    config.update_from_flattened_dict(choose(method).settings_for(config.data.name))
    return config
