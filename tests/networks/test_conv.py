"""`down` and `up` as products against their other form, lax.conv, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from scaledis.core.errors import UserError
from scaledis.networks.conv import down, form_in_use, up, using

PAIR = pytest.mark.parametrize("primitive", [down, up])
SHAPES = {  # I, O, H, W, N
    "rgb": (3, 16, 8, 8, 4),
    "equal": (16, 16, 4, 6, 2),
    "batch of one": (16, 3, 2, 8, 1),
    "one channel": (1, 3, 6, 4, 3),
    "to one channel": (3, 1, 2, 2, 2),
    "many channels": (3, 64, 2, 4, 1),
}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def arguments(primitive, i, o, height, width, n, runs=()):
    """x, kernel and a cotangent of the output."""
    out = (height // 2, width // 2) if primitive is down else (2 * height, 2 * width)
    return normal(0, *runs, i, height, width, n), normal(1, *runs, 4, 4, i, o), normal(2, *runs, o, *out, n)


def value_and_gradients(primitive, form):
    def function(x, kernel, cotangent):
        with using(form):
            value, pull_back = jax.vjp(primitive, x, kernel)
            return value, *pull_back(cotangent)

    return function


def assert_equal(ours, oracle):
    for a, b in zip(ours, oracle, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


@PAIR
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_values_and_gradients_are_those_of_lax_conv(primitive, shape):
    args = arguments(primitive, *shape)
    assert_equal(*(jax.jit(value_and_gradients(primitive, form))(*args) for form in ("products", "lax")))


@PAIR
@pytest.mark.parametrize("shape", [SHAPES["rgb"], SHAPES["equal"]])
def test_a_population_is_its_members(primitive, shape):
    args = arguments(primitive, *shape, runs=(2,))
    oracle = [value_and_gradients(primitive, "lax")(*member) for member in zip(*args, strict=True)]
    assert_equal(
        jax.jit(jax.vmap(value_and_gradients(primitive, "products")))(*args), map(jnp.stack, zip(*oracle, strict=True))
    )


def test_runs_in_scan_under_shard_map():
    x, kernel, _ = arguments(down, 4, 4, 4, 4, 2, runs=(1,))

    def train(x, kernel):
        def step(kernel, _):
            gradient = jax.grad(lambda kernel: jax.vmap(up)(jax.vmap(down)(x, kernel), kernel).var())(kernel)
            return kernel - gradient, None

        return jax.lax.scan(step, kernel, length=2)[0]

    mesh, spec = Mesh(jax.devices()[:1], ("runs",)), PartitionSpec("runs")
    sharded = jax.shard_map(train, mesh=mesh, in_specs=(spec, spec), out_specs=spec)
    np.testing.assert_allclose(jax.jit(sharded)(x, kernel), jax.jit(train)(x, kernel), rtol=1e-12)


@PAIR
def test_formula_of_the_docstring(primitive):
    x, kernel, out = arguments(primitive, 2, 3, 4, 2, 1)
    expected = np.zeros(out.shape)
    coarse, fine = (out, x) if primitive is down else (x, out)
    for i, j, ky, kx in np.ndindex(*coarse.shape[1:3], 4, 4):
        y, z = 2 * i + ky - 1, 2 * j + kx - 1
        if 0 <= y < fine.shape[1] and 0 <= z < fine.shape[2]:
            source, target = ((y, z), (i, j)) if primitive is down else ((i, j), (y, z))
            expected[:, *target] += kernel[ky, kx].T @ x[:, *source]
    np.testing.assert_allclose(primitive(x, kernel), expected, atol=1e-12)


def test_up_is_the_adjoint_of_down():
    fine, kernel, coarse = arguments(down, 3, 5, 6, 4, 2)
    forward, adjoint = jnp.vdot(down(fine, kernel), coarse), jnp.vdot(fine, up(coarse, kernel.swapaxes(2, 3)))
    np.testing.assert_allclose(forward, adjoint, rtol=1e-12)


@pytest.mark.parametrize("height, width", [(5, 4), (4, 5)])
def test_odd_sizes_are_refused(height, width):
    with pytest.raises(ValueError, match=rf"3, {height}, {width}, 1.*even"):
        down(jnp.zeros((3, height, width, 1)), jnp.zeros((4, 4, 3, 2)))


@PAIR
@pytest.mark.parametrize("kernel", [(4, 4, 2, 3), (3, 3, 3, 2), (4, 4, 3)])
def test_shapes_that_do_not_fit_are_refused(primitive, kernel):
    with pytest.raises(ValueError, match="expected"):
        primitive(jnp.zeros((3, 4, 4, 1)), jnp.zeros(kernel))


def test_a_form_is_set_for_what_is_traced_within():
    assert form_in_use() == "products"  # the tests run on a CPU
    x, kernel, _ = arguments(down, 3, 4, 4, 4, 2)
    for form, convolutions in (("lax", 1), ("products", 0)):
        with using(form):
            program = str(jax.make_jaxpr(lambda x, kernel: down(x, kernel))(x, kernel))
        assert program.count("conv_general_dilated[") == convolutions
    assert form_in_use() == "products"
    with pytest.raises(UserError, match="form: 'conv' is unknown"), using("conv"):
        pass
