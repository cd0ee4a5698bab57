"""Arrays of any framework become numpy arrays, and nothing of them is dropped."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scaledis.core import convert
from scaledis.core.errors import UserError
from tests.frameworks import Exchanged, OnDevice, Tensor

ROWS = np.arange(6.0).reshape(3, 2)  # exact in bfloat16
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        ROWS.tolist(),
        ROWS.astype(np.float16),
        ROWS.astype(np.uint64),
        ROWS.astype(ml_dtypes.bfloat16),
        ROWS.astype(ml_dtypes.int4),
        np.ma.array(ROWS),
        np.ma.array(ROWS, mask=np.zeros(ROWS.shape, bool)),
        jnp.asarray(ROWS),
        jnp.asarray(ROWS, jnp.bfloat16),
        Tensor(ROWS),
        Tensor(ROWS.astype(int)),
        Tensor(ROWS, bfloat16=True),
        Exchanged(ROWS),
        OnDevice(ROWS),
        FRAME,
        FRAME.astype({"a": "Int8", "b": "Float32"}),
        FRAME.astype({"a": pd.CategoricalDtype([0, 2, 4])}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_numbers_of_every_framework(given):
    found = convert.numbers("codes", given)
    assert type(found) is np.ndarray and found.dtype.kind in "biuf"
    np.testing.assert_array_equal(found, ROWS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ma.masked_equal(ROWS, 3), r"1 of 6 entries are masked, the first at \[1, 1\]"),
        (ROWS + 1j, "complex numbers .ndarray, complex128.; an array of numbers is needed"),
        (ROWS.astype(object), "Python objects"),
        (ROWS.astype(str), "text"),
        (ROWS.astype("S"), "bytes"),
        (ROWS.astype("M8[D]"), "dates"),
        (np.zeros(3, [("mean", float)]), "records"),
        (sparse.csr_array(ROWS), r"a sparse matrix .csr_array.; its toarray\(\) is an array"),
        ([[1.0, 2.0], [3.0]], "a list cannot be read as an array"),
        (Tensor(ROWS + 1j, bfloat16=True), "a Tensor cannot be read as an array .Got unsupported ScalarType"),
        (jax.random.key(0), "a PRNGKeyArray cannot be read as an array"),
        ("abc", "text"),
        (None, "None; an array of numbers is needed"),
        ({}, "Python objects .dict"),
        (FRAME.assign(b="x"), "column 'b': Python objects"),
        (FRAME.assign(b=1j), "column 'b': complex"),
        (FRAME.reset_index(), "column 'index': it numbers the rows"),
        (FRAME.assign(**{"Unnamed: 0": [0, 1, 2]}), "column 'Unnamed: 0': it numbers the rows.*index_col=0"),
        (FRAME[[]], r"shape \(3, 0\); two axes, neither empty, are needed"),
    ],
    ids=lambda given: type(given).__name__ if not isinstance(given, str) else None,
)
def test_what_numpy_would_drop_or_cannot_read_is_a_sentence(given, message):
    with pytest.raises(UserError, match=f"codes(: |, ){message}") as caught:
        convert.numbers("codes", given)
    assert "\n" not in str(caught.value)


def test_rows_of_pandas_objects_are_matched_by_their_index():
    moved = FRAME.iloc[[2, 0, 1]]
    pd.testing.assert_frame_equal(convert.aligned("factors", moved, FRAME), FRAME)
    assert convert.aligned("factors", FRAME, FRAME) is FRAME
    assert convert.aligned("factors", moved, ROWS) is moved and convert.aligned("factors", ROWS, moved) is ROWS
    for other in (moved.set_axis([2, 0, 7]), moved.set_axis([0, 0, 1])):
        with pytest.raises(UserError, match=r"codes, factors: their pandas indices.*reset_index\(drop=True\)"):
            convert.aligned("factors", other, FRAME)
