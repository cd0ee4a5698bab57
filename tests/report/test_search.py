"""The search of a directory: its order, the best so far, the front, its axes, and which of its runs a report shows."""

import itertools
import json
import math
import operator

import numpy as np
import pytest

from scaledis import report
from scaledis.datasets.base import sampling
from scaledis.report import axes, gather, page, search
from scaledis.report.pictures import canvas
from scaledis.report.pictures import search as picture
from scaledis.types import Run
from scaledis.workdir import trials
from scaledis.workdir.log import Records
from scaledis.workdir.trials import Trials
from tests import tiny
from tests.report import material
from tests.report.test_page import EVIL, parsed

OTHERS = ("running", "pruned", "failed")
BOTH = (("dci/disentanglement", "max"), ("elbo_nats", "max"))
WIDE = {
    "method.name": "choice:scale_vlae,beta_tcvae",
    "method.beta": "log:1..64",
    "method.gamma": "uniform:0..8",
    "model.latents": "int:2..10",
    "train.batch": "logint:16..2048",
    "model.allocation": "choice:(4,2,2,2),(5,5)",
}
NARROW = {"method.name": "vlae", "method.beta": 8, "model.latents": 10, "model.allocation": [5, 5]}


def numbers(several):
    return [trial.number for trial in several]


@pytest.mark.parametrize(("best", "better"), [("max", max), ("min", min)])
def test_the_best_so_far_is_the_running_extreme_and_of_equal_values_the_first(best, better):
    values = np.random.default_rng(0).integers(0, 30, 40).astype(float)
    states = ["pruned" if n % 7 == 3 else "complete" for n in range(40)]
    found = material.search(values, states, [("dci/disentanglement", best)])
    at = {trial.number: trial.values[0] for trial in search.best_so_far(found)}
    done = {n: value for n, value in enumerate(values) if states[n] == "complete"}
    running = dict(zip(done, itertools.accumulate(done.values(), better), strict=True))
    assert len({*at.values()}) == len(at) < len(done)  # values are tried again
    assert {n: [value for each, value in at.items() if each <= n][-1] for n in done} == running
    assert all(n == min(each for each in done if done[each] == value) for n, value in at.items())


@pytest.mark.parametrize("best", [*itertools.product(("max", "min"), repeat=3)])
def test_the_front_is_what_no_other_trial_dominates(best):
    values = np.random.default_rng(1).integers(0, 6, (60, 3))  # small numbers: some are equal, some in part
    found = material.search(values, objectives=[*zip(("a", "b", "c"), best, strict=True)])
    as_good = [operator.ge if each == "max" else operator.le for each in best]

    def dominates(one, other):
        return all(f(x, y) for f, x, y in zip(as_good, one, other, strict=True)) and (one != other).any()

    expected = {n for n, own in enumerate(values) if not any(dominates(other, own) for other in values)}
    front = search.front(found)
    assert {*numbers(front)} == expected and len(front) == len(expected)
    first = [trial.values[0] for trial in front]
    assert first == sorted(first, reverse=best[0] == "max")


def test_trials_are_in_the_order_of_their_values_and_those_without_one_come_last():
    values, states = [0.5, 0, 0.7, 0.5, 0, 0.1], ["complete", "running", "complete", "complete", "failed", "complete"]
    assert numbers(search.ranked(material.search(values, states))) == [2, 0, 3, 5, 1, 4]
    least = material.search(values, states, [("elbo_nats", "min")])
    assert numbers(search.ranked(least)) == [5, 0, 3, 2, 1, 4]
    assert search.strengths(least) == {5: 1, 0: pytest.approx(2 / 3), 3: pytest.approx(1 / 3), 2: 0}
    pairs = material.search([(1, 5), (2, 4), (3, 3)], objectives=[("a", "max"), ("b", "min")])
    assert numbers(search.ranked(pairs)) == numbers(search.ranked(pairs, 1)) == [2, 1, 0]


def test_a_page_shows_the_ten_best_or_the_first_ones_that_run():
    found = material.search(range(30), ["pruned" if n % 2 else "complete" for n in range(30)])
    assert numbers(search.shown(found)) == list(range(28, 8, -2))
    assert list(search.settings(found))[:3] == ["trial=28,seed=0", "trial=28,seed=1", "trial=26,seed=0"]
    assert search.which(found) == "the best 10 of 30 trials by DCI-D"
    few = material.search(range(3), ["complete", "failed", "complete"])
    assert numbers(search.shown(few)) == [2, 0] and search.which(few) == "the best 2 of 3 trials by DCI-D"
    begun = material.search(range(3), ["failed", "running", "pruned"])
    assert numbers(search.shown(begun)) == [1, 2] and search.which(begun) == "the first 2 of 3 trials"
    assert search.which(material.search([1, 2])) == "all trials, the best first"


@pytest.mark.parametrize(
    ("text", "value", "place"),
    [
        ("uniform:0..8", 2, 0.25),
        ("log:1..64", 8.0, 0.5),
        ("log:1e-05..0.1", 1e-4, 0.25),
        ("int:2..10", 4, 0.25),
        ("logint:16..256", 64, 0.5),
        ("choice:a,b,c", "b", 0.5),
        ("choice:(4,2),[5,5]", [5, 5], 1.0),  # as JSON holds it
        ("choice:32,64,128", 64, 0.5),
        ("uniform:0..8", 9.0, 1.0),
        ("log:1..64", 0.0, None),
        ("log:1..64", None, None),
        ("choice:a,b", "z", None),
    ],
)
def test_a_value_has_a_place_on_its_axis(text, value, place):
    found = axes.of_range(text, []).place(value)
    assert found == (None if place is None else pytest.approx(place))


def test_ticks_are_the_ends_and_round_numbers_or_all_choices():
    assert axes.of_range("uniform:0..8", []).ticks() == [(0, "0"), (0.25, "2"), (0.5, "4"), (0.75, "6"), (1, "8")]
    assert [words for _, words in axes.of_range("log:1..64", []).ticks()] == ["1", "10", "64"]
    assert axes.of_range("int:2..3", []).ticks() == [(0, "2"), (1, "3")]
    assert axes.of_range("choice:(4,2),x", []).ticks() == [(0, "4-2"), (1, "x")]
    assert axes.of_range("choice:a", []).ticks() == [(0, "a")]
    assert axes.Axis(0.5, 0.5).ticks() == [(0.5, "0.5")] and axes.Axis(0.5, 0.5).place(0.5) == 0.5
    other = axes.of_range("a kind of tomorrow", [1, 3.0])
    assert (other.low, other.high) == (1, 3) and axes.of_range("words", ["a", 1]).categories == ("a", "1")


def test_a_value_that_went_astray_lies_at_the_edge_and_a_good_one_never_does():
    values = [*np.linspace(-100, -80, 21), -1e5]
    first, third = np.percentile(values, (25, 75))
    axis = axes.of_values(values, "max")
    assert (axis.low, axis.high) == (pytest.approx(first - 3 * (third - first)), -80)
    assert axis.place(-1e5) == 0 and axes.of_values(values, "min").low == -1e5
    found = material.search(values, objectives=[("elbo_nats", "max")])
    assert search.parallel(found).beyond == [1]
    assert axes.of_values([3.0, 3.0, 3.0, 9.0], "min").high == 9  # quartiles that are equal say nothing


def test_the_sentence_has_the_numbers_the_best_and_what_it_does_not_mean():
    told = search.sentence(material.search([0.1, 0.25, 0, 0, 0], ["complete", "complete", *OTHERS]))
    assert told.startswith(
        "5 trials: 2 complete, 1 running, 1 pruned, 1 failed. Trial 1 has the highest DCI-D, 0.2500, "
    )
    assert told.endswith(
        "with beta 2. It was chosen with factors, by DCI-D, and the best of many noisy values looks better than it is: "
        "score it again on fresh seeds."
    )
    least = search.sentence(material.search([-81.5, -90], objectives=[("elbo_nats", "min")]))
    assert "Trial 1 has the lowest ELBO, −90.00 nats, with beta 2. Across penalties the ELBO favors the lowest" in least
    assert "factors" not in search.sentence(material.search([1], objectives=[("udr", "max")]))
    both = search.sentence(material.search([(1, 1), (2, 0), (0, 0)], objectives=BOTH))
    assert "2 of them form the Pareto front of DCI-D and ELBO. Trial 1 has the highest DCI-D" in both
    none = search.sentence(material.search([0], ["running"]))
    assert none == "1 trial: 1 running. None is complete, so none is the best by DCI-D yet."


def test_the_table_of_a_terminal_has_the_best_trials_and_their_settings():
    params = [{**NARROW, "method.gamma": 1.25, "train.batch": 64}, dict(NARROW)]
    lines = search.table(material.search([0.5, 0.75], space=WIDE, params=params)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6] if "--" not in line]
    assert cells[0] == "trial DCI-D method beta gamma latents batch allocation state".split()
    assert cells[1] == ["1", "0.7500", "vlae", "8", "–", "10", "–", "5-5", "complete"]
    assert cells[2] == ["0", "0.5000", "vlae", "8", "1.25", "10", "64", "5-5", "complete"]
    assert lines[-1] == "The scores are those of all trials, the best first; load_results has all trials."
    assert search.labels(["a.beta", "b.beta", "method.name"]) == {
        "a.beta": "a.beta",
        "b.beta": "b.beta",
        "method.name": "method",
    }


def test_the_page_has_what_the_script_draws():
    importance = {"dci/disentanglement": {"method.beta": 0.75, "method.gamma": 0.25}}
    space = {key: WIDE[key] for key in ("method.beta", "method.gamma")}
    params = [
        {"method.beta": 8.0, "method.gamma": 2},
        {"method.beta": 1.0},
        {"method.beta": 64.0, "method.gamma": EVIL},
    ]
    tried = material.search(
        [1, 3, 0], ["complete", "complete", "failed"], space=space, params=params, importance=importance
    )
    tried = tried._replace(trials=[*tried.trials[:2], tried.trials[2]._replace(why=EVIL)])
    text = page.render("demo", material.sweep(), tried=tried)
    found = parsed(text)["search"]
    assert "<b onload" not in text and found["trials"][2]["why"] == EVIL
    assert [each["places"] for each in found["trials"]] == [[0.5, 0.25, 0.0], [0.0, None, 1.0], [1.0, None, None]]
    assert (found["so_far"], found["ranked"], found["table"], found["front"]) == ([0, 1], [1, 0], [1, 0, 2], [])
    assert found["importance"] == {"DCI-D": {"beta": 0.75, "gamma": 0.25}} and found["words"] == [
        "beta",
        "gamma",
        "DCI-D",
    ]
    assert "Trial 1 has the highest DCI-D" in text  # also where there is no script
    assert parsed(page.render("demo", material.sweep()))["search"] is None


EQUAL = {"dci/disentanglement": dict.fromkeys(WIDE, 1 / 6)}
CASES = {
    "many keys": material.search(range(5), space=WIDE, params=[NARROW] * 5, importance=EQUAL),
    "several objectives": material.search(np.arange(12).reshape(4, 3), objectives=[*BOTH, ("udr", "min")]),
    "one trial": material.search([0.5]),
    "none complete": material.search([0, 0, 0], OTHERS),
    "none at all": material.search([]),
}


@pytest.mark.parametrize("found", CASES.values(), ids=CASES)
def test_any_search_is_drawn(found):
    with canvas.styled():
        drawn = picture.figure(found)
        assert canvas.png(drawn).startswith(b"\x89PNG")
    assert json.dumps(search.data(found), allow_nan=False)
    panels = drawn.axes[max(1, len(found.objectives) - 1) + 1 :]
    done, keys = len(search.complete(found)), len(found.space) + len(found.objectives)
    assert [len(panel.lines) for panel in panels] == ([done + keys] if done else [])


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """A directory with a search of twelve trials, two seeds each; 3 and 4 have one setting, 11 could not be built."""
    monkeypatch.setattr(sampling, "load_dataset", lambda data: tiny.dataset())
    values = [n % 5 + n / 10 for n in range(12)]
    found = material.search(values, ["complete"] * 10 + ["pruned", "failed"])
    betas = {trial.number: float(trial.number + 1 - (trial.number == 4)) for trial in found.trials}
    runs = [
        Run(name, tiny.config(method__beta=betas[trial.number], seed=seed, train__parallel=22))
        for trial in found.trials
        for seed, name in enumerate(trial.runs)
    ]
    directory = material.workdir(tmp_path / "demo", runs, {"none": np.zeros(len(runs))})
    for run in runs:
        Records(directory.run(run.name) / "metrics.jsonl", 0).append({"step": 2, "loss_nats": 9.0})
    trials.write(directory.trials, found)
    return directory, [runs], found


def test_a_report_has_the_best_trials_first_under_their_numbers(searched, capsys):
    directory, groups, found = searched
    summaries = gather.summaries(groups, directory, drawn=0)
    expected = [f"trial {n}" for n in (9, 4, 8, 3, 7, 2, 6, 1, 5, 0) for _ in range(2)]
    assert [each.setting for each in summaries] == expected and not capsys.readouterr().err  # 3 and 4 are no copies
    text = report.table(groups, directory)
    assert "12 trials: 10 complete, 1 pruned, 1 failed. Trial 9 has the highest DCI-D" in text
    assert "The scores are those of the best 10 of 12 trials by DCI-D; load_results has all trials." in text
    more = found._replace(
        trials=[*found.trials, found.trials[0]._replace(number=12, runs=["not yet planned"], values=[99])]
    )
    trials.write(directory.trials, more)
    assert [each.setting for each in gather.summaries(groups, directory, drawn=0)] == expected[:-2]
    directory.trials.unlink()
    assert len(gather.summaries(groups, directory, drawn=0)) == 20  # two settings are one


def test_nothing_is_damaged_by_a_search_without_trials():
    found = Trials(CASES["one trial"].objectives, {})
    assert search.sentence(found).startswith("0 trials: none has begun.") and search.front(found) == []
    assert math.isfinite(search.parallel(found).axes[0].high)
