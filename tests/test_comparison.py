"""Differences over seeds against published examples, families of tests by hand, and the door."""

import math

import numpy as np
import pandas
import pytest
from scipy import stats

from scaledis.core import statistics
from scaledis.core.errors import UserError
from scaledis.core.statistics import Difference, compare, difference, holm, judge, paired

# Student's sleep data, whose tests every statistics package prints: t.test(extra ~ group, data = sleep) in R.
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))
ELSEWHERE = {seed + 100: value for seed, value in SECOND.items()}


def test_common_seeds_are_paired():
    found = difference(FIRST, SECOND)
    assert found.test == "paired" and found.seeds == (10, 10) and found.freedom == 9
    assert found.p == pytest.approx(0.002833, abs=1e-6)
    assert found.interval() == pytest.approx((-2.4598858, -0.7001142), abs=1e-6)
    assert found.means == pytest.approx((0.75, 2.33))


def test_other_seeds_are_compared_by_welch():
    found = difference(FIRST, ELSEWHERE)
    assert found.test == "welch" and found.freedom == pytest.approx(17.776, abs=1e-3)
    assert found.p == pytest.approx(0.07939, abs=1e-5)
    assert found.interval() == pytest.approx((-3.3654832, 0.2054832), abs=1e-6)
    few = difference({0: 1.0, 1: 2.0, 2: 4.0}, {7: 3.0, 8: 3.5})
    assert few.p == pytest.approx(stats.ttest_ind([1, 2, 4], [3, 3.5], equal_var=False).pvalue)


def test_only_common_seeds_are_paired_and_one_of_them_has_no_interval():
    found = paired({1: 0.6, 7: 0.9}, {1: 0.52, 2: 0.4})
    assert found.seeds == (1, 1) and found.difference == pytest.approx(0.08) and found.interval() is None
    assert math.isnan(found.p) and found.seeds_needed() is None
    with pytest.raises(UserError, match="share none"):
        paired({1: 0.6}, {2: 0.5})
    with pytest.raises(UserError, match="nothing to compare"):
        difference({}, {1: 0.5})


def test_equal_scores_differ_by_nothing():
    found = difference(FIRST, FIRST)
    assert (found.difference, found.p, found.interval()) == (0, 1, (0, 0))
    assert judge([found])[0].verdict == "no difference that counts"


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([math.nan, 0.01]) == pytest.approx([1.0, 0.02])
    assert holm([]) == []


def test_a_family_is_judged_together():
    clear, close = (Difference("paired", (5, 5), (1, 0), mean, 0.1, 0.1 / 5**0.5, 4) for mean in (0.4, 0.13))
    below = clear._replace(difference=-0.4)
    small = Difference("paired", (50, 50), (0.5, 0.5), 0.002, 0.05, 0.05 / 50**0.5, 49)
    alone = judge([close])[0]
    assert alone.holm == pytest.approx(0.0436, abs=1e-3) and alone.verdict == "holds"
    assert [each.verdict for each in judge([clear, close, below, small])] == [
        "holds",
        "undecided",
        "does not hold",
        "no difference that counts",
    ]
    assert judge([small], counts=0.01)[0].verdict == "undecided"


@pytest.mark.parametrize(
    ("test", "shift", "deviation", "seeds"),
    # power.t.test(delta, sd, power = .8) in R, one sample and two
    [("paired", 0.5, 1.0, 34), ("paired", 1.0, 1.0, 10), ("welch", 1.0, 2**0.5, 17), ("welch", 0.5, 2**0.5, 64)],
)
def test_the_seeds_that_would_decide(test, shift, deviation, seeds):
    found = Difference(test, (5, 5), (shift, 0), shift, deviation, deviation / 5**0.5, 4)
    assert found.seeds_needed(level=0.05) == seeds
    assert found.seeds_needed(level=0.01) > seeds
    assert found._replace(difference=1e-4).seeds_needed() is None


@pytest.fixture
def results():
    rows = [("ours", FIRST), ("vlae", SECOND), ("apart", ELSEWHERE)]
    return pandas.DataFrame(
        [{"method.name": name, "seed": seed, "mig/mig": value} for name, of in rows for seed, value in of.items()]
    )


def test_the_door_compares_every_pair_or_all_against_one(results):
    every = compare(results, "mig/mig")
    assert every[["one", "other"]].to_numpy().tolist() == [["ours", "vlae"], ["ours", "apart"], ["vlae", "apart"]]
    assert every["test"].tolist() == ["paired", "welch", "welch"]
    assert every["holm"].tolist() == pytest.approx([3 * 0.002833, 2 * 0.07939, 1.0], abs=1e-4)
    assert every["verdict"].tolist() == ["does not hold", "undecided", "undecided"]
    assert every["seeds_needed"].isna().tolist() == [True, False, True]
    one = compare(results, "mig/mig", against="vlae")
    assert one["one"].tolist() == ["ours", "apart"] and one.loc[0, "holm"] == pytest.approx(2 * 0.002833, abs=1e-4)


def test_several_columns_tell_settings_apart(results):
    both = pandas.concat([results.assign(beta=1.0), results.assign(beta=4.0)])
    with pytest.raises(UserError, match="ours has two runs of seed 0; name in `by`"):
        compare(both, "mig/mig")
    found = compare(both, "mig/mig", by=["method.name", "beta"], against=("ours", 1.0))
    assert found["one"].tolist()[-1] == ("apart", 4.0) and len(found) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "mig/mgi"}, "score: 'mig/mgi' is unknown.*mig/mig"),
        ({"by": "beta"}, "by: 'beta' is unknown"),
        ({"against": "plan"}, "against: 'plan' is none of ours, vlae, apart"),
        ({"by": "seed", "against": 0}, "0 has two runs of seed 0"),
        ({"by": []}, "by: names no column"),
        ({"level": 5.0}, "level: 5.0 must lie between 0 and 1"),
        ({"score": "method.name"}, "score, column 'method.name': .*an array of numbers is needed"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_lists_the_choices(results, change, words):
    with pytest.raises(UserError, match=words):
        compare(results, **{"score": "mig/mig", **change})
    with pytest.raises(UserError, match="gives 1 setting"):
        compare(results[results["method.name"] == "ours"], "mig/mig")


def test_an_infinite_score_is_a_sentence_and_a_missing_one_is_left_out(results):
    results.loc[3, "mig/mig"] = np.inf
    with pytest.raises(UserError, match="score: 'mig/mig' is infinite in a run of seed 3"):
        compare(results, "mig/mig")
    results["mig/mig"] = results["mig/mig"].astype(object).where(results.index != 3, None)
    assert compare(results, "mig/mig")["seeds_one"].tolist() == [9, 9, 10]


@pytest.mark.parametrize("column", ["dropped_at", "diverged"])
def test_runs_that_ended_early_are_left_out(results, column):
    ended = results.assign(**{column: np.where(results.index == 3, 50.0, np.nan)})
    pandas.testing.assert_frame_equal(compare(ended, "mig/mig"), compare(results.drop(index=3), "mig/mig"))


def test_a_setting_has_runs_of_one_data_set(results):
    assert len(compare(results.assign(fingerprint="a"), "mig/mig")) == 3
    with pytest.raises(UserError, match="ours has runs of 2 data sets; take the runs of one"):
        compare(results.assign(fingerprint=["b", *["a"] * (len(results) - 1)]), "mig/mig")


def test_settings_and_scores_may_be_true_or_false():
    table = pandas.DataFrame(
        {"flag": [False, False, True, True], "seed": [0, 1] * 2, "found": [False, True, True, True]}
    )
    found = compare(table, "found", by="flag", against=False).loc[0]
    assert (found["one"], found["other"], found["difference"]) == (True, False, 0.5)


def test_an_interval_of_a_mean_is_scipys():
    values = list(FIRST.values())
    known = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert statistics.interval(values) == pytest.approx((known.low, known.high))
    assert statistics.interval(np.array([1.0])) is None
