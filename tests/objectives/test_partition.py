import numpy as np
import pytest

from scaledis.objectives import partition


def test_groups_are_all_units_then_levels_then_units():
    np.testing.assert_array_equal(
        partition.membership(partition.levels((2, 1))),
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
def test_chain_rule_total_correlation_of_all_units_is_that_of_by_level_plus_inter(allocation):
    rng = np.random.default_rng(0)
    log_q = rng.normal(size=(5, 1 + len(allocation) + sum(allocation)))
    rows = partition.contrasts(partition.levels(allocation))
    total = log_q[:, 0] - log_q[:, 1 + len(allocation) :].sum(1)
    parts = partition.combine(log_q, rows.intra).sum(1) + partition.combine(log_q, rows.inter)
    np.testing.assert_allclose(parts, total, atol=1e-5)


def test_the_rows_of_a_ladder_by_hand():
    rows = partition.contrasts(partition.levels((2, 1)))
    # all, z_2, z_1, z_21, z_22, z_11
    np.testing.assert_array_equal(rows.intra, [[0, 1, 0, -1, -1, 0], [0, 0, 1, 0, 0, -1]])
    np.testing.assert_array_equal(rows.inter, [1, -1, -1, 0, 0, 0])


def test_a_unit_in_no_part_is_in_no_contrast_and_an_empty_part_either():
    parts = partition.levels((2, 2)) * np.array([1.0, 0, 0, 0])
    rows = partition.contrasts(parts)
    np.testing.assert_array_equal(rows.intra, [[0, 1, 0, -1, 0, 0, 0], [0] * 7])
    np.testing.assert_array_equal(rows.inter, [1, -1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(partition.membership(parts).sum(1), [1, 1, 0, 1, 0, 0, 0])


def test_blocks_are_contiguous_and_the_last_one_is_what_is_left():
    blocks = partition.blocks(5, 2)
    np.testing.assert_array_equal(
        blocks, [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(partition.blocks(4, 1), np.eye(4))
