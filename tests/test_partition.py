import numpy as np
import pytest

from scaledis import partition


def test_groups_are_all_units_then_levels_then_units():
    np.testing.assert_array_equal(
        partition.membership((2, 1)),
        [
            [1, 1, 1],
            [1, 1, 0],
            [0, 0, 1],
            [1, 0, 0],
            [0, 1, 0],
            [0, 0, 1],
        ],
    )
    np.testing.assert_array_equal(partition.level_of_unit((4, 2, 2, 2)), [0, 0, 0, 0, 1, 1, 2, 2, 3, 3])


@pytest.mark.parametrize("allocation", [(10,), (4, 6), (3, 3, 4), (4, 3, 2, 1)])
def test_chain_rule_total_correlation_of_all_units_is_that_of_the_levels_plus_inter(allocation):
    rng = np.random.default_rng(0)
    log_q = rng.normal(size=(5, 1 + len(allocation) + sum(allocation)))
    rows = partition.contrasts(allocation, np.ones(sum(allocation)))
    total = log_q[:, 0] - log_q[:, 1 + len(allocation) :].sum(1)
    parts = partition.combine(log_q, rows.intra).sum(1) + partition.combine(log_q, rows.inter)
    np.testing.assert_allclose(parts, total, atol=1e-5)


def test_scale_aware_row_by_hand():
    rows = partition.contrasts((2, 1), np.ones(3))
    row = partition.scale_aware(rows, np.array([4.0, 3.0]), np.float32(2.0))
    # (4-1) [z_2 - z_21 - z_22] + (3-1) [z_1 - z_11] + 2 [all - z_2 - z_1]
    np.testing.assert_allclose(row, [2, 3 - 2, 2 - 2, -3, -3, -2])


def test_no_penalty_at_beta_one_and_gamma_zero():
    rows = partition.contrasts((4, 2, 2, 2), np.ones(10))
    assert not np.any(partition.scale_aware(rows, np.ones(4), np.float32(0)))


def test_an_inactive_unit_is_in_no_contrast_and_an_empty_level_either():
    rows = partition.contrasts((2, 2), np.array([1.0, 0, 0, 0]))
    np.testing.assert_array_equal(rows.intra, [[0, 1, 0, -1, 0, 0, 0], [0] * 7])
    np.testing.assert_array_equal(rows.inter, [1, -1, 0, 0, 0, 0, 0])
