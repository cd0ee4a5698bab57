"""The scale-aware ladder VAE on 3DShapes, the setting of Beyond Flat Latent, Table 1.

    python -m scaledis.main --config=configs/3dshapes.py
    python -m scaledis.main --config=configs/3dshapes.py --sweep=seeds               # Table 1, ours
    python -m scaledis.main --config=configs/3dshapes.py --sweep=allocations,seeds   # Table 2
    python -m scaledis.main --config=configs/3dshapes.py --config.data.name=rendered # without the real data

From the paper: 64x64 RGB, allocation (4, 2, 2, 2), 1.2M parameters, a Gaussian likelihood of fixed sigma, minibatch
weighted sampling, five seeds. The paper does not state beta, gamma, sigma, learning rate, batch, steps and warm-up:
these are ours (README, "Objective"). Its scores there: DCI-D .92, DCI-C .80, MIG .56; VLAE .86, .72, .40.
"""

from scaledis.config import default


def get_config():
    config = default()
    config.data.name = "shapes3d"
    config.model.allocation = (4, 2, 2, 2)
    config.model.latents = 10
    config.train.steps = 300_000
    config.train.learning_rate = 1e-3
    return config
