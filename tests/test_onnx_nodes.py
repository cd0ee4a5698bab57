"""Operations of JAX as nodes of ONNX, each against JAX itself, for a batch of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from scaledis.core import onnx_file
from scaledis.core.errors import UserError

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
RNG = np.random.default_rng(0)
MATRIX, BATCHED = RNG.normal(size=(6, 5)).astype("f"), RNG.normal(size=(3, 2, 4)).astype("f")
KERNEL, GROUPED = RNG.normal(size=(2, 3, 3, 4)).astype("f"), RNG.normal(size=(2, 3, 1, 6)).astype("f")
NHWC = ("NHWC", "HWIO", "NHWC")


def convolved(x, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), **options):
    images = x.reshape(x.shape[0], 4, 4, 3)
    return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=NHWC, **options)


ROWS = {  # of x [B, 6]
    "products": lambda x: x @ MATRIX,
    "products from the left": lambda x: MATRIX.T @ x.T,
    "batched products": lambda x: jnp.einsum("bij,ijk->bik", x.reshape(-1, 3, 2), BATCHED),
    "outer products": lambda x: jnp.einsum("bi,bj->bij", x, x),
    "functions": lambda x: jnp.tanh(x) + jnp.exp(x) * jax.nn.sigmoid(x) - lax.rsqrt(1 + x**2) / jnp.sqrt(abs(x) + 1),
    "more functions": lambda x: jax.nn.elu(x) + jax.nn.softplus(x) + jax.nn.swish(x) + x**3 - jnp.sign(x),
    "logarithms": lambda x: jnp.log(x**2 + 1) + jnp.log1p(abs(x)) + jnp.expm1(x) + lax.erf(x),
    "choices": lambda x: jnp.where((x > 0) & (x != 1) | (x < -1), x, jnp.clip(x, -0.5, 0.5)),
    "sums": lambda x: x.sum(1) + x.max(1) - x.min(1, keepdims=True)[:, 0],
    "parts": lambda x: jnp.concatenate([*jnp.split(x, 3, 1)[::-1], x[:, 1:6:2], x[:, ::-1]], 1),
    "rows of an axis": lambda x: x[:, np.array([4, 0, 0])] + x[:, -2, None] + x[:, np.array([[0, 5]])][:, 0][:, :1],
    "borders": lambda x: jnp.pad(x, ((0, 0), (1, 2)), constant_values=7.0),
    "shapes": lambda x: jnp.broadcast_to(x.reshape(-1, 1, 2, 3).transpose(2, 1, 0, 3), (2, 5, x.shape[0], 3)),
    "a constant of the batch": lambda x: jnp.broadcast_to(jnp.arange(3.0), (2 * x.shape[0], 3)),
    "types": lambda x: (x > 0).astype(jnp.int32) + jnp.floor(x).astype(jnp.int32),
}
IMAGES = {  # of x [B, 48]
    "a convolution": lambda x: convolved(x, KERNEL),
    "with strides and borders": lambda x: convolved(x, KERNEL, (2, 1), ((1, 0), (2, 1))),
    "with a dilated kernel": lambda x: convolved(x, KERNEL, rhs_dilation=(2, 1)),
    "of groups": lambda x: convolved(x, GROUPED, feature_group_count=3),
    "transposed": lambda x: convolved(x, KERNEL, padding=((1, 1), (2, 1)), lhs_dilation=(2, 3)),
}
REFUSED = {  # of x [B, 48]
    "onnx: the operation sort": lambda x: jnp.sort(x, 1),
    "onnx: padding between elements": lambda x: lax.pad(x, 0.0, ((0, 0, 0), (0, 0, 1))),
    "onnx: a convolution with a kernel that depends": lambda x: convolved(x, x.sum() * KERNEL),
    "onnx: a convolution of an image with zeros": lambda x: convolved(x, KERNEL, (2, 1), lhs_dilation=(2, 2)),
    "onnx: only rows of one axis, by constant": lambda x: jnp.asarray(MATRIX)[x[:, 0].astype(int)],
    "onnx: an axis of size .* is no multiple": lambda x: jnp.broadcast_to(1.0, (x.shape[0] + 1,)),
}


def file_of(function, width):
    (batch,) = export.symbolic_shape("b")
    return onnx_file.make_file(lambda x: (function(x),), "x", jax.ShapeDtypeStruct((batch, width), np.float32), ["y"])


@pytest.mark.parametrize("name", [*ROWS, *IMAGES])
def test_a_graph_is_the_function(name):
    width, function = (48, IMAGES[name]) if name in IMAGES else (6, ROWS[name])
    session = onnxruntime.InferenceSession(file_of(function, width))
    for count in (1, 5):
        x = RNG.normal(size=(count, width)).astype("f")
        expected = np.asarray(function(x))
        (found,) = session.run(None, {"x": x})
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_node_is_one_sentence(message):
    with pytest.raises(UserError, match=message):
        file_of(REFUSED[message], 48)
