import pytest

from scaledis.core.errors import UserError
from scaledis.methods.alpha_tcvae import convex_mix, mix
from scaledis.methods.beta_tcvae import flat_total_correlation
from tests.methods import arrays, flat, kl_of, make_config, make_posterior, penalty

POSTERIOR = flat(make_posterior())


def total(**overrides):
    return penalty(make_config("alpha_tcvae", **overrides), convex_mix, POSTERIOR)[0]


def test_alpha_zero_is_the_vae():
    assert total(method__alpha=0.0) == pytest.approx(kl_of(POSTERIOR), rel=1e-6)


def test_the_coefficients_are_the_published_ones():
    for alpha, information, bound in [(0.25, 0.2564, 0.7692), (0.5, 0.5263, 0.5263), (0.75, 0.8108, 0.2703)]:
        assert mix(alpha, 10) == pytest.approx((information, bound), abs=5e-5)
    found = arrays(make_config("alpha_tcvae", allocation=(10,), method__alpha=0.25))
    assert (found["mutual_information"], found["kl"]) == pytest.approx((0.2564, 0.7692), abs=5e-5)


def test_the_two_readings():
    whole = penalty(make_config("beta_tcvae"), flat_total_correlation, POSTERIOR)[1]
    information, dimension_wise = (whole[f"{name}_level1_nats"] for name in ("mutual_information", "dimension_wise"))
    a, b = mix(0.25, 6)
    assert total() == pytest.approx(a * information + b * kl_of(POSTERIOR), rel=1e-5)
    assert total(method__reading="code") == pytest.approx(a * information + b * dimension_wise, rel=1e-5)


def test_one_unit_has_no_convex_mix_of_all_information():
    with pytest.raises(UserError, match="method.alpha: 1.0 must be below 1 on a level of one unit"):
        make_config("alpha_tcvae", allocation=(1,), method__alpha=1.0)
