"""What is read from the text of a program."""

import jax
import jax.numpy as jnp

from scaledis.planning import hlo

CUDNN = """
HloModule step, input_output_alias={ {0}: (0, {}, may-alias) }
  %x = f32[64,64,64,48]{3,2,1,0} parameter(0)
  %k = f32[512,4,4,3]{3,2,1,0} parameter(1)
  %y = (f32[64,32,32,512]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), window={size=4x4 stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, feature_group_count=16, custom_call_target="__cudnn$convForward"
  %g = f32[64,32,32,8]{3,2,1,0} parameter(2)
  %z = f32[64,64,64,3]{3,2,1,0} parameter(3)
  %dk = (f32[8,4,4,3]{3,2,1,0}, u8[0]{0}) custom-call(%z, %g), window={size=4x4 stride=2x2}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %s = f64[8]{0} all-reduce-start(%w)
"""  # noqa: E501


def test_calls_of_cudnn_are_counted_with_their_windows_and_groups():
    found = hlo.read(CUDNN)
    forward, backward = found.instructions
    assert forward == hlo.Arithmetic("convForward", 2 * 64 * 32 * 32 * 512 * 3 * 16, 16, 16)
    assert backward == hlo.Arithmetic("convBackwardFilter", 2 * 64 * 32 * 32 * 8 * 3 * 16, 16, 1)
    assert found[1:4] == (1, 1, True) and found.flops == forward.flops + backward.flops


def test_a_product_and_a_convolution_that_xla_compiled_here_are_counted():
    product = jax.jit(lambda a, b: a @ b).lower(jnp.zeros((3, 50)), jnp.zeros((50, 7))).compile().as_text()
    assert hlo.read(product).instructions == (hlo.Arithmetic("dot", 2 * 3 * 50 * 7),)
    images, kernel = jnp.zeros((2, 8, 8, 3)), jnp.zeros((4, 4, 3, 5))
    layout = ("NHWC", "HWIO", "NHWC")
    convolve = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=layout))
    [found] = hlo.read(convolve.lower(images, kernel).compile().as_text()).instructions
    taps = 3 + 4 + 4 + 3  # of the four places along an axis, those within the image
    assert found.flops == 2 * 2 * taps**2 * 5 * 3 and (found.window, found.groups) == (16, 1)


LOOP = """
%fused (param_0: f32[8,100]) -> f32[8,100] {
  %param_0 = f32[8,100]{1,0} parameter(0)
  ROOT %twice = f32[8,100]{1,0} add(%param_0, %param_0)
}
%body (p: (s32[], f32[8,100])) -> (s32[], f32[8,100]) {
  %p = (s32[], /*index=1*/f32[8,100]{1,0}) parameter(0)
  %x = f32[8,100]{1,0} get-tuple-element(%p), index=1
  %y = f32[8,100]{1,0:T(8,128)S(1)} fusion(%x), kind=kLoop, calls=%fused
  %out = f32[8,100]{1,0:T(8,128)} fusion(%y), kind=kCustom, calls=%fused, backend_config={"fusion_backend_config":{"kind":"__triton_gemm"}}
  %ahead = (f32[8,100]{1,0:S(1)}, f32[8,100]{1,0}, u32[]{:S(2)}) copy-start(%out)
  %here = f32[8,100]{1,0:S(1)} copy-done(%ahead)
}
ENTRY %main (a: f32[8,100]) -> f32[8,100] {
  %a = f32[8,100]{1,0} parameter(0)
  %w = (s32[], f32[8,100]{1,0}) while(%a), condition=%less, body=%body
  %dilated = f32[2,4,8]{2,1,0} convolution(%left, %right), window={size=2 lhs_dilate=2}, dim_labels=0bf_0io->0bf
  %left = f32[2,4,6]{2,1,0} parameter(1)
  %right = f32[2,6,8]{2,1,0} parameter(2)
}
"""  # noqa: E501


def test_traffic_is_what_kernels_read_and_write_in_the_main_memory_inside_of_loops_but_not_of_kernels():
    image, product = 4 * 8 * 100, 4 * (2 * 4 * 8 + 2 * 4 * 6 + 2 * 6 * 8)
    found = hlo.read(LOOP)
    # read x; write out; read out ahead and its counter; the convolution
    assert found.touched == image + image + image + 4 + product
    assert found.kernels == {"convolution": 1, "copy-start": 1, "fusion": 1, "triton_gemm": 1}


def test_a_convolution_that_is_dilated_over_runs_multiplies_no_run_with_the_kernel_of_another():
    [found] = hlo.read(LOOP).instructions
    assert found.flops == 2 * 2 * (4 * 6 * 8)  # two runs, each a product of [4, 6] and [6, 8]
