import numpy as np
import pytest

from scaledis.methods.beta_tcvae import flat_total_correlation
from scaledis.methods.scale_vlae import scale_aware
from tests import tiny
from tests.methods import flat, kl_of, make_config, make_posterior, one_update, penalty

POSTERIOR = make_posterior()


def test_beta_weighs_the_total_correlation_beyond_what_the_kl_holds_of_it():
    total, terms = penalty(make_config("beta_tcvae", method__beta=6.0), flat_total_correlation, flat(POSTERIOR))
    assert total == pytest.approx(kl_of(POSTERIOR) + 5 * terms["total_correlation_level1_nats"], rel=1e-6)
    plain = penalty(make_config("beta_tcvae", method__beta=1.0), flat_total_correlation, flat(POSTERIOR))[0]
    assert plain == pytest.approx(kl_of(POSTERIOR), rel=1e-6)


def test_total_correlation_of_all_units_is_that_of_the_levels_plus_inter():
    levels = penalty(make_config("vlae"), scale_aware, POSTERIOR)[1]
    whole = penalty(make_config("beta_tcvae"), flat_total_correlation, flat(POSTERIOR))[1]
    parts = sum(levels[f"total_correlation_level{level}_nats"] for level in (1, 2, 3)) + levels["inter_nats"]
    assert whole["total_correlation_level1_nats"] == pytest.approx(parts, rel=1e-5)


def test_it_is_the_scale_aware_ladder_of_one_level_network_included():
    overrides = {"model__parameters": 6000, "objective__kl_warmup": 10.0}
    ladder = tiny.config(model__allocation=(3,), method__beta=6.0, **overrides)
    flat_one = tiny.config(method__name="beta_tcvae", **overrides)
    one, other = (one_update(each, tiny.dataset())[1] for each in (ladder, flat_one))
    for name in other:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6, err_msg=name)
