"""MPI3D realistic (Gondal et al., 2019): 1,036,800 realistic renderings of a robot arm that holds an object.

A full grid of seven factors. The published file lies at DIRECTORY/manual/mpi3d_realistic.npz, placed there by the user
or by `load(..., download=True)`; license CC BY 4.0.
"""

from pathlib import Path

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import mpi3d

SOURCE = mpi3d.source("mpi3d_realistic", md5="59a6225b88b635365f70c91b3e52f70f")
OPTIONS = mpi3d.OPTIONS


def load(directory: Path, options: Options) -> Dataset:
    """MPI3D realistic below `directory`; images [64, 64, 3]. Raises what `prepare.load` raises."""
    return mpi3d.load(SOURCE, directory, options)
