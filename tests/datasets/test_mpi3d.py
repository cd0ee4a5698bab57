"""MPI3D from small files of the published layout."""

import dataclasses
import hashlib
import io
import zipfile

import numpy as np
import pytest

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import Options, mpi3d_real, mpi3d_real_complex
from scaledis.datasets._builders import mpi3d, prepare
from tests.datasets import agrees, grid, holds, place, raises, shortened

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
    monkeypatch.setattr(mpi3d, "ROWS", 7)
    factors = grid(*ARM_SIZES)
    images = RNG.integers(0, 256, (len(factors), 64, 64, 3), np.uint8)
    file = npz({"shape": images.shape}, images.tobytes(), compression=compression)
    source = place(mpi3d_real.SOURCE, tmp_path, [file], **ARM)
    monkeypatch.setattr(mpi3d_real, "SOURCE", source)
    blocks = [len(block) for block, _ in mpi3d.read(source, [tmp_path / "manual" / "mpi3d_real.npz"])]
    assert blocks == [7] * 6 + [6]
    agrees(datasets.load("mpi3d_real", tmp_path), images, factors)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            npz({"shape": (460_800, 64, 64, 3)}, b""),
            "is 460,800, as in mpi3d_real_complex.* expected 48 of mpi3d_real",
        ),
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
    raises(source, mpi3d.read, tmp_path, f"mpi3d_real.npz.*{message}", check=mpi3d.check)


def test_mpi3d_complex_is_recognised_before_its_checksum_is_wrong(tmp_path):
    place(mpi3d_real.SOURCE, tmp_path, [npz({"shape": (460_800, 64, 64, 3)}, b"")])
    with pytest.raises(ValueError, match="460,800, as in mpi3d_real_complex.* expected 1,036,800 of mpi3d_real"):
        datasets.load("mpi3d_real", tmp_path)


def test_a_file_without_a_published_checksum_says_its_own(tmp_path, monkeypatch, capsys):
    with pytest.raises(
        UserError, match=r"complicated_shapes_ordered.npz \(no published checksum\): by hand, from https"
    ):
        datasets.load("mpi3d_real_complex", tmp_path)
    factors = grid(*ARM_SIZES)
    images = RNG.integers(0, 256, (len(factors), 64, 64, 3), np.uint8)
    file = npz({"shape": images.shape}, images.tobytes())
    source = place(mpi3d_real_complex.SOURCE, tmp_path, [file], **ARM)
    monkeypatch.setattr(mpi3d_real_complex, "SOURCE", dataclasses.replace(source, files=(mpi3d_real_complex.FILE,)))
    agrees(datasets.load("mpi3d_real_complex", tmp_path), images, factors)
    own = hashlib.sha256(file).hexdigest()
    assert f"npz has the sha256 {own}; its authors published none." in capsys.readouterr().err


def test_a_repaired_file_is_kept_and_can_be_accepted(tmp_path, monkeypatch):
    factors = grid(*ARM_SIZES)
    images = RNG.integers(0, 256, (len(factors), 64, 64, 3), np.uint8)
    file = npz({"shape": images.shape}, images.tobytes())
    source = place(mpi3d_real.SOURCE, tmp_path, [file], **ARM)
    source = dataclasses.replace(source, files=mpi3d_real.SOURCE.files)  # with the checksum of the first publication
    monkeypatch.setattr(mpi3d_real, "SOURCE", source)
    with pytest.raises(UserError, match="mpi3d_real.npz: md5 is .*, expected 0f33.* data.accept_checksum=True"):
        datasets.load("mpi3d_real", tmp_path)
    path = tmp_path / "manual" / "mpi3d_real.npz"
    assert path.read_bytes() == file
    place_of_pixel = file.index(images.tobytes()) + 12_345
    path.write_bytes(file[:place_of_pixel] + bytes([file[place_of_pixel] ^ 1]) + file[place_of_pixel + 1 :])
    with pytest.raises(UserError, match="mpi3d_real.npz cannot be read: Bad CRC-32 for file 'images.npy'"):
        datasets.load("mpi3d_real", tmp_path, accept_checksum=True)
    assert [entry.name for entry in (tmp_path / "mpi3d_real").iterdir()] == [".lock"] and path.exists()
    path.write_bytes(file)
    holds(datasets.load("mpi3d_real", tmp_path, accept_checksum=True), images, factors)


def test_a_header_of_another_version(tmp_path):
    factors = grid(*ARM_SIZES)
    images = RNG.integers(0, 256, (len(factors), 64, 64, 3), np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("images.npy", "w") as member:
        np.lib.format.write_array(member, images, version=(2, 0))
    source = place(mpi3d_real.SOURCE, tmp_path, [buffer.getvalue()], **ARM)
    holds(prepare.load(source, mpi3d.read, tmp_path, Options()), images, factors)
