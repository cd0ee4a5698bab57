import pytest

from scaledis.core.errors import UserError
from scaledis.methods.alpha_tcvae import mix
from scaledis.methods.beta_tcvae import flat_total_correlation
from scaledis.methods.scale_vlae import scale_aware
from tests.methods import flat, kl_of, make_config, make_posterior, penalty

POSTERIOR = make_posterior()
PLAIN = penalty(make_config("vlae"), scale_aware, POSTERIOR)[1]  # the terms, of which the plain ladder weighs the KL


def total(**overrides):
    return penalty(make_config("scale_vlae", **overrides), scale_aware, POSTERIOR)[0]


def test_beta_one_and_gamma_zero_is_the_vlae():
    ours = total(method__beta=1.0, method__gamma=0.0)
    assert ours == penalty(make_config("vlae"), scale_aware, POSTERIOR)[0] == pytest.approx(kl_of(POSTERIOR), rel=1e-6)


def test_equal_betas_and_gamma_beta_minus_one_is_the_vlae_plus_flat_beta_tcvae():
    flat_one = penalty(make_config("beta_tcvae", method__beta=5.0), flat_total_correlation, flat(POSTERIOR))[0]
    assert total(method__beta=5.0, method__gamma=4.0) == pytest.approx(flat_one, rel=1e-5)


def test_each_level_has_its_own_beta():
    ours = total(method__beta=(2.0, 4.0, 7.0), method__gamma=0.5)
    intra = [PLAIN[f"total_correlation_level{level}_nats"] for level in (3, 2, 1)]
    extra = 1 * intra[0] + 3 * intra[1] + 6 * intra[2] + 0.5 * PLAIN["inter_nats"]
    assert ours - kl_of(POSTERIOR) == pytest.approx(extra, rel=1e-4)


def test_the_mix_along_a_ladder_has_the_units_of_each_level():
    ours = total(method__alpha=(0.5, 0.25, 0.0), method__beta=1.0, method__gamma=0.0)
    expected = PLAIN["kl_level1_nats"]
    for level, alpha, units in [(3, 0.5, 3), (2, 0.25, 2)]:
        a, b = mix(alpha, units)
        expected += a * PLAIN[f"mutual_information_level{level}_nats"] + b * PLAIN[f"kl_level{level}_nats"]
    assert ours == pytest.approx(expected, rel=1e-5)
    with pytest.raises(UserError, match="method.alpha: 1.0 must be below 1 on a level of one unit"):
        make_config("scale_vlae", method__alpha=1.0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method__beta": (1.0, 2.0)}, r"method.beta: .* has 2 values, but model.allocation has 3 levels"),
        ({"method__beta": -1.0}, "method.beta: -1.0 must be a finite number of at least 0"),
        ({"method__gamma": float("nan")}, "method.gamma: nan"),
        ({"method__gamma": (1.0, 2.0, 3.0)}, "method.gamma: .* must be one number"),
        ({"method__alpha": 1.5}, "method.alpha: 1.5 must be a finite number of at least 0 and at most 1"),
    ],
)
def test_hyperparameters_are_checked(overrides, message):
    with pytest.raises(UserError, match=message):
        make_config("scale_vlae", **overrides)
