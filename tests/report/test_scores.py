"""The table of scores, as text and as the page has it."""

import pytest
from scipy import stats

from scaledis.report import scores
from scaledis.report.gather import headlines
from scaledis.report.summary import Summary, source
from tests.report import material

CHANCE = {"all": {"DCI-D": 0.02}, "level1": {"DCI-D": 0.3}}
RUNS = [
    Summary("vlae, seed 0", "vlae", scores={"DCI-D": 0.30, "MIG": 0.5}),
    Summary("vlae, seed 1", "vlae", seed=1, scores={"DCI-D": 0.40, "MIG": 0.1}),
    Summary("ours, seed 0", "ours", scores={"DCI-D": 0.60, "MIG": 0.2}),
    Summary("ours, seed 1", "ours", seed=1, scores={"DCI-D": 0.80, "MIG": float("nan")}, backend="lightgbm"),
    Summary("ours, seed 2", "ours", seed=2, diverged_at=1200, dataset="rendered", step=4000),
]


def cells(text):
    return {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in text.splitlines()
        if "|" in line
    }


def test_the_table_has_mean_and_sample_deviation_with_the_best_in_bold():
    text = scores.table(RUNS)
    rows = cells(text)
    assert rows["run"] == ["DCI-D", "MIG"]
    assert rows["vlae (2/2 seeds)"] == ["0.350 ± 0.071", "**0.300 ± 0.283**"]
    assert rows["ours (2/3 seeds)"] == ["**0.700 ± 0.141**", "0.200"]
    assert rows["· ours, seed 1"] == ["0.800", "–"] and rows["· ours, seed 2"] == ["–", "–"]
    for words in ("Data set: rendered, 4,000 steps, seeds 0 to 2.", "DCI by lightgbm.", "ours, seed 2 (step 1,200)"):
        assert words in text
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1


def test_a_run_that_diverged_shows_its_scores_and_is_in_no_mean():
    lost = Summary("vlae, seed 2", "vlae", seed=2, scores={"DCI-D": 0.99}, diverged_at=7)
    text = scores.table([*RUNS[:2], lost, *RUNS[2:]])
    rows = cells(text)
    assert rows["vlae (2/3 seeds)"][0] == "0.350 ± 0.071" and rows["· vlae, seed 2"][0] == "0.990"
    assert "and in no mean: vlae, seed 2 (step 7); ours, seed 2 (step 1,200)." in text


def test_a_score_stands_beside_its_chance_level():
    runs = [
        RUNS[0]._replace(chance=CHANCE),
        RUNS[1]._replace(chance={"all": {"DCI-D": 0.04}}),
        RUNS[2]._replace(levels={"level1": {"DCI-D": 0.4}}, chance=CHANCE),
    ]
    text = scores.table(runs)
    rows = cells(text)
    assert rows["vlae (2/2 seeds)"] == ["0.350 ± 0.071 (0.030)", "**0.300 ± 0.283**"]
    assert rows["ours, seed 0"] == ["**0.600** (0.020)", "0.200"] and "In brackets: the chance level." in text
    found = scores.data(runs)
    assert [[cell.chance for cell in row.cells] for row in found["all"].rows] == [[0.03, None], [0.02, None]]
    assert found["level1"].rows[1].cells[0].chance == 0.3
    assert "In brackets" not in scores.table(RUNS)


def test_floor_and_ceiling_stand_beneath_the_runs_and_are_never_the_best():
    floor, ceiling = {"DCI-D": 0.1, "irs": 0.2}, {"DCI-D": 0.99, "MIG": 0.9}
    runs = [
        RUNS[0]._replace(baselines={"floor, noise": floor, "ceiling, supervised": ceiling}),
        RUNS[2]._replace(baselines={"floor, noise": {"DCI-D": 0.2}}),
        RUNS[3],
    ]
    text = scores.table(runs)
    rows = cells(text)
    assert [*rows][-2:] == ["floor, noise", "ceiling, supervised"]
    assert rows["floor, noise"] == ["0.150", "–"] and rows["ceiling, supervised"] == ["0.990", "0.900"]
    assert rows["ours (2/2 seeds)"][0].startswith("**0.700") and rows["run"] == ["DCI-D", "MIG"]
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1
    found = scores.data([runs[0]._replace(levels={"level1": {"DCI-D": 0.4}}), *runs[1:]])
    assert found["all"].beneath == {"floor, noise": [0.15, None], "ceiling, supervised": [0.99, 0.9]}
    assert found["level1"].beneath == {} and found["all"].best == [0.7, 0.5]


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([0, 1, 2, 3, 4], "seeds 0 to 4"),
        ([4, 2, 3], "seeds 2 to 4"),
        ([0, 1], "seeds 0, 1"),
        ([0, 1, 2, 7], "seeds 0 to 2, 7"),
        ([7, 3, 5, 5, 1, 9, 11], "seeds 1, 3, 5, 7 and 2 more"),
        ([6], "seed 6"),
    ],
)
def test_seeds_in_a_row_are_a_range(seeds, words):
    assert source([Summary("run", "run", seed=seed) for seed in seeds]) == words


def test_every_tie_as_printed_is_the_best_and_where_less_is_better_none_is():
    runs = [
        Summary(name, name, scores={"MIG": score, "dependence": score})
        for name, score in (("a", 0.1), ("b", 0.2), ("c", 0.20001))
    ]
    rows = cells(scores.table(runs))
    assert [rows[name] for name in "abc"] == [["0.100", "0.100"], ["**0.200**", "0.200"], ["**0.200**", "0.200"]]


@pytest.mark.parametrize("runs", [RUNS[:1], [RUNS[0], RUNS[2]]])
def test_the_table_takes_any_runs(runs):
    text = scores.table(runs)
    assert "seeds)" not in text and len(cells(text)) == len(runs) + 2


def test_the_page_has_the_intervals_of_means_and_of_paired_differences():
    found = scores.data(RUNS)["all"]
    vlae, ours = (row.cells[0] for row in found.rows)
    assert (vlae.mean, vlae.n, ours.mean) == (0.35, 2, 0.7) and found.best == [0.7, 0.3]
    expected = stats.ttest_1samp([0.3, 0.4], 0).confidence_interval(0.95)
    assert vlae.interval == pytest.approx((expected.low, expected.high))
    difference = found.differences["vlae"][0]
    expected = stats.ttest_rel([0.6, 0.8], [0.3, 0.4]).confidence_interval(0.95)
    assert difference[0] is None and difference[1] == pytest.approx([0.35, expected.low, expected.high])
    assert found.differences["vlae"][1][1] == pytest.approx([-0.3, None, None])  # MIG has one common seed


def test_every_level_has_a_table():
    found = scores.data(material.sweep())
    assert list(found) == ["all", "level2", "level1"]
    assert found["level2"].rows[1].cells[0].mean == pytest.approx((0.4 + 0.42) / 4)


def test_every_metric_has_a_column_and_the_papers_scores_come_first():
    held = {
        "irs/irs": 0.4,
        "irs/n": 900,
        "dci/disentanglement": 0.5,
        "dci/backend": "lightgbm",
        "mig/mig": 0.1,
        "level/concentration": 0.7,
        "level/redundancy": 0.2,
        "mine/score": 0.9,
        "tad/tad": None,
        "infomec/modularity": None,
        "infomec/explicitness": 0.1,  # no headline, where the headline does not exist
        "mig/mig_chance": 0.01,
        "irs/irs_chance": 0.2,
    }
    found = headlines(held)
    assert list(found.items()) == [("DCI-D", 0.5), ("MIG", 0.1), ("irs", 0.4), ("level", 0.7), ("mine", 0.9)]
    assert headlines(held, "_chance") == {"MIG": 0.01, "irs": 0.2}


def test_without_any_score_there_is_a_sentence_in_place_of_the_table():
    run = Summary("run", "vlae", dataset="folder: mine", step=20)
    assert scores.table([]).startswith("No run has scores.") and "(step 1,200)" in scores.table(RUNS[4:])
    assert scores.table([run]) == "No run has scores. Data set: folder: mine, 20 steps, seed 0."
