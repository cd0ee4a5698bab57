"""3DShapes, every method: the setting of Beyond Flat Latent, Table 1, or with :METHOD that of the method's own file.

    python -m scaledis.main --config=configs/3dshapes.py                             # ours
    python -m scaledis.main --config=configs/3dshapes.py --sweep=seeds               # Table 1, ours
    python -m scaledis.main --config=configs/3dshapes.py --sweep=allocations,seeds   # Table 2
    python -m scaledis.main --config=configs/3dshapes.py:factor_vae --workdir=runs/factor_vae
    python -m scaledis.main --config=configs/3dshapes.py --config.data.name=rendered # without the real data

From the paper: 64x64 RGB, allocation (4, 2, 2, 2), 1.2M parameters, a Gaussian likelihood of fixed sigma, minibatch
weighted sampling, five seeds. The paper does not state beta, gamma, sigma, learning rate, batch, steps and warm-up:
these are ours (docs/methods.md). The paper's scores, DCI-D / DCI-C / MIG: ours .92 / .80 / .56; VLAE .86 / .72 / .40;
DAVA .77 / .74 / .53; FactorVAE .73 / .63 / .29; alpha-TCVAE .72 / .62 / .37; beta-VAE+HFS .71 / .62 / .36;
beta-TCVAE .69 / .59 / .35; beta-VAE .58 / .50 / .28; NVAE .10 / .07 / .02.
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default


def get_config(method="scale_vlae"):
    config = default()
    config.data.name = "shapes3d"
    config.method.name = method
    config.update_from_flattened_dict(choose(method).settings_for("shapes3d"))
    return config
