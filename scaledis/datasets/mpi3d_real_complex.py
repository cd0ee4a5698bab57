"""MPI3D real complex (Gondal et al., 2019): 460,800 photographs of a robot arm that holds one of four everyday objects.

A full grid of seven factors. The published file lies at DIRECTORY/manual/real3d_complicated_shapes_ordered.npz, placed
there by the user; its authors published no checksum. License CC BY 4.0.
"""

from pathlib import Path

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import mpi3d
from scaledis.datasets._builders.download import File

FILE = File(
    "real3d_complicated_shapes_ordered.npz",
    "https://github.com/rr-learning/disentanglement_dataset",
    size=None,
    digest="",
    fetchable=False,
)
FACTORS = mpi3d.FACTORS | {
    "object_color": 4,  # yellow, green, olive, red
    "object_shape": 4,  # coffee cup, tennis ball, croissant, beer cup
}
SOURCE = mpi3d.specified("mpi3d_real_complex", FILE, FACTORS)
OPTIONS = mpi3d.OPTIONS


def load(directory: Path, options: Options) -> Dataset:
    """MPI3D real complex below `directory`; images [64, 64, 3]. Raises what `prepare.load` raises."""
    return mpi3d.load(SOURCE, directory, options)
