"""What a report reads from a work directory."""

import numpy as np
import pytest

from scaledis import report
from scaledis.core import runtime
from scaledis.core.files import write_sealed
from scaledis.datasets.base import sampling
from scaledis.model import Model
from scaledis.report import content, gather, scores, settings
from scaledis.sweeps import starts
from scaledis.types import Codes, Run
from scaledis.workdir import decisions, score_files
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.decisions import Decision
from scaledis.workdir.log import Records
from tests import tiny
from tests.report import material


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A work directory with two seeds, whose checkpoint holds no model at all."""
    monkeypatch.setattr(sampling, "load_dataset", lambda data: tiny.dataset())
    runs = [Run(f"seed={seed}", tiny.config(seed=seed)) for seed in (0, 1)]
    directory = material.workdir(tmp_path / "demo", runs, {"none": np.zeros(2)})
    for run in runs:
        Records(directory.run(run.name) / "metrics.jsonl", 0).append({"step": 1, "loss_nats": 9.0})
    return directory, [runs]


def test_a_run_that_is_not_drawn_needs_no_model(trained):
    directory, groups = trained
    found = gather.summaries(groups, directory, drawn=0)
    assert [(run.name, run.setting, run.seed, run.step) for run in found] == [
        ("seed=0", "scale_vlae", 0, 1),
        ("seed=1", "scale_vlae", 1, 1),
    ]
    assert all(run.traversals is None and run.records[0]["loss_nats"] == 9.0 for run in found)


def test_the_first_seeds_of_all_settings_are_drawn_before_any_second_one():
    assert settings.first_seeds({"a0": "a", "a1": "a", "a2": "a", "b0": "b", "b1": "b"}, 3) == {"a0", "b0", "a1"}


def test_the_page_names_the_machines_and_versions_that_trained_and_scored(trained, monkeypatch):
    directory, groups = trained
    made = {"runs": ["seed=0", "seed=1"], "device": "Cray, 9 cores", "jax": "9.9.9"}
    Checkpoints(directory.checkpoints(0)).save(3, {"none": np.zeros(2)}, made)
    write_sealed(directory.config, directory.claimed() | {"version": "0.3.1", "commit": "abc"})
    about = {"diverged": None, "unit_kl_nats": None, "split": "all", "held_out": 0.0, "step": 2}
    write_sealed(directory.run("seed=0") / "scores.json", {"all": {}, **about, "version": "0.3.2", "commit": "def"})
    monkeypatch.setattr(runtime, "machine", lambda: "a laptop")
    found = report.facts(groups[0], gather.summaries(groups, directory, drawn=0), directory.claimed())
    assert found["Trained on"] == "Cray, 9 cores; JAX 9.9.9" and found["Trained by"] == "scaledis 0.3.1 abc"
    assert found["Scored by"] == "scaledis 0.3.2 def"
    Checkpoints(directory.checkpoints(0)).save(4, {"none": np.zeros(2)}, made | {"version": "0.4.0", "commit": "fed"})
    found = report.facts(groups[0], gather.summaries(groups, directory, drawn=0), directory.claimed())
    assert found["Trained by"] == "scaledis 0.4.0 fed"  # and not the last command that looked at the directory
    assert [title for title, words in found.items() if "laptop" in words] == ["Page made by"]


STARTS = {"train__starts": 3, "train__rungs": ((0.2, 2, "loss_nats", "min"), (0.5, 1, "loss_nats", "min"))}
STARTS |= {"train__parallel": 6}


def test_starts_are_settings_of_their_own_until_one_is_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "load_dataset", lambda data: tiny.dataset())
    runs = [
        Run(f"seed={seed},start={start}", config)
        for seed in (0, 1)
        for start, (_, config) in enumerate(starts.each(tiny.config(seed=seed, **STARTS)))
    ]
    directory = material.workdir(tmp_path / "demo", runs, {"none": np.zeros(6)})
    taken = {}

    def found(seed, *go_on):
        if go_on:
            several = taken.setdefault(f"seed={seed}", [])
            names = [f"seed={seed},start={start}" for start in go_on]
            over = several[-1].go_on if several else [run.name for run in runs if run.config.seed == seed]
            several.append(Decision(1, "loss_nats", "min", dict.fromkeys(over, 0.0), names))
            decisions.write(directory.rungs, taken)
        known = gather.summaries([runs], directory, drawn=0)
        assert all(run.undecided == ("undecided" in run.setting) for run in known)
        return {setting: [run.name for run in each] for setting, each in scores.by_setting(known).items()}

    each = lambda n, *seeds: {f"scale_vlae, undecided start {n}": [f"seed={s},start={n}" for s in seeds]}  # noqa: E731
    assert found(0) == each(0, 0, 1) | each(1, 0, 1) | each(2, 0, 1)
    assert found(0, 2, 1) == each(1, 0, 1) | each(2, 0, 1) | each(0, 1)
    assert found(0, 2) == {"scale_vlae": ["seed=0,start=2"]} | each(0, 1) | each(1, 1) | each(2, 1)
    found(1, 0, 2)
    assert found(1, 0) == {"scale_vlae": ["seed=0,start=2", "seed=1,start=0"]}
    assert "copy" not in capsys.readouterr().err


def test_drawing_decodes_all_at_once(trained):
    directory, [[run, _]] = trained
    counts = []

    def decode(codes):
        counts.append(len(codes))
        return np.broadcast_to(codes[:, :1, None, None], (len(codes), tiny.SIZE, tiny.SIZE, 3))

    codes = np.zeros((gather.RECONSTRUCTED, 3), np.float32)
    model = Model(run.config, 2, None, lambda images: Codes(codes, codes, np.zeros(3)), decode)
    summary = gather.draw(gather.logged(run, "a", tiny.dataset(), directory), model, tiny.dataset(), run.config)
    assert counts == [3 * gather.FRAMES + gather.RECONSTRUCTED + gather.SAMPLED] and summary.step == 2
    assert summary.traversals.shape == (3, 13, tiny.SIZE, tiny.SIZE, 3)
    np.testing.assert_allclose(summary.traversals[0, :, 0, 0, 0], np.linspace(-3, 3, 13))
    assert not summary.traversals[1:].any() and not summary.reconstructions.any()
    assert summary.samples.shape[0] == gather.SAMPLED and summary.samples.std() > 0.5


def test_edits_are_drawn_where_scores_hold_them(trained):
    directory, [[run, other]] = trained
    edits = {
        "edits/changes": [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]],
        "edits/factor_per_unit": ["ground", None, "colour"],
    }
    for each, held in ((run, edits), (other, {})):
        about = {"diverged": None, "unit_kl_nats": None, "split": "all", "held_out": 0.0, "step": 2}
        write_sealed(directory.run(each.name) / "scores.json", {"all": held, **about})
    found, without = (
        gather.scored(gather.logged(each, "a", tiny.dataset(), directory), tiny.dataset(), directory)
        for each in (run, other)
    )
    np.testing.assert_array_equal(found.changes, edits["edits/changes"])
    assert found.edited == ("ground", None, "colour") and without.changes is None
    assert "edits" in report.pictures([found, without]) and "edits" not in report.pictures([without])


def test_shares_are_of_the_factors_beside_the_codes(trained):
    directory, [[run, _]] = trained
    factors = np.arange(12)[:, None] % [2, 3, 4]
    codes = Codes(np.float32(factors), np.zeros((12, 3), np.float32), np.array([2, 2, 1]))
    about = {"diverged": None, "unit_kl_nats": [1.0] * 3, "split": "all", "held_out": 0.0, "step": 2}
    score_files.write(directory, run, {"all": {}, **about}, codes, np.zeros(12, int), factors)
    known = gather.scored(gather.logged(run, "a", tiny.dataset(), directory), tiny.dataset(), directory)
    np.testing.assert_allclose(known.shares.diagonal(), 1)  # each unit is a factor; image 0 alone would tell nothing


def test_shares_are_of_the_kinds_that_the_metrics_were_told(trained):
    directory, [[run, _]] = trained
    factors = np.stack([np.arange(400), np.arange(400) % 3, np.arange(400) % 4], axis=1)
    codes = Codes(np.float32(factors), np.zeros((400, 3), np.float32), np.array([2, 2, 1]))
    about = {"diverged": None, "unit_kl_nats": [1.0] * 3, "split": "all", "held_out": 0.0, "step": 2}
    score_files.write(directory, run, {"all": {}, **about}, codes, np.arange(400), factors)
    told = Run(run.name, tiny.config(evaluate__kinds=(f"{tiny.dataset().factor_names[0]}=number",)))
    category, number = (gather.summary(each, "a", tiny.dataset(), directory).shares[0, 0] for each in (run, told))
    assert category == pytest.approx(np.log(20) / np.log(400)) and 0.85 < number <= 1  # 20 quantiles in 20 bins


def test_a_flat_run_has_no_score_of_its_levels(trained):
    """Its only level holds every factor: the best there is, of something that it does not have."""
    directory, [[run, _]] = trained
    about = {"diverged": None, "unit_kl_nats": None, "split": "all", "held_out": 0.0, "step": 2}
    write_sealed(
        directory.run(run.name) / "scores.json", {"all": {"level/concentration": 0.5, "mig/mig": 0.25}, **about}
    )
    logged = gather.logged(run, "a", tiny.dataset(), directory)
    flat = logged._replace(allocation=(3,))
    ladder, alone = (gather.scored(each, tiny.dataset(), directory).scores for each in (logged, flat))
    assert ladder == {"MIG": 0.25, "level": 0.5} and alone == {"MIG": 0.25}


def test_a_unit_whose_kl_is_infinite_is_not_dead_and_has_no_nats(trained):
    directory, [[run, _]] = trained
    about = {"diverged": None, "unit_kl_nats": [1.0, None, 0.0], "split": "all", "held_out": 0.0, "step": 2}
    write_sealed(directory.run(run.name) / "scores.json", {"all": {}, **about})
    known = gather.scored(gather.logged(run, "a", tiny.dataset(), directory), tiny.dataset(), directory)
    shown = content.ladder(known)
    assert [(unit.kl, unit.dead) for unit in shown] == [(1.0, False), (None, False), (0.0, True)]


@pytest.mark.parametrize(
    ("logged", "scored", "expected"),
    [
        ({}, None, (6, 2, None)),  # later than its scores
        ({"diverged": 5}, None, (4, 2, 5)),  # frozen after it was scored
        ({"diverged": 2}, 2, (1, 1, 2)),  # scored at step 2 in the state that it kept
        ({}, 2, (6, 1, 2)),  # the end of its log is lost
    ],
)
def test_scores_are_of_their_own_step_and_a_run_that_froze_later_is_frozen(trained, logged, scored, expected):
    directory, [[run, _]] = trained
    Records(directory.run(run.name) / "metrics.jsonl", 1).append({"step": 6, "loss_nats": None, **logged})
    alone = gather.logged(run, "a", tiny.dataset(), directory)
    assert (alone.scored_step, alone.diverged_at) == (None, logged.get("diverged"))
    about = {"diverged": scored, "unit_kl_nats": None, "split": "all", "held_out": 0.0, "step": 2}
    write_sealed(directory.run(run.name) / "scores.json", {"all": {"mig/mig": 0.5}, **about})
    known = gather.scored(alone, tiny.dataset(), directory)
    assert (known.step, known.scored_step, known.diverged_at) == expected
