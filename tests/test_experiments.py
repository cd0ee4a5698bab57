"""The scripts of experiments/ from their grid to their table and their claims, on the tiny data set."""

import importlib
import itertools
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import replay, strategies
from scaledis import datasets, methods, networks
from scaledis.core import runtime
from scaledis.core.files import read_json, write_json
from scaledis.datasets import Options, celeba
from scaledis.datasets._builders import prepare
from scaledis.datasets.base import sampling
from scaledis.methods.base.optimizer import make_schedule
from scaledis.methods.base.spec import Hyperparameter
from scaledis.metrics.of_models.shared import classifiers, coding
from scaledis.sweeps.configs import freeze, override
from scaledis.types import ImageSpec
from scaledis.workdir import decisions, score_files
from tests import tiny
from tests.datasets import place
from tests.datasets.test_celeba import faces

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SCRIPTS = (
    *("block_tables", "blocks", "elbo", "figure1", "figure2", "figures", "granularity", "hues", "length", "long"),
    *("network", "parts", "primary", "protocol", "resolution", "search", "search_runs", "selected", "table1", "table2"),
    *("tables", "tuning", "v_shape", "widths"),
)
TIERS = ("small", "paper")
TOP_FEATURES = 4  # of the hidden layers of the top level, for each of the network's width
OWN_NETWORK = {"model__network": "", "model__parameters": 9000}  # that of the method, where the tests' one says nothing
LADDER = {"model__allocation": ((2, 1),), "model__injection": ("map",)}
ALLOCATIONS = [{"model.allocation": allocation} for allocation in [(2, 1), (1, 2), (1, 1, 1), (4, 2, 2, 2)]]


@pytest.fixture(scope="module")
def scripts():
    """The scripts as modules."""
    return {name: importlib.import_module(f"experiments.{name}") for name in SCRIPTS}


@pytest.fixture
def small(scripts, tmp_path, monkeypatch):
    """The scripts on the tiny data set, two seeds a setting, with results in the test's folder."""
    monkeypatch.setattr(datasets, "load", lambda *_, **__: tiny.dataset())
    monkeypatch.setattr(runtime, "prepare_jax", lambda: None)
    monkeypatch.setattr(scripts["protocol"], "ROOT", tmp_path)
    monkeypatch.setattr(scripts["tables"], "RESULTS", tmp_path / "results")
    for figure in ("figure1", "figure2"):
        monkeypatch.setattr(scripts[figure], "RESULTS", tmp_path / "results")
    monkeypatch.setattr(
        scripts["protocol"],
        "tier",
        lambda name: tiny.plain(train__steps=2, model__allocation=(), model__parameters=9000),
    )
    monkeypatch.setitem(methods.choose("pro_scale_vlae").hyperparameters, "fade", Hyperparameter(0.0, "few steps"))
    for script in scripts.values():
        if hasattr(script, "low_priority"):
            monkeypatch.setattr(script, "low_priority", lambda: None)
        if hasattr(script, "SEEDS"):
            monkeypatch.setattr(script, "SEEDS", (0, 1))
    sampling.load_dataset.cache_clear()

    def command(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        scripts[script].main()

    yield scripts, tmp_path / "results", command
    sampling.load_dataset.cache_clear()


def rows_of(path):
    """The cells of a table in Markdown, without its head."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.fixture
def table1(small, monkeypatch):
    """`small`, with a grid of two settings for three methods."""
    scripts, *_ = small
    entry = scripts["table1"].entry

    def entries(sigma):
        return [
            entry("scale_vlae", [sigma], method__beta=(4.0, 8.0), objective__kl_warmup=(0.0,), **LADDER),
            entry("vlae", [sigma], objective__kl_warmup=(0.0, 2.0), **LADDER),
            entry("beta_tcvae", [sigma], method__beta=(4.0, 8.0), objective__kl_warmup=(0.0,), model__latents=(3,)),
        ]

    monkeypatch.setattr(scripts["table1"], "entries", entries)
    return small


def test_the_grids_of_table_1_are_those_that_its_results_were_chosen_from(scripts):
    known = read_json(EXPERIMENTS / "results/table1/small.json")
    of_tiers = {name: scripts["table1"].entries(scripts["protocol"].tier(name)["objective"]["sigma"]) for name in TIERS}
    assert known.keys() == {entry.name for entry in of_tiers["small"]}
    for small, paper in zip(*(of_tiers[name] for name in ("small", "paper")), strict=True):
        tried = [{**row["override"], "seed": 0} for row in known[small.name]["tuning"]["grid"]]
        assert tried == [{**setting, "seed": 0} for setting in small.grid] and len(tried) == 8
        twice = [{**setting, "objective.sigma": 2 * setting["objective.sigma"]} for setting in small.grid]
        assert paper.grid == twice


@pytest.mark.slow
def test_table_1_has_its_choices_its_rows_and_its_claims(table1):
    scripts, results, command = table1
    command("table1")
    known = read_json(results / "table1/small.json")
    for name in ("scale_vlae", "vlae", "beta_tcvae"):
        grid, chosen = known[name]["tuning"]["grid"], known[name]["tuning"]["chosen"]
        best = max(grid, key=lambda row: row["DCI-D"])
        assert len(grid) == 2 and chosen == best["override"] and chosen["seed"] == scripts["protocol"].TUNING_SEED
        assert [run["override"]["seed"] for run in known[name]["runs"]] == [0, 1]
        assert all({**run["override"], "seed": 0} == {**chosen, "seed": 0} for run in known[name]["runs"])
    table = rows_of(results / "table1/small.md")
    assert {row[0] for row in table} == {"scale_vlae", "vlae", "beta_tcvae"}
    assert all("n = 2" in cell for row in table for cell in row[2:6])
    assert (results / "table1/small.png").read_bytes()[:4] == b"\x89PNG"
    claims = read_json(results / "claims.json")
    ours, vlae = known["scale_vlae"]["runs"], known["vlae"]["runs"]
    gaps = [one["DCI-D"] - other["DCI-D"] for one, other in zip(ours, vlae, strict=True)]
    claim = claims["table1, DCI-D, scale_vlae > vlae, small"]
    assert f"{sum(gaps) / 2:.3f} ±" in claim["found"] and claim["interval"] == scripts["tables"].side(gaps)
    assert "table1, MIG, small" in claims and len(rows_of(results / "claims.md")) == len(claims) == 7

    before = tiny.tree(results.parent / "runs")
    command("table1")  # everything is there: nothing trains again
    assert tiny.tree(results.parent / "runs") == before and read_json(results / "table1/small.json") == known


@pytest.mark.slow
def test_granularity_has_a_row_a_beta_and_a_column_a_block(small):
    scripts, results, command = small
    command("granularity", "5", "bank")
    table = rows_of(results / "granularity/small.md")
    assert [row[:2] for row in table] == [[row, score] for score in ("MIG", "DCI-D", "ELBO") for row in ("5", "bank")]
    assert all("n = 2" in cell for row in table for cell in row[2:])
    claims = read_json(results / "claims.json")
    assert {"granularity, beta 5, small", "granularity, beta 5 with a bank, small"} <= set(claims)


@pytest.mark.parametrize("script", sorted({*SCRIPTS} - {"figures", "parts", "protocol", "search_runs", "tables"}))
def test_a_table_of_nothing_is_not_written(small, script):
    scripts, results, command = small
    with pytest.raises(SystemExit, match=r"python -m experiments\.\w+ --tier=small"):
        command(script, "--table")
    assert not list(results.rglob("*.*"))
    if script != "table1":  # nor where Table 1 has run, whose settings others take, and nothing else
        entry = {"tuning": {"chosen": {"model.injection": "map"}}, "runs": [{"DCI-D": 0.1, "MIG": 0.1}], "machine": "M"}
        known = dict.fromkeys(("scale_vlae", "vlae", "beta_tcvae"), entry)
        scripts["tables"].write_results("table1", "small", known)
        with pytest.raises(SystemExit, match=rf"^No run of {script} is finished yet: python -m experiments\.{script}"):
            command(script, "--table")
        assert [path.parent.name for path in results.rglob("*.*")] == ["table1"]


@pytest.mark.parametrize("script", ["table1", "granularity", "length"])
def test_a_name_that_does_not_exist_is_an_error_that_lists_those_there_are(small, script, capsys):
    _, _, command = small
    with pytest.raises(SystemExit):
        command(script, "vale")
    assert re.search("'vale' is none of .*(vlae|10)", capsys.readouterr().err)


@pytest.mark.slow
def test_the_v_shape_has_its_claims_once_every_capacity_has_run(small, monkeypatch):
    scripts, results, command = small
    monkeypatch.setattr(scripts["v_shape"], "CAPACITIES", {9000: (4, 4, 8, 8), 12_000: (4, 4, 8, 8)})
    command("v_shape", "9000")
    of_all = [f"all, {title}" for title in ("MIG", "KL", "I of blocks", "R")]
    rows = rows_of(results / "v_shape/small.md")
    assert [row[0] for row in rows] == ["9,000", *of_all] and not (results / "claims.json").exists()
    command("v_shape")
    rows = rows_of(results / "v_shape/small.md")
    assert [row[0] for row in rows] == ["9,000", "12,000", *of_all]
    assert all(f"n = {2 if row in rows[:2] else 4}" in cell for row in rows for cell in row[1:5])
    known, best = read_json(results / "v_shape/small.json"), {}
    for size in (9000, 12_000):
        of = {b: known[f"{size} parameters, b {b}"]["runs"] for b in (1, 2, 4, 8)}
        best[size] = max(of, key=lambda b, of=of: sum(run["ELBO"] for run in of[b]))
    assert [row[5] for row in rows[:2]] == [str(block) for block in best.values()]
    assert (results / "v_shape/small.png").read_bytes()[:4] == b"\x89PNG"
    claims = read_json(results / "claims.json")
    assert claims["v_shape, small"]["found"].startswith(f"best b: {list(best.values())}; ")
    assert "Spearman" in claims["v_shape, ELBO, small"]["found"]


def with_one_lost(entry):
    """An entry of results whose first run has diverged, as `protocol.found` has it."""
    first, *rest = entry["runs"]
    kept = ("override", "run", "step", "dataset", "commit", "subsets", "blocks", "information", "sizes")
    lost = {key: value if key in kept else None for key, value in first.items()} | {"diverged": 3}
    if "over_steps" in first:  # it was scored once while it was whole, and where its population ended
        (step, whole), *_ = first["over_steps"].items()
        lost["over_steps"] = {step: whole, str(int(step) + 3): dict.fromkeys(whole)}
    return {**entry, "runs": [lost, *rest]}


@pytest.mark.parametrize("script", ["table1", "table2", "figure1", "granularity", "v_shape", "length", "blocks"])
def test_a_run_that_diverged_is_left_out_of_its_table_and_named(scripts, tmp_path, monkeypatch, script):
    monkeypatch.setattr(scripts["tables"], "RESULTS", tmp_path)
    for name in ("table1", script):
        known = read_json(EXPERIMENTS / f"results/{name}/small.json").items()
        scripts["tables"].write_results(name, "small", {key: with_one_lost(entry) for key, entry in known})
    for name in ("blocks", script):
        monkeypatch.setattr(scripts[name], "low_priority", lambda: None, raising=False)
    monkeypatch.setattr(sys, "argv", [script, "--table"])
    scripts[script].main()
    table = (tmp_path / script / "small.md").read_text()
    left = {"v_shape": 2, "blocks": 1}.get(script, 4)
    assert "Diverged and left out: " in table and "nan" not in table
    assert f"n = {left}" in table and f"n = {left + 1}" not in table


def test_long_runs_are_told_where_the_first_one_of_a_method_diverged(scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(scripts["tables"], "RESULTS", tmp_path)
    monkeypatch.setattr(scripts["long"], "low_priority", lambda: None)
    known = read_json(EXPERIMENTS / "results/length/small.json")
    every = {"runs": [{**run, "diverged": 3} for run in known["beta_tcvae_hfs"]["runs"]], "machine": "M"}
    found = {"scale_vlae": with_one_lost(known["scale_vlae"]), "vlae": known["vlae"], "beta_tcvae_hfs": every}
    scripts["tables"].write_results("long", "small", found)
    monkeypatch.setattr(sys, "argv", ["long", "--table"])
    scripts["long"].main()
    rows = {row[0]: row[2:] for row in rows_of(tmp_path / "long/small.md") if row[1] == "DCI-D"}
    assert all("n = 4" in cell for cell in rows["scale_vlae"]) and len(rows["scale_vlae"]) == 9
    assert all("n = 5" in cell for cell in rows["vlae"]) and rows["beta_tcvae_hfs"] == ["–"] * 9
    assert (tmp_path / "long/small.png").read_bytes()[:4] == b"\x89PNG"


def test_a_block_whose_runs_all_diverged_is_not_the_best(scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(scripts["tables"], "RESULTS", tmp_path)
    known = read_json(EXPERIMENTS / "results/v_shape/small.json")
    runs = known["20000 parameters, b 8"]["runs"]
    known["20000 parameters, b 8"]["runs"] = [{**run, "ELBO": None, "MIG": None, "diverged": 3} for run in runs]
    scripts["tables"].write_results("v_shape", "small", known)
    scripts["v_shape"].report("small", scripts["v_shape"].parameters())
    [row] = [row for row in rows_of(tmp_path / "v_shape/small.md") if row[0] == "20,000"]
    assert row[4:] == ["–", "4"] and read_json(tmp_path / "claims.json")["v_shape, small"]["interval"] == "no seed"


def test_the_grid_of_block_tables_is_whole_though_beta_5_has_seeds_of_its_own(scripts):
    rng, tables = np.random.default_rng(0), scripts["block_tables"]
    scores = ("MIG of units, upper", "MIG of blocks, upper", "MIG of blocks, lower", "DCI-D of blocks")
    cells = {"b = 1": 0.0, "b = 2": 0.2, "b = 4": 0.1}

    def runs(gain, seeds):
        return [{"override": {"seed": seed}, **dict.fromkeys(scores, gain + rng.normal(0, 0.01))} for seed in seeds]

    of = {(name, cell): runs(gain, tables.SEEDS) for name in tables.GRIDS for cell, gain in cells.items()}
    of |= {("beta5", cell): runs(2 * gain, range(200, 224)) for cell, gain in cells.items()}
    of["beta5", "b = 4"] = of["beta5", "b = 4"][:12]
    rows = tables.of_grid(of)
    assert [row[1] for row in rows] == [*scores]
    for row in rows:
        assert float(row[2]) == pytest.approx(0.4, abs=0.01) and row[3] == "beta5, b = 2" and float(row[6]) < 0.001
    assert tables.of_grid(of | {("long", "b = 2"): []})[0][2] == "no seed of all blocks"


def test_a_bend_is_above_0_for_a_v(scripts):
    bend = scripts["v_shape"].bend
    elbo = [[float(b == block) for b in (1, 2, 4, 8)] for block in (4, 2, 1, 1, 2, 8)]
    assert bend(elbo) == 2.5 and bend(elbo[2:4] + elbo[:2]) == -0.5 and bend([elbo[0]] * 6) == 0


@pytest.mark.slow
def test_the_small_world_is_compared_with_the_large_one(table1, monkeypatch):
    scripts, results, command = table1
    command("table1")
    monkeypatch.setattr(scripts["resolution"], "METHODS", ("scale_vlae", "vlae", "beta_tcvae"))
    monkeypatch.setattr(scripts["resolution"], "SIZES", {"parameters": 12_000})
    command("resolution")
    rows = rows_of(results / "resolution/small.md")
    assert [row[0] for row in rows] == ["scale_vlae", "vlae", "beta_tcvae"]
    assert all("n = 2" in row[1] and "n = 1" in row[2] for row in rows)
    assert "Spearman over the methods: DCI-D" in (results / "resolution/small.md").read_text()


@pytest.mark.slow
def test_figure_2_edits_the_faces_of_a_set_of_celebas_layout(small, tmp_path, monkeypatch):
    scripts, results, command = small
    splits = {"train": range(20), "validation": range(20, 26), "test": range(26, 36)}
    monkeypatch.setattr(celeba, "SPLITS", splits)
    files, *_ = faces(splits=tuple(map(len, splits.values())))
    monkeypatch.setattr(celeba, "SOURCE", place(celeba.SOURCE, tmp_path, files, count=36))
    prepare.load(celeba.SOURCE, celeba.read, tmp_path, Options())
    monkeypatch.setattr(datasets, "load", lambda *_, **__: celeba.load(tmp_path, Options()).at(tiny.SIZE))
    monkeypatch.setattr(classifiers, "STEPS", 50)
    monkeypatch.setattr(coding, "DEAD", 0.0)  # after two steps no unit has learned anything
    monkeypatch.setattr(scripts["figure2"], "METRICS", ("mig", "edits"))
    own = {"data__name": "celeba", "data__directory": str(tmp_path), "model__allocation": (), **OWN_NETWORK}
    small_tier = tiny.plain(train__steps=2, evaluate__train_codes=10, **own)
    monkeypatch.setattr(scripts["protocol"], "tier", lambda name: small_tier)
    command("figure2", "--data=celeba")
    known = read_json(results / "figure2/celeba-small.json")
    [flat], [ours] = (known[name]["runs"] for name in ("alpha_tcvae", "scale_vlae"))
    assert flat["dataset"] == ours["dataset"] == "celeba at 16x16" and len(ours["edits/selectivity_per_level"]) == 4
    assert (results / "figure2/celeba-small.png").read_bytes()[:4] == b"\x89PNG"
    assert read_json(results / "claims.json")["figure2, celeba-small"]["interval"] == "one seed"
    assert [row[0] for row in rows_of(results / "figure2/celeba-small.md")] == ["alpha_tcvae", "scale_vlae"]


def test_the_claim_of_figure_2_compares_the_levels_below_the_top(small):
    scripts, results, _ = small
    below = scripts["figure2"].below_the_top
    assert below([0.2, 0.4, None, 0.8]) == pytest.approx(0.6) and below([0.3]) == 0.3 and below([]) is None
    facts = {"dataset": "rendered", "step": 9, "commit": "abc"}
    rows = {
        name: [{**facts, "override": {"seed": n}, "edits/selectivity_per_level": levels(n / 100)} for n in range(3)]
        for name, levels in {"alpha_tcvae": lambda n: [0.4 + n], "scale_vlae": lambda n: [0.1, 0.6, 0.7 + n]}.items()
    }
    known = {name: {"runs": found, "machine": "here"} for name, found in rows.items()}
    scripts["tables"].write_results("figure2", "small", known)
    scripts["figure2"].report("small")
    claim = read_json(results / "claims.json")["figure2, small"]
    assert claim["interval"] == "above 0" and "0.245 ±" in claim["found"]


def test_the_elbo_is_compared_over_the_seeds_of_each_setting(small):
    scripts, results, command = small
    facts = {"dataset": "tiny", "step": 2, "commit": "abc"}

    def entry(elbo, dci, mig):
        scores = zip(elbo, dci, mig, strict=True)
        runs = [
            {"ELBO": e, "DCI-D": d, "MIG": m, "override": {"seed": seed}, **facts}
            for seed, (e, d, m) in enumerate(scores)
        ]
        return {"runs": runs, "machine": "here"}

    table1 = {"one": entry([-9.0, -5.0, -7.0], [0.1, 0.6, 0.2], [0.3, 0.1, 0.2]), "two": entry([1, 2], [0, 1], [0, 1])}
    length = {
        "one": entry([10.0, 11.0, 12.0, 9.0], [0.1, 0.2, 0.3, None], [0.1, 0.1, 0.4, 0.1]),
        "starts": entry([1.0, 2.0, 3.0], [None] * 3, [0.1, 0.2, 0.3]),
    }
    for name, known in {"table1": table1, "length": length}.items():
        scripts["tables"].write_results(name, "small", known)
    command("elbo")
    found = read_json(results / "elbo/small.json")
    [one], [other] = (found[name]["runs"] for name in ("table1", "length"))  # "two" and "starts" are no settings of it
    assert found.keys() == {"table1", "length"} and (one["setting"], one["n"], other["n"]) == ("one", 3, 3)
    assert one["DCI-D"] == pytest.approx(0.6 - 0.15) and one["MIG"] == pytest.approx(0.1 - 0.25)
    assert one["DCI-D, rank"] == pytest.approx(1) and one["MIG, rank"] == pytest.approx(-1)
    assert other["DCI-D"] == pytest.approx(0.3 - 0.15) and other["MIG"] == pytest.approx(0.4 - 0.1)
    assert (one["seed"], other["seed"]) == (1, 2)
    again = {"seed": 1, "DCI-D": 0.15}
    assert scripts["elbo"].means_by_seed([one, other, again]) == pytest.approx([0.3, 0.15])
    claim = read_json(results / "claims.json")["elbo, tiny, small"]
    assert claim["found"].startswith("DCI-D, it - the others: 0.300 ± 0.212 [-1.606, 2.206], n = 2, by its seed")
    assert claim["interval"] == "includes 0" and claim["commit"] == "abc"
    assert (results / "elbo/small.png").read_bytes()[:4] == b"\x89PNG"


def test_an_interval_lies_beside_zero_or_includes_it(scripts):
    side = scripts["tables"].side
    assert side([0.1, 0.11, 0.12]) == "above 0" and side([-0.1, -0.11, -0.12]) == "below 0"
    assert side([0.1, -0.1, 0.2]) == "includes 0" and side([0.5]) == "one seed" and side([]) == "no seed"


def test_methods_of_the_same_seeds_are_paired_and_others_are_not(scripts):
    one, other, apart = (
        [{"override": {"seed": n + first}, "MIG": 0.1 * n + more} for n in range(3)]
        for first, more in ((0, 0.5), (0, 0), (7, 0))
    )
    gap_of, shown_gap = scripts["length"].gap_of, scripts["tables"].shown_gap
    assert shown_gap(gap_of(one, other, "MIG")) == "0.500 [0.500, 0.500], n = 3"
    # Welch's by hand: the error is sqrt(2 x 0.01 / 3), with 4 degrees of freedom, whose t is 2.776.
    assert shown_gap(gap_of(one, apart, "MIG")) == "0.500 [0.273, 0.727], Welch, n = 3 and 3"


def test_the_figures_of_the_results_page_are_drawn_from_what_is_committed(scripts, tmp_path, monkeypatch):
    results, figures = tmp_path / "results", scripts["figures"]
    monkeypatch.setattr(scripts["tables"], "RESULTS", results)
    monkeypatch.setattr(sys, "argv", ["figures"])
    drawn = ("figure1", "hues", "length", "blocks")
    for name in (*(f"{folder}/small.json" for folder in drawn), "claims.json"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(EXPERIMENTS / "results" / name, results / name)
    claims = read_json(results / "claims.json")
    claims["primary, row 5, small"]["found"] = "no number"  # has a verdict, and no place in the figure
    write_json(results / "claims.json", claims)
    figures.main()
    names = ("claims", "figure1/small-scores", "hues/small-told", "length/small-starts", "blocks/small")
    for name in names:
        assert (results / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (EXPERIMENTS / f"results/{name}.png").exists()
    assert figures.interval_of("ours 0.56; 0.271 ± 0.066 [0.189, 0.352], n = 5") == (0.271, 0.189, 0.352)
    assert figures.interval_of("0.225 [-0.039, 0.411], Welch, n = 8 and 5") == (0.225, -0.039, 0.411)
    bounds = {
        "MIG of units, upper": 0.3,
        "MIG of units, lower": 0.29,
        "MIG of blocks, upper": 0.8,
        "MIG of blocks, lower": 1,
    }
    assert [figures.mig(bounds, name) for name in ("units", "blocks", "best pairs")] == [0.3, None, None]


def test_a_table_names_each_commit_once_though_a_row_may_sum_up_runs_of_several(scripts):
    runs = [{"dataset": "d", "step": 1, "commit": commit} for commit in ("a1, b2+", "b2+", "c3, a1")]
    known = {"one": {"runs": runs[:2], "machine": "M, 2 cores"}, "two": {"runs": runs[2:], "machine": "M, 2 cores"}}
    assert scripts["tables"].made_with(known) == "Data set d, 1 steps, commit a1, b2+, c3, M, 2 cores."


@pytest.mark.slow
def test_table_2_and_figure_1_take_the_setting_of_table_1(table1, monkeypatch):
    scripts, results, command = table1
    command("table1")
    monkeypatch.setattr(scripts["table2"], "sweep_allocations", lambda: iter(ALLOCATIONS))
    command("table2")
    assert [row[0] for row in rows_of(results / "table2/small.md")] == ["(2, 1)", "(1, 2)", "(1, 1, 1)", "(4, 2, 2, 2)"]
    known = read_json(results / "table2/small.json")
    of = {
        each: [run["DCI-D"] for run in known[f"scale_vlae {each}"]["runs"]]
        for each in ["(2, 1)", "(1, 2)", "(1, 1, 1)"]
    }
    first, best = known["scale_vlae (4, 2, 2, 2)"]["runs"], max(of, key=lambda each: sum(of[each]))
    gaps = [run["DCI-D"] - other for run, other in zip(first, of[best], strict=True)]
    claim = read_json(results / "claims.json")["table2, (4, 2, 2, 2), small"]
    assert f"(4, 2, 2, 2) - {best}: {sum(gaps) / 2:.3f} ±" in claim["found"]
    assert claim["interval"] == scripts["tables"].side(gaps) and claim["commit"] == first[0]["commit"]
    command("figure1")
    assert [row[0] for row in rows_of(results / "figure1/small.md")] == ["none", "intra", "inter", "both"]
    assert (results / "figure1/small.png").read_bytes()[:4] == b"\x89PNG"
    assert {"figure1, intra, small", "figure1, both > none, small", "table2, depth, small"} <= set(
        read_json(results / "claims.json")
    )


@pytest.mark.slow
def test_the_length_begins_with_table_1(table1, monkeypatch):
    scripts, results, command = table1
    monkeypatch.setattr(scripts["length"], "FRESH", (3, 4))
    command("table1")
    command("length")
    known, short = (read_json(results / f"{name}/small.json") for name in ("length", "table1"))
    for method in ("pro_scale_vlae", "pro_scale_vlae-bank"):
        assert [(run["override"]["seed"], run["step"]) for run in known[method]["runs"]] == [(3, 16), (4, 16)]
        starts = known[method]["starts"]
        assert sorted((each["seed"], each["start"]) for each in starts) == [*itertools.product((3, 4), range(3))]
        assert all(sum(each["goes on"] for each in starts if each["seed"] == seed) == 1 for seed in (3, 4))
        assert all(0 <= each["MIG"] <= 1 and each["step"] == 3 for each in starts)
    assert list(known) == ["scale_vlae", "vlae", "beta_tcvae", "pro_scale_vlae", "pro_scale_vlae-bank"]
    estimators = [known[method]["runs"][0]["override"].get("objective.estimator") for method in list(known)[3:]]
    assert estimators == ["minibatch_weighted", "memory_bank"]
    for method, entry in list(known.items())[:3]:
        for run, before in zip(entry["runs"], short[method]["runs"], strict=False):
            assert list(run["over_steps"]) == ["2", "4", "6", "8", "10", "12", "14", "16"] and run["step"] == 16
            assert run["over_steps"]["2"]["DCI-D"] == pytest.approx(before["DCI-D"], abs=1e-6)
            assert run["over_steps"]["16"]["DCI-D"] == run["DCI-D"]
    assert [row[:2] for row in rows_of(results / "length/small.md")][:5] == [[name, "DCI-D"] for name in known]
    ladders = ["DCI-D, scale_vlae > vlae", "MIG, pro_scale_vlae > scale_vlae"]
    pairs = [*ladders, *(f"DCI-D, {method} > beta_tcvae" for method in known if method != "beta_tcvae")]
    assert (results / "length/small.png").read_bytes()[:4] == b"\x89PNG"
    claims = read_json(results / "claims.json")
    assert {f"length, {each}, small" for each in pairs} <= set(claims)


def test_a_circle_is_told_by_its_pair_of_units_which_are_independent_where_its_radius_is_a_factor(scripts):
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, size, 4000) for size in (10, 10, 10, 8, 4, 15)], axis=1)
    angle, share = 2 * np.pi * (factors[:, 2] + rng.random(4000)) / 10, (factors[:, 3] + rng.random(4000)) / 8
    ring, disc = np.full(4000, 2**0.5), np.sqrt(-2 * np.log(1 - share))
    for radius in (ring, disc):
        codes = np.stack([radius * np.cos(angle), factors[:, 1], radius * np.sin(angle), rng.normal(size=4000)], axis=1)
        found = scripts["hues"].of_run(codes, np.full_like(codes, 2 * np.log(0.1)), factors)
        row = found["object_hue"]
        assert row["units"] == [0, 2] and row["pair"] > 0.9 and row["best unit"] < 0.65
        # Box and Muller: a radius that is another factor makes the two units of a circle independent.
        assert (0.8 < row["dependence_nats"] < 2) if radius is ring else (0 <= row["dependence_nats"] < 0.05)
        assert (row["also told"] < 0.1) if radius is ring else (row["also"] == "scale" and 0.8 < row["also told"] <= 1)
        assert found["wall_hue"]["best unit"] > 0.99 and found["floor_hue"]["pair"] < 0.25


def test_on_a_real_set_a_tier_is_one_of_its_own(scripts, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["table1", "--tier=paper", "--data=mpi3d_real"])
    given = scripts["protocol"].arguments("Table 1.", ["vlae"])
    assert given.names == ["vlae"]
    assert given.tier == "mpi3d_real-paper" and scripts["tables"].flags(given.tier) == "--data=mpi3d_real --tier=paper"
    config = scripts["protocol"].tier(given.tier)
    assert (config["data"]["name"], config["train"]["steps"]) == ("mpi3d_real", 300_000)
    monkeypatch.setattr(sys, "argv", ["granularity", "--data=rendered_dsprites"])
    assert scripts["protocol"].arguments("", data=scripts["granularity"].DATA).tier == "small"
    monkeypatch.setattr(sys, "argv", ["table1", "--table"])
    assert scripts["protocol"].arguments("Table 1.", ["vlae"]).names == []
    assert scripts["protocol"].tier("small")["data"]["name"] == "rendered"
    with pytest.raises(SystemExit, match=r"experiments.table1 --data=cars3d --tier=small vlae"):
        scripts["protocol"].chosen("cars3d-small", "vlae")


@pytest.mark.slow
def test_blocks_have_both_bounds_and_go_on_with_the_next_seeds(small, monkeypatch):
    scripts, results, command = small
    blocks = scripts["blocks"]
    tiny_sizes = {"SCORED": (1, 2), "DCI_CODES": 90, "KEPT": 16, "RESULTS": results, "SEEDS": range(4)}
    for name, value in tiny_sizes.items():
        monkeypatch.setattr(blocks, name, value)
    monkeypatch.setattr(blocks, "COMMON", {**blocks.COMMON, "model.latents": 4, "train.steps": 2})
    command("blocks")
    known = read_json(results / "blocks/small.json")
    seeds = {name: [run["override"]["seed"] for run in found["runs"]] for name, found in known.items()}
    assert seeds == {name: [0, 1, 2, 3] if name in blocks.PRIMARY else [0, 1] for name in blocks.CELLS}
    table = {row[0]: row[1:] for row in rows_of(results / "blocks/small.md")}
    assert all("n = 4" in table[name][column] for name in blocks.PRIMARY for column in range(6))
    assert table["b = 4, free"][4:6] == ["–", "–"]  # its units are not paired afterwards
    for seed, cells in ((0, 5), (2, 2)):
        with np.load(results / f"blocks/small-seed{seed}.npz", allow_pickle=False) as kept:
            assert {*kept} == {"index", *(f"{key}{cell}" for key in ("mean", "log_variance") for cell in range(cells))}
            assert kept["mean1"].shape == (16, 4) and kept["mean1"].dtype == np.float16
    before = tiny.tree(results)
    command("blocks")
    assert tiny.tree(results) == before


@pytest.mark.slow
def test_a_search_is_replayed_on_the_settings_that_have_all_of_their_seeds_and_goes_on_where_it_was(small, monkeypatch):
    scripts, results, command = small
    for name, value in {"SETTINGS": 4, "PART": 2, "FEW": 45, "KEPT": 16}.items():
        monkeypatch.setattr(scripts["search_runs"], name, value)
    for name, value in {"REPLAYS": 4, "HALVES": 2, "OF_HALF": 2}.items():
        monkeypatch.setattr(replay, name, value)
    monkeypatch.setattr(scripts["search"], "ARMS", [arm for arm in strategies.ARMS if "TPE" not in arm.title])
    monkeypatch.setattr(scripts["protocol"], "tier", lambda name: tiny.plain(train__steps=8))
    several = list(scripts["search_runs"].parts())
    monkeypatch.setattr(scripts["search_runs"], "parts", lambda: several[:3])
    command("search")
    assert "2 of 4 settings x 2 of 2 seeds" in (results / "search/small.md").read_text()
    assert not (results / "claims.json").exists()
    first = read_json(results / "search/small.json")["settings 0 to 1, seed 0"]
    assert [row["number"] for row in first["runs"]] == [0, 1] and first["runs"][1]["override"]["seed"] == 0
    assert list(first["runs"][0]["over_steps"]) == ["1", "2", "3", "4", "8"]
    assert first["runs"][0]["over_steps"]["8"]["ELBO"] == first["runs"][0]["ELBO"]
    with np.load(results / "search/small-settings0-seed1.npz", allow_pickle=False) as kept:
        assert kept["mean"].shape == (2, 16, 3) and kept["mean"].dtype == np.float16 and kept["nats"].shape == (2, 3)
    monkeypatch.setattr(scripts["search_runs"], "parts", lambda: several)
    command("search")
    assert "4 of 4 settings x 2 of 2 seeds" in (results / "search/small.md").read_text()
    assert read_json(results / "search/small.json")["settings 0 to 1, seed 0"] == first
    assert len(rows_of(results / "search/small.md")) == len(scripts["search"].ARMS)
    assert (results / "search/small.png").read_bytes()[:4] == b"\x89PNG"
    claims = read_json(results / "claims.json")  # of ways that take no more settings than a half of four has
    assert len(claims) == sum(bool(arm.claimed) for arm in strategies.seeds_of_one()) == 2
    before = tiny.tree(results)
    command("search")
    assert tiny.tree(results) == before


def test_the_settings_of_the_search_are_spread_over_its_space_with_the_known_ones_inside(scripts):
    runs = scripts["search_runs"]
    at = runs.points()
    assert at.shape == (64, 4)
    for number in (16, 64):  # each axis has one of the first 16 in each sixteenth of it, and one of 64 in each 64th
        assert all(sorted(np.floor(axis * number)) == list(range(number)) for axis in at[:number].T)
    for key, best in {
        "method.beta": 8,
        "method.gamma": 3,
        "train.learning_rate": 2e-3,
        "objective.sigma": 0.25,
    }.items():
        low, high = runs.SPACE[key]
        assert low * high == pytest.approx(best**2)
        assert all(low <= runs.setting(number)[key] <= high for number in (0, 63))


def test_of_starts_the_one_that_went_on_is_scored(small):
    scripts, *_ = small
    protocol = scripts["protocol"]
    workdir = protocol.place("primary", "small", "few", "runs")
    few = {key: value for key, value in protocol.few_first(10).items() if key.startswith("train.")}
    base = tiny.plain(train__log_every=1, evaluate__metrics=("mig",), model__parameters=30_000)
    rows = protocol.run(workdir, base, [{**few, "seed": 5}, {"seed": 6}])
    [[by_elbo, by_r]] = decisions.read(workdir.rungs).values()
    assert (by_elbo.step, by_elbo.by, by_r.by) == (2, "elbo_nats", "regularization_nats")
    least = min(by_elbo.numbers, key=by_elbo.numbers.get)
    assert len(by_elbo.numbers) == 3 and by_r.numbers.keys() == by_elbo.numbers.keys() - {least}
    kept = min(by_r.numbers, key=by_r.numbers.get)
    assert [(row["override"]["seed"], row["step"]) for row in rows] == [(5, 10), (6, base["train"]["steps"])]
    assert rows[0]["MIG"] == score_files.newest(workdir, kept)["all"]["mig/mig"]
    assert protocol.run(workdir, base, [{**few, "seed": 5}, {"seed": 6}]) == rows


@pytest.mark.slow
def test_both_sizes_of_the_network_are_tuned_alike_and_go_on_where_they_were(table1, monkeypatch):
    scripts, results, command = table1
    network = scripts["network"]
    monkeypatch.setattr(network, "entries", scripts["table1"].entries)
    monkeypatch.setattr(network, "METHODS", ("scale_vlae", "vlae"))
    monkeypatch.setattr(network, "SIZES", {"12000": {"model.parameters": 12_000}, "9000": {}})
    monkeypatch.setattr(scripts["tuning"], "TUNING_SEEDS", (1000, 1001))
    command("network", "12000")
    first = read_json(results / "network/small.json")
    assert [len(found["runs"]) for found in first.values()] == [2] * 6
    command("network")
    known = read_json(results / "network/small.json")
    assert {name: known[name] for name in first} == first
    for name in ("scale_vlae, 12,000 parameters", "vlae, 9,000 parameters"):
        tried = [known[f"{name}, setting {number}"]["runs"] for number in (0, 1)]
        best = max(tried, key=lambda runs: sum(run["DCI-D"] for run in runs))
        [zero, one] = known[name]["runs"]
        assert {**zero["override"], "seed": 9} == {**one["override"], "seed": 9} == {**best[0]["override"], "seed": 9}
        assert [zero["override"]["seed"], one["override"]["seed"]] == [0, 1] and zero["step"] == 8
    gain, base = (known[f"vlae, {size} parameters"]["runs"] for size in ("12,000", "9,000"))
    gaps = [one["DCI-D"] - other["DCI-D"] for one, other in zip(gain, base, strict=True)]
    claim = read_json(results / "claims.json")[
        "network, DCI-D, vlae, 12,000 parameters - vlae, 9,000 parameters, small"
    ]
    assert claim["found"].startswith(f"{sum(gaps) / 2:.3f} ± ") and claim["interval"] == scripts["tables"].side(gaps)
    before = tiny.tree(results)
    command("network")
    assert tiny.tree(results) == before


@pytest.mark.slow
def test_a_long_run_begins_with_the_stages_of_the_known_one(table1, monkeypatch):
    scripts, results, command = table1
    rows = [
        {"override": setting.grid[0] | {"seed": 1}, "DCI-D": 0.1, "diverged": None}
        for setting in scripts["table1"].entries(0.5)
    ]
    known = {row["override"]["method.name"]: {"runs": [row], "machine": "here"} for row in rows}
    known["beta_tcvae_hfs"] = known.pop("beta_tcvae")
    scripts["tables"].write_results("tuning", "small", known)
    command("long", "ours", "few")
    known = read_json(results / "long/small.json")
    assert list(known) == ["scale_vlae", "few units first with a bank"]
    for found in known.values():
        assert [list(run["over_steps"]) for run in found["runs"]] == [[str(8 * n) for n in range(1, 11)]] * 2
    few = known["few units first with a bank"]["runs"][0]["override"]
    assert few["method.alone"] == 16 / 5 and [share for share, *_ in few["train.rungs"]] == [0.2 * 16 / 80] * 2
    assert (results / "long/small.png").read_bytes()[:4] == b"\x89PNG"
    row = next(row for row in rows_of(results / "long/small.md") if row[:2] == ["scale_vlae", "DCI-D"])
    gained = [
        run["over_steps"]["80"]["DCI-D"] - run["over_steps"]["16"]["DCI-D"] for run in known["scale_vlae"]["runs"]
    ]
    assert row[-1].startswith(f"{sum(gained) / 2:.3f} ±")


@pytest.mark.slow
def test_the_best_rule_alone_runs_on_fresh_seeds_of_both_worlds(small, monkeypatch):
    scripts, results, command = small
    selected = scripts["selected"]
    monkeypatch.setattr(selected, "IDEAS", (0, 1))
    monkeypatch.setattr(selected, "FRESH", (2, 3))
    monkeypatch.setattr(selected, "LARGE", {"model.parameters": 12_000})
    command("selected", "usual", "second_stage")
    known = read_json(results / "selected/small.json")
    assert list(known) == ["usual, rendered", "second_stage, rendered, first stage", "second_stage, rendered"]
    assert known["second_stage, rendered"]["runs"][1]["override"]["train.init_from"].endswith("models/1")
    found = selected.candidates(known)
    assert found.keys() == {"usual", "second_stage"} and selected.chosen(known) == max(found, key=found.get)
    command("selected", "fresh")
    known = read_json(results / "selected/small.json")
    fresh = [name for name in known if name.startswith("fresh")]
    assert {name.split(", ")[1] for name in fresh} == {"rendered", "rendered_dsprites"}
    for name in fresh:
        assert [run["override"]["seed"] for run in known[name]["runs"]] == [2, 3]
    better = {"usual, rendered": 0.1, "second_stage, rendered": 0.9, "six_starts, rendered": 1.0}
    for name, value in better.items():
        known[name] = {"runs": [{"DCI-D": value, "diverged": None}] * 2}
    assert selected.chosen(known) == fresh[0].removeprefix("fresh ").split(",")[0]  # it has begun


@pytest.mark.slow
def test_block_tables_have_the_price_of_a_nat_and_the_largest_gain_by_chance(small, monkeypatch):
    scripts, results, command = small
    tables = scripts["block_tables"]
    common = {**scripts["blocks"].COMMON, "model.latents": 4, "train.steps": 2}
    for name, value in {"SCORED": (1, 2), "COMMON": common, "POSTERIORS": 32, "BATCH": 8}.items():
        monkeypatch.setattr(tables, name, value)
    for name, value in {"DCI_CODES": 90, "KEPT": 16, "RESULTS": results}.items():
        monkeypatch.setattr(scripts["blocks"], name, value)
    command("block_tables", "price", "beta2")
    known = {name: read_json(results / f"block_tables/{name}/small.json") for name in ("price", "beta2")}
    for found in known.values():
        assert {cell: len(entry["runs"]) for cell, entry in found.items()} == {f"b = {b}": 2 for b in (1, 2, 4)}
    text = (results / "block_tables/small.md").read_text()
    assert "| price | b = 2 - b = 1 | DCI-D of blocks |" in text and "| block_tables | MIG of units, upper |" in text
    before = tiny.tree(results)
    command("block_tables", "price", "beta2")
    assert tiny.tree(results) == before


def test_differences_are_paired_over_the_seeds_that_both_have(scripts):
    def runs(values):
        pairs = zip((0, 1, 2, 3), values, strict=True)
        return [{"override": {"seed": n}, "DCI-D": v, "diverged": 5 if v is None else None} for n, v in pairs]

    entries = {
        "a": runs([0.5, 0.7, 0.6, 0.9]),
        "b": runs([0.4, 0.5, 0.6, None]),
        "c": runs([None, None, None, 0.2]),
    }
    pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("b", "c"), ("a", "d")]
    rows = scripts["tables"].differences(entries, "DCI-D", pairs)
    half = 4.302652729749464 * 0.1 / 3**0.5  # of t with two degrees of freedom
    words = f"± 0.100 [{0.1 - half:.3f}, {0.1 + half:.3f}], n = 3"
    assert rows[0] == ["a - b", "DCI-D", f"0.100 {words}", "includes 0"]
    assert rows[1][2:] == [f"-0.100 ± 0.100 [{-0.1 - half:.3f}, {half - 0.1:.3f}], n = 3", "includes 0"]
    assert [row[2:] for row in rows[2:]] == [["0.700, n = 1", "one seed"], ["–", "no seed"]]


def test_a_width_is_that_of_the_dense_layers_behind_convolutions_that_stay(scripts):
    base = scripts["protocol"].tier("small")
    axis = scripts["widths"].axis_of(base, "rendered_dsprites")
    for width, changed in axis.sizes.items():
        own = {"data.name": "rendered_dsprites", **scripts["granularity"].COMMON, "model.network": "ladder", **changed}
        network = networks.make(freeze(override(base, own)), ImageSpec((32, 32, 1), 737_280))
        assert TOP_FEATURES * network.width == width and network.channels == (8, 16, 32, 32)


def test_the_512_images_are_a_grid_of_their_factors(scripts, tmp_path):
    scripts["block_tables"].write_images(tmp_path / "512.npz")
    found = datasets.load("arrays", path=tmp_path / "512.npz", resolution=32)
    sizes = dict(zip(found.factor_names, found.factor_sizes, strict=True))
    assert found.table is None and sizes == {"scale": 2, "orientation": 4, "position_x": 8, "position_y": 8}
    images = found.images(np.arange(512))
    assert images.shape == (512, 32, 32, 1) and len(np.unique(images.reshape(512, -1), axis=0)) == 512


def test_the_candidates_are_few_units_first_with_one_change_each(scripts):
    selected = scripts["selected"]
    base = scripts["protocol"].tier("small")
    rules = selected.rules(40_000)
    for setting in rules.values():
        freeze(override(base, setting))  # each is a config
    assert rules["long"]["train.steps"] == 200_000 and rules["long"]["train.rungs"][0][0] == pytest.approx(0.04)
    assert rules["long"]["method.alone"] == 8000 and rules["stretched"]["method.alone"] == 40_000
    late = make_schedule("schedule.beta", rules["late_beta"]["schedule.beta"], 40_000)
    adds = rules["late_beta"]["method.beta"] - 1  # to the ELBO; 7 in `usual`
    assert adds * float(late(0)) == pytest.approx(7, abs=0.01) and adds * float(late(40_000)) == 21
    counts = {"usual": 4, "large": 3}
    known = {
        f"{name}, rendered": {"runs": [{"DCI-D": 0.5, "diverged": None}] * count} for name, count in counts.items()
    }
    known["long, rendered"] = {"runs": [{"DCI-D": 0.9, "diverged": None}] * 3 + [{"DCI-D": None, "diverged": 9}]}
    assert selected.candidates(known) == pytest.approx({"usual": 0.5, "long": 0.675})
    assert selected.chosen(known) == "long"
    assert selected.chosen(known | {"fresh usual, rendered": {"runs": []}}) == "usual"


@pytest.mark.slow
def test_the_v_shape_over_widths_has_a_row_a_width(small, monkeypatch):
    scripts, results, command = small
    monkeypatch.setattr(scripts["widths"], "WIDTHS", (16, 32))
    monkeypatch.setattr(scripts["widths"], "TIMES", 1)
    small_tier = tiny.plain(train__steps=2, model__allocation=(), **OWN_NETWORK)
    monkeypatch.setattr(scripts["protocol"], "tier", lambda name: small_tier)
    command("widths")
    rows = rows_of(results / "widths/small.md")[:2]
    assert [row[0] for row in rows] == ["16", "32"] and all("n = 2" in cell for row in rows for cell in row[1:5])
    claims = read_json(results / "claims.json")
    assert {"widths, small", "widths, ELBO, small"} <= claims.keys() and claims["widths, ELBO, small"][
        "interval"
    ] == "none"
    assert (results / "widths/small.png").read_bytes()[:4] == b"\x89PNG"
