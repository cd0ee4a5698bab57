"""MPI3D from small files of the published layout."""

import io
import zipfile

import numpy as np
import pytest

from scaledis import datasets
from scaledis.datasets import _mpi3d, mpi3d_real
from tests.datasets import agrees, grid, place, raises, shortened

RNG = np.random.default_rng(0)


def npz(header: dict, data: bytes, member: str = "images.npy", compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, archive.open(member, "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False} | header)
        file.write(data)
    return buffer.getvalue()


ARM_SIZES = (2, 2, 1, 2, 1, 3, 2)
ARM = {"factor_values": shortened(mpi3d_real.SOURCE, ARM_SIZES)}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_mpi3d_in_blocks(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(_mpi3d, "ROWS", 7)
    factors = grid(*ARM_SIZES)
    images = RNG.integers(0, 256, (len(factors), 64, 64, 3), np.uint8)
    file = npz({"shape": images.shape}, images.tobytes(), compression=compression)
    source = place(mpi3d_real.SOURCE, tmp_path, [file], **ARM)
    monkeypatch.setattr(mpi3d_real, "SOURCE", source)
    blocks = [len(block) for block, _ in _mpi3d.read(source, [tmp_path / "manual" / "mpi3d_real.npz"])]
    assert blocks == [7] * 6 + [6]
    agrees(datasets.load("mpi3d_real", tmp_path), images, factors)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (npz({"shape": (460_800, 64, 64, 3)}, b""), "is 460,800, as in the `complex` set .* expected 48 of mpi3d_real"),
        (npz({"shape": (47, 64, 64, 3)}, b""), r"images is uint8 \(47, 64, 64, 3\), expected uint8 \(48, 64, 64, 3\)"),
        (npz({"shape": (48, 64, 64, 3), "fortran_order": True}, b""), "last axis first, expected uint8"),
        (npz({"shape": (48, 64, 64, 3), "descr": "<f4"}, b""), "images is float32"),
        (
            npz({"shape": (48, 64, 64, 3)}, b"", member="a.npy"),
            r"list of members is \['a.npy'\], expected \['images.npy",
        ),
        (npz({"shape": (48, 64, 64, 3)}, b"few"), "size of images from 0 on is 3, expected 589824 bytes"),
        (npz({"shape": (48, 64, 64, 3)}, b"few")[:100], "cannot be read: File is not a zip file"),
    ],
)
def test_mpi3d_of_something_else(tmp_path, file, message):
    source = place(mpi3d_real.SOURCE, tmp_path, [file], **ARM)
    raises(source, _mpi3d.read, tmp_path, f"mpi3d_real.npz.*{message}", check=_mpi3d.check)


def test_mpi3d_complex_is_recognised_before_its_checksum_is_wrong(tmp_path):
    place(mpi3d_real.SOURCE, tmp_path, [npz({"shape": (460_800, 64, 64, 3)}, b"")])
    with pytest.raises(ValueError, match="460,800, as in the `complex` set.* expected 1,036,800 of mpi3d_real"):
        datasets.load("mpi3d_real", tmp_path)
