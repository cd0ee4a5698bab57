import pytest

from scaledis.core.errors import UserError
from scaledis.methods.beta_stcvae import between_blocks, block_sizes, blocks_of
from scaledis.methods.beta_tcvae import flat_total_correlation
from scaledis.methods.scale_vlae import scale_aware
from tests.methods import arrays, flat, kl_of, make_config, make_posterior, penalty

POSTERIOR = flat(make_posterior())
WHOLE = penalty(make_config("beta_tcvae"), flat_total_correlation, POSTERIOR)[1]["total_correlation_level1_nats"]


def total(block=2, **overrides):
    config = make_config("beta_stcvae", method__block=block, **overrides)
    return penalty(config, between_blocks, POSTERIOR, blocks_of)[0]


def test_blocks_of_one_unit_are_the_beta_tcvae():
    flat_one = penalty(make_config("beta_tcvae", method__beta=4.0), flat_total_correlation, POSTERIOR)[0]
    assert total(1, method__beta=4.0) == pytest.approx(flat_one, rel=1e-6)


def test_one_block_of_all_units_leaves_the_kl_minus_the_total_correlation_whatever_beta():
    for beta in (1.0, 5.0, 50.0):
        assert total(6, method__beta=beta) == pytest.approx(kl_of(POSTERIOR) - WHOLE, rel=1e-5)


def test_the_last_block_is_what_is_left():
    """Blocks of 4 among 6 units are a ladder of 4 and 2 units without a penalty within, but for its name."""
    ladder = penalty(make_config("vlae", (4, 2)), scale_aware, make_posterior((4, 2)))[1]
    within = sum(ladder[f"total_correlation_level{level}_nats"] for level in (1, 2))
    expected = kl_of(POSTERIOR) - within + 4 * ladder["inter_nats"]
    assert total(4) == pytest.approx(expected, rel=1e-5)
    rewarded = kl_of(POSTERIOR) - (1 + 5 / 2) * within + 4 * ladder["inter_nats"]
    assert total(4, method__within="rewarded") == pytest.approx(rewarded, rel=1e-5)


def test_the_finest_granularity_is_one_unit_and_the_coarsest_the_largest_block_that_counts():
    assert block_sizes(8, "halves") == {0.25: 1, 0.5: 2, 1.0: 4}
    assert block_sizes(8, "whole") == {0.125: 1, 0.25: 2, 0.5: 4, 1.0: 8}
    assert block_sizes(6, "halves") == {1 / 3: 1, 2 / 3: 2, 1.0: 3}
    assert block_sizes(5, "halves") == {1.0: 1} and block_sizes(5, "whole") == {0.2: 1, 1.0: 5}
    assert block_sizes(1, "halves") == block_sizes(1, "whole") == {1.0: 1}


@pytest.mark.parametrize(
    ("largest", "granularity", "block"), [("halves", 0.25, 1), ("halves", 1.0, 4), ("whole", 0.5, 4), ("whole", 1.0, 8)]
)
def test_a_granularity_is_a_block_size(largest, granularity, block):
    given = {"method__granularity": granularity, "method__largest": largest}
    assert arrays(make_config("beta_stcvae", (8,), **given))["block"] == block


def test_halves_are_the_default_and_leave_beta_something_to_weigh():
    assert make_config("beta_stcvae").method.hyperparameters["largest"] == "halves"
    assert total(method__granularity=1.0) == total(3)
    assert abs(total(method__granularity=1.0, method__beta=9.0) - total(method__granularity=1.0)) > 0.1
    of_the_whole = {"method__granularity": 1.0, "method__largest": "whole"}
    assert total(**of_the_whole) == total(**of_the_whole, method__beta=9.0) == total(6)


def test_a_granularity_that_does_not_exist_names_those_that_do():
    with pytest.raises(UserError, match=r"method.granularity: 0.4 .* 0.333 \(blocks of 1\), 0.667 \(blocks of 2\), 1 "):
        make_config("beta_stcvae", method__granularity=0.4)
    listed = r"method.granularity: 0.4 .* 0.167 \(blocks of 1\), 0.333 \(blocks of 2\), 0.5 .* 1 \(blocks of 6\)"
    with pytest.raises(UserError, match=listed):
        make_config("beta_stcvae", method__granularity=0.4, method__largest="whole")


def test_what_is_no_block_or_no_choice_is_an_error():
    for block in (7, 2.5):
        with pytest.raises(UserError, match=f"method.block: {block} must be a whole number from 1 to 6"):
            make_config("beta_stcvae", method__block=block)
    with pytest.raises(UserError, match="method.block: 2.5 must be a whole number from 1 to 6"):
        make_config("beta_stcvae", method__block=2.5, method__granularity=1.0)
    with pytest.raises(UserError, match="method.within: 'fre' is unknown. Did you mean 'free'"):
        make_config("beta_stcvae", method__within="fre")
    with pytest.raises(UserError, match="method.largest: 'half' is unknown. Did you mean 'halves'"):
        make_config("beta_stcvae", method__largest="half")
