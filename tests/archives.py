"""Archives of arrays that nobody should have made."""

import io
import zipfile

import numpy as np


def claiming(path, name, shape):
    """An archive whose array `name` claims a shape that it does not have."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", header.getvalue() + bytes(64))


def patched(path, offset, value):
    """Sets a field of two bytes in the headers of all entries, by its offset in the local ones."""
    content = bytearray(path.read_bytes())
    for signature, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset + shift : place + offset + shift + 2] = value.to_bytes(2, "little")
            place = content.find(signature, place + 1)
    path.write_bytes(content)


def encrypted(path):
    patched(path, 6, 1)


def of_an_unknown_method(path):
    patched(path, 8, 99)


def damaged(path):
    content = bytearray(path.read_bytes())
    content[120] ^= 0xFF
    path.write_bytes(content)
