"""MPI3D toy (Gondal et al., 2019): 1,036,800 simple renderings of a robot arm that holds an object.

A full grid of seven factors. The published file lies at DIRECTORY/manual/mpi3d_toy.npz, placed there by the user or
fetched; license CC BY 4.0.
"""

from pathlib import Path

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import mpi3d

SOURCE = mpi3d.source("mpi3d_toy", md5="55889cb7c7dfc655d6e0277beee88868")
OPTIONS = mpi3d.OPTIONS


def load(directory: Path, options: Options) -> Dataset:
    """MPI3D toy below `directory`; images [64, 64, 3]. Raises what `prepare.load` raises."""
    return mpi3d.load(SOURCE, directory, options)
