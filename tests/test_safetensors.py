"""The safetensors format against a file that its own library wrote (safetensors 0.8.0)."""

import numpy as np
import pytest

from scaledis.core import safetensors
from scaledis.core.errors import UserError

ARRAYS = {"weights": np.array([[0.5, -1.0]], np.float32), "step": np.array(7, np.int32)}
HEADER = (
    b'{"__metadata__":{"a":"b"},"weights":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},'
    b'"step":{"dtype":"I32","shape":[],"data_offsets":[8,12]}} '
)
FILE = b"\x90\0\0\0\0\0\0\0" + HEADER + b"\0\0\0?\0\0\x80\xbf\x07\0\0\0"
OWN = HEADER.replace(b'"__metadata__":{"a":"b"},', b"").rstrip()


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_it_reads_what_the_library_wrote_and_writes_the_same_without_its_metadata():
    assert_equal(safetensors.loads(FILE), ARRAYS)
    written = safetensors.dumps(ARRAYS)
    length = int.from_bytes(written[:8], "little")
    assert length % 8 == 0 and written[8 : 8 + length].rstrip() == OWN and written[8 + length :] == FILE[-12:]


def test_every_type_comes_back_as_it_was():
    arrays = {code: np.arange(6, dtype=code).reshape(2, 3) for code in safetensors.TYPES.values()}
    arrays |= {"empty": np.zeros((0, 3), np.uint8), "turned": arrays["<i2"].T, "ä/\n": np.full((), np.nan, "<f4")}
    assert_equal(safetensors.loads(safetensors.dumps(arrays)), arrays)
    assert_equal(
        safetensors.loads(safetensors.dumps({"x": np.arange(3, dtype=">f4")})), {"x": np.arange(3, dtype="<f4")}
    )
    assert safetensors.loads(safetensors.dumps({})) == {}
    with pytest.raises(UserError, match="x: float64 cannot be saved; the types are float32 and whole numbers"):
        safetensors.dumps({"x": np.zeros(2)})


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x90", FILE[:40], FILE[:-1], FILE + b"\0", b"\xff" * 40, b"PK\x03\x04" + bytes(60)),
        *(FILE.replace(b'"I32"', b'"F64"'), FILE.replace(b'"I32"', b'["3"]'), FILE.replace(b"[1,2]", b"[1,3]")),
        *(FILE.replace(b"[1,2]", b"[-1]"), FILE.replace(b"[8,12]", b"[9,13]"), FILE.replace(b"[8,12]", b"[0,04]")),
        *(FILE.replace(b"[8,12]", b'["12]'), FILE.replace(b"[8,12]", b"[4,08]"), FILE.replace(b"[8,12]", b"[4, 8]")),
        b"\x02" + bytes(7) + b"[]",
        b"\x09" + bytes(7) + b'{"a":[1]}',
        (10_000).to_bytes(8, "little") + b"[" * 10_000,
    ],
)
def test_what_is_no_such_file_is_a_sentence(data):
    with pytest.raises(UserError, match=r"^not a safetensors file[^\n]*$"):
        safetensors.loads(data)
