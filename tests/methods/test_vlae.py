import pytest

from scaledis.methods.scale_vlae import scale_aware
from tests.methods import kl_of, make_config, make_posterior, penalty

POSTERIOR = make_posterior()


def test_its_penalty_is_the_kl_alone():
    assert penalty(make_config("vlae"), scale_aware, POSTERIOR)[0] == pytest.approx(kl_of(POSTERIOR), rel=1e-6)
