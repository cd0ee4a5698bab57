"""Every method on the same terms: `rendered`, 4,000 steps, two seeds, the same likelihood, optimiser and warm-up.

    python experiments/methods.py                         # all of them, the table and the sheet
    python -m scaledis.main --config=configs/comparison.py:vae --sweep=two_seeds --workdir=runs/methods/vae    # one

A comparison of implementations in a short run, not of what the methods can reach: each has the default hyperparameters
of `--describe=<method>` but for what `SHORT` scales to 4,000 steps. They were not tuned here.
"""

from scaledis.experiment import default

SHORT = {
    # Published: C moves by 4e-5 a step over 150,000 steps, and rises in some of them only.
    "dava": {"method.capacity_step": 4e-3, "discriminator.learning_rate": 1e-4},
    # Published: 1e-4 beside an autoencoder's 1e-4; ours learns twenty times faster.
    "factor_vae": {"discriminator.learning_rate": 5e-4},
}


def get_config(method="scale_vlae"):
    config = default()
    config.data.name = "rendered"
    config.method.name = method
    config.train.steps = 4000
    config.train.checkpoint_every = 1000
    config.update_from_flattened_dict(SHORT.get(method, {}))
    return config


def sweep_two_seeds():
    for seed in (0, 1):
        yield {"seed": seed}
