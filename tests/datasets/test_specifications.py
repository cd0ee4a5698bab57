"""What the builders say of the published files."""

import hashlib

import pytest

from scaledis import datasets
from scaledis.core.errors import UserError


@pytest.mark.parametrize(
    ("name", "size", "sizes"),
    [
        ("shapes3d", 480_000, (10, 10, 10, 8, 4, 15)),
        ("dsprites", 737_280, (3, 6, 40, 32, 32)),
        ("mpi3d_real", 1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        ("mpi3d_real_complex", 460_800, (4, 4, 2, 3, 3, 40, 40)),
        ("mpi3d_realistic", 1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        ("mpi3d_toy", 1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        ("cars3d", 17_568, (4, 24, 183)),
        ("smallnorb", 48_600, (5, 9, 18, 6)),
        ("celeba", 202_599, (2,) * 40),
    ],
)
def test_specifications_of_the_published_files(name, size, sizes, tmp_path):
    source = datasets.registry.module("set", datasets, name).SOURCE
    assert (source.name, source.shape[0], source.factor_sizes) == (name, size, sizes)
    assert len(source.factor_names) == len(sizes)
    published = [file for file in source.files if name != "mpi3d_real_complex"]  # whose authors published none
    assert all(len(bytes.fromhex(file.digest)) == hashlib.new(file.algorithm).digest_size for file in published)
    with pytest.raises(UserError) as error:
        datasets.load(name, tmp_path)
    for file in source.files:
        assert f"{tmp_path}/manual/{file.name} (" in str(error.value) and file.url in str(error.value)
    assert ("or set data.path to a directory in which TFDS has prepared" in str(error.value)) == bool(source.copy)
    assert not list(tmp_path.iterdir())
