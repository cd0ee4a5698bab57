"""The two convolutions that every network here is made of, fast on CPU, GPU and TPU.

Images are [C, H, W, N], the batch innermost, so that a row of the batch is contiguous and [C, H*W*N] is a free reshape.
Each convolution has two forms, and FORMS names each platform's. `lax` is `lax.conv_general_dilated`. `products` is
one matrix product with its own gradient rule. A 4x4 kernel at stride 2 is a 2x2 kernel at stride 1 between the small,
*coarse* image [O, h, w, N] and the four phases (even or odd row and column) of the padded large, *fine* image
[C, 2h, 2w, N]:

    coarse[o, i, j] = sum_{dy, dx, py, px, c} kernel[2dy + py, 2dx + px, c, o] phase[py, px, c, i + dy, j + dx]

The four shifts (dy, dx) are made either as copies of the fine image or as copies of the coarse one. Both ways are

    coarse = join_coarse(K @ split_fine(fine))      fine = join_fine(K^T @ split_coarse(coarse))

where each join is the adjoint of its split; the gradient of both in K is split_coarse(coarse) @ split_fine(fine)^T.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaledis.core import registry, runtime

LAYOUT = ("CHWN", "HWIO", "CHWN")
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
Pair = tuple[Array, Array]  # an image, or its copies, and the kernel
barrier: Callable[[Array], Array] = lax.optimization_barrier  # which has no types

# The form on each platform. XLA has no fast gradient of `lax` on a CPU. On a GPU it makes kernel gradients convolutions
# with windows of up to 64x64 pixels, in groups where there are several runs, and takes 1.9 to 2.4 times the arithmetic
# that is needed; `products` takes 1.06 to 1.08 times (docs/speed.md).
FORMS = {"cpu": "products", "gpu": "products", "tpu": "lax"}
_form: ContextVar[str | None] = ContextVar("form", default=None)


@contextlib.contextmanager
def using(form: str) -> Iterator[None]:
    """Sets the form of all convolutions that are traced in the block. Raises UserError for an unknown form."""
    registry.check("form", form, ("lax", "products"))
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def form_in_use() -> str:
    """Returns the form that `using` sets, by default that of the default device."""
    return _form.get() or FORMS[runtime.platform()]


def down(x: Array, kernel: Array) -> Array:
    """4x4 convolution, stride 2, one pixel of zero padding: x [I, H, W, N], kernel [4, 4, I, O] -> [O, H/2, W/2, N].

    out[o, i, j, n] = sum_{c, ky, kx} kernel[ky, kx, c, o] x[c, 2i + ky - 1, 2j + kx - 1, n]

    PyTorch's `Conv2d(I, O, 4, 2, 1)` without its bias.
    Raises ValueError for an odd H or W, and for shapes that do not fit together.
    """
    _check(x, kernel)
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"x has shape {x.shape} [I, H, W, N]; H and W must be even")
    if form_in_use() == "products":
        return _coarsen(x, kernel)
    return lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=LAYOUT)


def up(x: Array, kernel: Array) -> Array:
    """4x4 transposed convolution, stride 2, one pixel cropped: x [I, H, W, N], kernel [4, 4, I, O] -> [O, 2H, 2W, N].

    out[o, y, z, n] = sum_{c, i, j} kernel[y + 1 - 2i, z + 1 - 2j, c, o] x[c, i, j, n],  both taps in 0..3

    PyTorch's `ConvTranspose2d(I, O, 4, 2, 1)` without its bias: the adjoint of `down` with the last two axes of the
    kernel swapped. Raises ValueError for shapes that do not fit together.
    """
    _check(x, kernel)
    if form_in_use() == "products":
        return _refine(x, kernel.swapaxes(2, 3))
    return lax.conv_general_dilated(
        x, kernel[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=LAYOUT
    )


def _check(x: Array, kernel: Array) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or kernel.shape[:3] != (4, 4, x.shape[0]):
        raise ValueError(f"x has shape {x.shape}, kernel {kernel.shape}; expected [I, H, W, N] and [4, 4, I, O]")


# The pair of products, for a kernel [4, 4, C, O] of C fine and O coarse channels. Each saves its split input, which the
# gradient needs again. Barriers keep XLA from redoing a split in each use, or folding a transpose into a product.


@jax.custom_vjp
def _coarsen(fine: Array, kernel: Array) -> Array:
    return _coarsen_forward(fine, kernel)[0]


def _coarsen_forward(fine: Array, kernel: Array) -> tuple[Array, Pair]:
    copies = _split_fine(fine, kernel)
    return _join_coarse(jnp.tensordot(_matrix(kernel), copies, 1), kernel), (copies, kernel)


def _coarsen_backward(saved: Pair, coarse: Array) -> Pair:
    fine_copies, kernel = saved
    coarse_copies = _split_coarse(coarse, kernel)
    fine = _join_fine(jnp.tensordot(_matrix(kernel).T, coarse_copies, 1), kernel)
    return fine, _kernel_gradient(fine_copies, coarse_copies, kernel)


@jax.custom_vjp
def _refine(coarse: Array, kernel: Array) -> Array:
    return _refine_forward(coarse, kernel)[0]


def _refine_forward(coarse: Array, kernel: Array) -> tuple[Array, Pair]:
    copies = _split_coarse(coarse, kernel)
    return _join_fine(jnp.tensordot(_matrix(kernel).T, copies, 1), kernel), (copies, kernel)


def _refine_backward(saved: Pair, fine: Array) -> Pair:
    coarse_copies, kernel = saved
    fine_copies = _split_fine(fine, kernel)
    coarse = _join_coarse(jnp.tensordot(_matrix(kernel), fine_copies, 1), kernel)
    return coarse, _kernel_gradient(fine_copies, coarse_copies, kernel)


_coarsen.defvjp(_coarsen_forward, _coarsen_backward)
_refine.defvjp(_refine_forward, _refine_backward)


def _copies_fine(kernel: Array) -> bool:
    """Returns whether the fine image is copied, as in im2col: with few channels its copies are small."""
    c, o = kernel.shape[2:]
    return o >= min(2 * c, 64)


def _matrix(kernel: Array) -> Array:
    """Returns K, [O, 16C] if the fine image is copied, else [4O, 4C]."""
    c, o = kernel.shape[2:]
    taps = kernel.reshape(2, 2, 2, 2, c, o)  # dy, py, dx, px, c, o
    if _copies_fine(kernel):
        return taps.transpose(5, 0, 2, 1, 3, 4).reshape(o, 16 * c)
    return taps.transpose(0, 2, 5, 1, 3, 4).reshape(4 * o, 4 * c)


def _kernel_gradient(fine_copies: Array, coarse_copies: Array, kernel: Array) -> Array:
    """Returns split_fine(fine) @ split_coarse(coarse)^T as [4, 4, C, O]."""
    c, o = kernel.shape[2:]
    fine_rows, coarse_rows = (copies.reshape(copies.shape[0], -1) for copies in (fine_copies, coarse_copies))
    product = barrier(lax.dot_general(fine_rows, coarse_rows, (((1,), (1,)), ((), ()))))
    if _copies_fine(kernel):
        return product.reshape(2, 2, 2, 2, c, o).transpose(0, 2, 1, 3, 4, 5).reshape(kernel.shape)
    return product.reshape(2, 2, c, 2, 2, o).transpose(3, 0, 4, 1, 2, 5).reshape(kernel.shape)


def _split_fine(fine: Array, kernel: Array) -> Array:
    """[C, 2h, 2w, N] -> [16C, h, w, N] if the fine image is copied, else its phases, [4C, h + 1, w + 1, N]."""
    padded = jnp.pad(fine, ((0, 0), (1, 1), (1, 1), (0, 0)))
    phases = jnp.concatenate([padded[:, py::2, px::2] for py, px in CORNERS])
    if _copies_fine(kernel):
        phases = jnp.concatenate([_crop(phases, *shift) for shift in CORNERS])
    return barrier(phases)


def _join_fine(copies: Array, kernel: Array) -> Array:
    """The adjoint of `_split_fine`."""
    if _copies_fine(kernel):
        copies = jnp.asarray(sum(_pad(copy, *shift) for copy, shift in zip(jnp.split(copies, 4), CORNERS, strict=True)))
    h, w, n = copies.shape[1:]
    padded = copies.reshape(2, 2, -1, h, w, n).transpose(2, 3, 0, 4, 1, 5).reshape(-1, 2 * h, 2 * w, n)
    return padded[:, 1:-1, 1:-1]


def _split_coarse(coarse: Array, kernel: Array) -> Array:
    """[O, h, w, N] unchanged if the fine image is copied, else four shifted copies of it, [4O, h + 1, w + 1, N]."""
    if _copies_fine(kernel):
        return coarse
    return barrier(jnp.concatenate([_pad(coarse, *shift) for shift in CORNERS]))


def _join_coarse(copies: Array, kernel: Array) -> Array:
    """The adjoint of `_split_coarse`."""
    if _copies_fine(kernel):
        return copies
    return jnp.asarray(sum(_crop(copy, *shift) for copy, shift in zip(jnp.split(copies, 4), CORNERS, strict=True)))


def _crop(x: Array, dy: int, dx: int) -> Array:
    """[K, h + 1, w + 1, N] -> [K, h, w, N], its corner at (dy, dx)."""
    return x[:, dy : x.shape[1] - 1 + dy, dx : x.shape[2] - 1 + dx]


def _pad(x: Array, dy: int, dx: int) -> Array:
    """The adjoint of `_crop`."""
    return jnp.pad(x, ((0, 0), (dy, 1 - dy), (dx, 1 - dx), (0, 0)))
