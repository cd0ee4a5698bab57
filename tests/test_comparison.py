"""Paired comparisons against scipy's own interval."""

import numpy as np
import pytest
from scipy import stats

from scaledis.comparison import compared
from scaledis.errors import UserError

OURS = {0: 0.52, 1: 0.60, 2: 0.47, 3: 0.55}
PLAIN = {0: 0.41, 1: 0.52, 2: 0.40, 3: 0.39}


def test_the_paired_difference_has_students_interval():
    found = compared({"ours": OURS, "plain": PLAIN}, against="plain")
    differences = np.array(list(OURS.values())) - np.array(list(PLAIN.values()))
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert found["ours"].difference == pytest.approx(differences.mean())
    assert found["ours"].interval == pytest.approx((interval.low, interval.high))
    assert found["ours"].mean == pytest.approx(0.535)
    assert found["ours"].deviation == pytest.approx(np.std(list(OURS.values()), ddof=1))
    assert found["plain"].difference == 0
    assert found["plain"].interval == (0, 0)


def test_only_common_seeds_are_paired():
    found = compared({"ours": {1: 0.6, 7: 0.9}, "plain": PLAIN, "apart": {9: 0.5}}, against="plain")
    assert found["ours"].seeds == 2
    assert found["ours"].difference == pytest.approx(0.08)
    assert found["ours"].interval is None
    assert found["apart"] == (1, 0.5, None, None, None)


def test_an_unknown_method_lists_the_choices():
    with pytest.raises(UserError, match="against: 'plan' is unknown.*'plain'"):
        compared({"plain": PLAIN}, against="plan")
