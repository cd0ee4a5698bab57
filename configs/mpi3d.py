"""MPI3D, the setting of Beyond Flat Latent, Table 1: the scale-aware ladder, or another method with :METHOD.

    python -m scaledis.main --config=configs/mpi3d.py --sweep=seeds
    python -m scaledis.main --config=configs/mpi3d.py:vlae --sweep=seeds --workdir=runs/mpi3d-vlae
    python -m scaledis.main --config=configs/mpi3d.py --config.data.name=mpi3d_toy --workdir=runs/mpi3d_toy

The paper states MPI3D-Real, 64x64 RGB, 10 units and five seeds. Steps, learning rate and weights are ours and have not
been tested. Its scores, DCI-D / DCI-C / MIG: ours .40 / .42 / .20; alpha-TCVAE .38 / .37 / .24; VLAE .14 / .16 / .16.
"""

from scaledis.methods import choose
from scaledis.sweeps.configs import default


def get_config(method="scale_vlae"):
    config = default()
    config.data.name = "mpi3d_real"
    config.method.name = method
    config.update_from_flattened_dict(choose(method).settings_for("mpi3d_real"))
    return config
