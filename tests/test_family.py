"""The primary rows of the plan, judged on made-up scores: each row has its runs, its test and its verdict."""

import sys

import numpy as np
import pytest
from scipy import stats

from experiments import family, tables
from scaledis.core.files import read_json
from scaledis.core.statistics import Difference

STEPS = 40_000
SHIFTS = (0.3, 0.2, 0.1, 0.2, 0.0, 0.1, 0.2, 0.0)  # of one over other, by row


def runs_of(settings, seeds, columns, rng):
    """Runs of some settings: {name: mean} -> their scores, which scatter by .02, two runs of a seed alike."""
    common = dict(zip(seeds, rng.normal(0, 0.1, len(seeds)), strict=True))
    return {
        name: [
            {
                "override": {"seed": seed},
                "diverged": None,
                **{column: mean + common[seed] + rng.normal(0, 0.02) for column in columns},
            }
            for seed in seeds
        ]
        for name, mean in settings.items()
    }


@pytest.fixture
def runs():
    """All runs that the plan asks for."""
    rng = np.random.default_rng(0)
    forty = {f"{name}, {STEPS} steps": mean for name, mean in {"scale_vlae": 0.7, "vlae": 0.4, "dava": 0.5}.items()}
    allocations = [row.one for row in family.rows_of("small", "dava")][5]
    nine = {name: 0.5 for name in allocations if name not in ("ours, (3, 3, 4)", "ours, (4, 6)")}
    vlae = {name.replace("ours", "vlae"): 0.4 for name in allocations}
    primary = runs_of(forty, range(200, 220), ["DCI-D"], rng)
    primary |= runs_of({f"few units first, {STEPS} steps": 0.8}, range(3000, 3020), ["DCI-D"], rng)
    primary |= runs_of({"figure 1, both": 0.6, "figure 1, intra": 0.4}, range(200, 224), ["DCI-D"], rng)
    primary |= runs_of({"ours, (3, 3, 4)": 0.5, "ours, (4, 6)": 0.5}, range(200, 224), ["DCI-D"], rng)
    primary |= runs_of(nine | vlae, range(200, 208), ["DCI-D"], rng)
    blocks = runs_of(
        {"b = 2, free": 0.3, "b = 1": 0.1}, range(200, 224), ["MIG of blocks, upper", "MIG of units, upper"], rng
    )
    for own in blocks.values():
        for run in own:
            run["MIG of best pairs, upper"] = run["MIG of units, upper"] + 0.2
            run |= {name.replace("upper", "lower"): run[name] - 0.01 for name in [*run] if name.endswith("upper")}
    return {"primary": primary, "blocks": blocks}


def test_every_row_is_tested_over_its_seeds_and_corrected_with_the_others(runs):
    rows = family.rows_of("small", "dava")
    judged = family.family(rows, runs)
    p_values = []
    for row, shift, found in zip(rows, SHIFTS, judged, strict=True):
        one, other = (
            np.array([np.mean([runs[row.of][name][n][score] for name in names]) for n in range(row.seeds)])
            for names, score in zip((row.one, row.other), row.scores, strict=True)
        )
        welch = row.title.startswith("few")
        test = stats.ttest_ind(one, other, equal_var=False) if welch else stats.ttest_rel(one, other)
        assert found.difference.test == ("welch" if welch else "paired")
        assert found.difference.p == pytest.approx(test.pvalue)
        assert found.difference.difference == pytest.approx(shift, abs=0.08 if welch else 0.02)
        assert found.verdict == ("holds" if shift else "no difference that counts")
        p_values.append(test.pvalue)
    least = int(np.argmin(p_values))
    assert judged[least].holm == pytest.approx(8 * p_values[least])


def test_a_row_has_its_verdict_once_its_seeds_have_run_and_no_later_row_can_change_it(runs):
    rows = family.rows_of("small", "dava")
    whole = family.family(rows, runs)
    last = runs["primary"]["vlae, (4, 6)"].pop()
    judged = family.family(rows, runs)
    assert judged[5] is None and [each.verdict for each in judged if each] == [
        each.verdict for number, each in enumerate(whole) if number != 5
    ]
    cells = family.cells_of(rows[5], runs["primary"], None)
    assert cells[2] == "7 of 8" and cells[4].startswith("0.0") and cells[-1] == "not all seeds have run"
    runs["primary"]["vlae, (4, 6)"].append({**last, "diverged": 7})
    judged = family.family(rows, runs)
    assert judged[5].difference.seeds == (7, 7) and family.counted(rows[5], runs["primary"]) == (8, 1)
    assert family.cells_of(rows[3], {}, None)[2:5] == ["0 of 24", "0", ""]


@pytest.mark.parametrize(("p", "verdict"), [(0.006, "holds"), (0.02, None), (0.06, "no difference that counts")])
def test_a_verdict_waits_where_the_factor_of_holm_decides(runs, p, verdict, monkeypatch):
    """Of one row that has run among eight Holm's p is 1 to 8 times its own."""
    rows = family.rows_of("small", "dava")
    only = {"primary": {name: runs["primary"][name] for name in ("figure 1, both", "figure 1, intra")}, "blocks": {}}
    small = 1e-3
    error = small / stats.t.isf(p / 2, 23)
    one = Difference("paired", (24, 24), (0.5, 0.5 - small), small, error * 24**0.5, error, 23)
    monkeypatch.setattr(family, "compared", lambda row, runs: one if row == rows[3] else None)
    judged = family.family(rows, only)
    assert [each.verdict if each else None for each in judged] == [None] * 3 + [verdict] + [None] * 4
    if verdict:
        assert (
            judged[3].holm == pytest.approx(8 * p)
            and family.cells_of(rows[3], only["primary"], judged[3])[-1] == verdict
        )
    else:
        assert family.cells_of(rows[3], only["primary"], None)[-1] == "other rows can change it"


def test_an_information_whose_bounds_differ_is_no_number_and_nothing_is_decided(runs):
    for run in runs["blocks"]["b = 2, free"]:
        run["MIG of blocks, lower"] -= 0.03
    judged = family.family(family.rows_of("small", "dava"), runs)
    assert [each.verdict for each in judged[6:]] == ["undecided", "undecided"] and judged[6].holm == 1
    assert family.verdict_of(judged[6]) == "undecided; no number" and judged[0].verdict == "holds"


def test_a_claim_of_what_is_no_number_says_so(runs, tmp_path, monkeypatch):
    facts = {"dataset": "d", "step": 1, "commit": "abc"}
    for run in runs["blocks"]["b = 2, free"]:
        run["MIG of blocks, lower"] -= 0.03
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["family"])
    monkeypatch.setattr(family.blocks, "with_columns", lambda runs: runs)
    for name, held in runs.items():
        found = {each: {"runs": [run | facts for run in of], "machine": "M"} for each, of in held.items()}
        tables.write_results(name, "small", found)
    family.main()
    claims = read_json(tmp_path / "claims.json")
    told = {key: claims["blocks, row 7, small"][key] for key in ("found", "interval", "verdict")}
    assert told == {"found": "no number", "interval": "none", "verdict": "undecided; no number"}
    assert claims["primary, row 1, small"]["verdict"] == "holds" and "nan" not in (tmp_path / "claims.md").read_text()


def test_a_row_of_which_every_run_of_a_side_diverged_is_undecided_and_the_others_are_judged(runs):
    for name in ("figure 1, intra", "b = 1"):
        of = runs["primary"] if name in runs["primary"] else runs["blocks"]
        of[name] = [{**run, "diverged": 7} for run in of[name]]
    rows = family.rows_of("small", "dava")
    judged = family.family(rows, runs)
    decided = {3: "undecided", 4: "no difference that counts", 6: "undecided", 7: "undecided"}
    assert [each.verdict for each in judged] == [decided.get(row, "holds") for row in range(8)]
    least = min(judged, key=lambda each: each.holm)
    assert least.holm == pytest.approx(8 * least.difference.p)  # the rows without a number are tests as well
    cells = family.cells_of(rows[3], runs["primary"], judged[3])
    assert cells[2:] == ["24 of 24", "24", "", "", "1", "undecided; no number"]


def test_a_claim_of_the_family_has_its_verdict_in_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    tables.claim("blocks, row 7", "blocks > units", "plan.md", "0.2 [0.1, 0.3]", "above 0", "small", "holds")
    tables.claim("blocks, other", "something", "none", "0.2 [0.1, 0.3]", "above 0", "small")
    lines = (tmp_path / "claims.md").read_text().splitlines()
    assert lines[-1].endswith("| 0.2 [0.1, 0.3] | above 0 | holds |") and lines[-2].endswith("| above 0 |  |")
