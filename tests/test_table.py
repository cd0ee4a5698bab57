"""The table of results: from Parquet where a population is scored, from its runs' own files where it is not."""

import errno
import io
import shutil
from pathlib import Path

import jax
import pandas
import pytest
from pyarrow import parquet

from scaledis.core import files, runtime, version
from scaledis.core.errors import UserError
from scaledis.core.files import read_json, write_sealed
from scaledis.datasets.base import sampling
from scaledis.sweeps.expand import expand
from scaledis.training.load import load_results
from scaledis.types import Run
from scaledis.workdir import claims, decisions, table, trials
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import Records
from tests import kills, tiny
from tests.report import material

pytestmark = pytest.mark.usefixtures("linear_method")
LINE = ["--config=tests/tiny_config.py", "--config.method.name=linear", "--config.evaluate.metrics=mig"]
LINE += ["--sweep=seeds:3", "--config.train.parallel=2", "--stages=train,evaluate"]


@pytest.fixture(scope="module")
def scored(linear_method, tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("scored"))
    done = tiny.command(*LINE, f"--workdir={workdir.root}")
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def copy(scored, tmp_path):
    return Workdir(shutil.copytree(scored.root, tmp_path / "copy"))


def test_a_scored_population_is_one_file_that_any_reader_of_parquet_takes(scored):
    assert [path.name for path in sorted((scored.root / "results").iterdir())] == ["0.parquet", "1.parquet"]
    found = parquet.read_table(scored.results(0)).to_pandas()
    assert found["run"].tolist() == ["seed=0", "seed=1"] and found["seed"].tolist() == [0, 1]
    for row, name in enumerate(found["run"]):
        scores = read_json(scored.run(name) / "scores.json")
        assert found.loc[row, "mig/mig"] == scores["all"]["mig/mig"] and found.loc[row, "step"] == 6
    constant = {
        "method.name": "linear",
        "model.allocation": "[2, 1]",
        "dataset": "tiny",
        "fingerprint": tiny.dataset().fingerprint,
        "device": runtime.machine(),
        "jax": jax.__version__,
        **version.here(),
    }
    assert {key: found[key].unique().tolist() for key in constant} == {key: [value] for key, value in constant.items()}
    assert (found["seconds"] > 0).all() and found["final/loss_nats"].notna().all()


def test_a_score_of_every_level_is_a_column_a_level(copy):
    path = copy.run("seed=2") / "scores.json"
    scores = read_json(path)
    scores["all"]["edits/selectivity_per_level"] = [0.25, None]
    write_sealed(path, scores)
    copy.results(1).unlink()
    found = load_results(copy.root).set_index("seed")
    assert found.loc[2, "level2/edits/selectivity"] == 0.25 and "level1/edits/selectivity" not in found
    assert found.loc[[0, 1], "level2/edits/selectivity"].isna().all()


def test_the_table_is_the_same_from_the_files_of_the_runs(scored, copy):
    whole = load_results(scored.root).drop(columns="workdir")
    copy.results(1).unlink()
    mixed = load_results(copy.root).drop(columns="workdir")
    shutil.rmtree(copy.root / "results")
    alone = load_results(copy.root).drop(columns="workdir")
    assert whole["run"].tolist() == ["seed=0", "seed=1", "seed=2"]
    for other in (mixed, alone):
        pandas.testing.assert_frame_equal(whole, other[whole.columns], check_dtype=False)
        assert set(other) == set(whole)


def test_what_is_missing_is_written_and_what_is_there_is_left(copy):
    before, time = tiny.tree(copy.root), copy.results(0).stat().st_mtime_ns
    copy.results(1).unlink()
    assert tiny.command(*LINE, f"--workdir={copy.root}", "--stages=evaluate").returncode == 0
    assert tiny.tree(copy.root) == before and copy.results(0).stat().st_mtime_ns == time


def test_rows_of_fewer_steps_go_when_training_goes_on(copy):
    done = tiny.command(*LINE, f"--workdir={copy.root}", "--config.train.steps=8", "--stages=train")
    assert done.returncode == 0 and not list((copy.root / "results").iterdir())
    found = load_results(copy.root)
    assert (found["step"] == 8).all() and found["mig/mig"].notna().all()  # the scores that there are


def test_a_file_of_a_population_that_still_trained_hides_nothing(copy, capsys):
    early, names = {index: copy.results(index).read_bytes() for index in (0, 1)}, copy.groups()[0]
    line = [*LINE, f"--workdir={copy.root}", "--config.train.steps=8", "--stages=train"]
    assert tiny.command(*line).returncode == 0
    expected = load_results(copy.root)
    for index, content in early.items():  # as if `evaluate` in another terminal had been slower
        copy.results(index).write_bytes(content)
    found = load_results(copy.root)
    pandas.testing.assert_frame_equal(found, expected)
    assert found["dropped_at"].isna().all() and not capsys.readouterr().err
    assert tiny.command(*LINE, f"--workdir={copy.root}", "--config.train.steps=8").returncode == 0
    assert copy.results(0).read_bytes() != early[0]
    decisions.write(copy.rungs, {"*": [decisions.Decision(8, "x", "max", dict.fromkeys(names, 1.0), names[:1])]})
    assert load_results(copy.root).set_index("run")["dropped_at"].dropna().to_dict() == {names[1]: 8}


def test_a_file_counts_for_good_once_the_checkpoints_are_deleted(copy):
    expected = load_results(copy.root)
    shutil.rmtree(copy.root / "checkpoints")
    shutil.rmtree(copy.run("seed=0"))
    assert load_results(copy.root)["final/loss_nats"].equals(expected["final/loss_nats"])


def test_a_sweep_goes_on_and_is_reported_without_the_checkpoints_that_were_deleted(copy):
    shutil.rmtree(copy.checkpoints(0))
    more = [each.replace("seeds:3", "seeds:5") for each in LINE]
    done = tiny.command(*more, f"--workdir={copy.root}")
    assert done.returncode == 0 and not copy.checkpoints(0).exists(), done.stderr
    found = load_results(copy.root)
    assert found["seed"].tolist() == [0, 1, 2, 3, 4] and found["mig/mig"].notna().all()
    assert "(5/5 seeds)" in done.stdout, done.stdout
    done = tiny.command(*more, f"--workdir={copy.root}", "--config.train.steps=8")
    assert done.returncode == 2 and "had come to step 6, but no checkpoint of it can be used" in done.stderr


def test_an_evaluation_that_was_killed_before_it_wrote_its_rows_leaves_none_of_older_scores(copy, monkeypatch):
    line = ["evaluate", *LINE[:-1], f"--workdir={copy.root}", "--step=4"]
    with monkeypatch.context() as patch:
        patch.setattr(table, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tiny.command(*line)
    assert tiny.command(*line).returncode == 0
    assert load_results(copy.root)["scored_step"].tolist() == [4, 4, 4]


def test_an_evaluation_that_was_killed_between_the_files_of_a_run_leaves_no_codes_of_other_scores(copy, monkeypatch):
    line, codes = ["evaluate", *LINE[:-1], f"--workdir={copy.root}"], copy.run("seed=0") / "codes.npz"
    whole, write = codes.read_bytes(), files.write_sealed

    def killing(path, scores):
        if path.name == "scores.json":
            raise kills.Killed
        write(path, scores)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_sealed", killing)
        with pytest.raises(kills.Killed):
            tiny.command(*line, "--step=4")
    assert codes.read_bytes() != whole and tiny.command(*line).returncode == 0
    assert codes.read_bytes() == whole


def test_a_file_is_whole_or_not_there(copy, monkeypatch):
    def full(path, data):
        path.write_text("PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = tiny.tree(copy.root)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"results/0.parquet cannot be written: No space left"):
        table.write(copy, 0, copy.groups()[0])
    assert tiny.tree(copy.root) == before


def test_a_damaged_file_and_one_of_other_runs_are_named_and_made_again_from_the_runs(copy, capsys):
    path, expected = copy.results(0), load_results(copy.root)
    whole, other = path.read_bytes(), copy.results(1).read_bytes()
    strange = io.BytesIO()
    parquet.write_table(parquet.read_table(path).replace_schema_metadata({table.KEYS: "[" * 100_000}), strange)
    for content, message in [
        (whole[: len(whole) // 2], "is damaged: it has no checksum"),
        (b"", "is damaged: it has no checksum"),
        (whole.replace(b'"seed"', b'"seex"'), "is damaged: its checksum differs"),
        (strange.getvalue(), "is damaged: it has no checksum"),
        (other, "is of other runs than population 0 of the plan: seed=2"),
    ]:
        path.write_bytes(content)
        found = load_results(copy.root)
        assert f"results/0.parquet {message}. Its rows are made again" in capsys.readouterr().err
        pandas.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)
    assert tiny.command(*LINE, f"--workdir={copy.root}", "--stages=evaluate").returncode == 0
    assert path.read_bytes() == whole


def test_a_population_without_scores_has_no_file_and_a_row_of_what_is_known(tmp_path):
    workdir = Workdir(tmp_path)
    claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, expand(tiny.plain(), ["seeds:2"]))
    table.write(workdir, 0, workdir.groups()[0])
    assert not (tmp_path / "results").exists()
    found = load_results(tmp_path)
    assert found["seed"].tolist() == [0, 1] and found["sealed"].all()
    promised = ["step", "diverged", "seconds", "device", "dataset", "fingerprint", "version", "commit"]
    assert found[promised].isna().all(axis=None)


def test_a_key_with_numbers_and_tuples_and_one_that_a_population_does_not_know(tmp_path):
    workdir = Workdir(tmp_path)
    runs = expand(tiny.plain(train__parallel=2), ["method.beta=2.0,(2.0,3.0),4.5,5.0"])
    claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs)
    for index, names in enumerate(workdir.groups()):
        found, keys = table.rows(workdir, index, names)
        if index:
            keys.remove("train.keep")
            found = [{name: value for name, value in row.items() if name != "train.keep"} for row in found]
        table.write_rows(workdir, index, found, keys)
    found = load_results(tmp_path)
    assert found["method.beta"].tolist() == ["2.0", "[2.0, 3.0]", 4.5, 5.0]
    assert "train.keep" not in found and found["run"].tolist() == [run.name for run in runs]


def searched(folder, states=("complete", "failed", "pruned", "complete"), values=(0.5, 0, 0, 0.25), beta=(1, 2, 3, 4)):
    """A directory with a search of two seeds a trial: its runs, without checkpoints, have a log of equal terms."""
    found = material.search(values, states, params=[{"method.beta": float(each)} for each in beta])
    settings = [(trial, seed, name) for trial in found.trials for seed, name in enumerate(trial.runs)]
    runs = [
        Run(name, tiny.config(method__beta=trial.params["method.beta"], seed=seed)) for trial, seed, name in settings
    ]
    directory = Workdir(folder)
    if runs:
        claims.claim(directory, {"config": tiny.plain(), "sweep": [], "command": "test"}, runs)
    else:
        write_sealed(directory.config, {"config": tiny.plain(), "sweep": [], "command": "test", "version": "1"})
    for run in runs:
        directory.write_config(run, sampling.facts(tiny.dataset(), run.config.data))
        Records(directory.run(run.name) / "metrics.jsonl", 0).append({"step": 2, "loss_nats": 9.0 + run.config.seed})
    trials.write(directory.trials, found)
    return directory


def test_of_a_search_there_is_a_row_for_each_run_and_for_each_trial_without_runs(tmp_path):
    directory = searched(tmp_path)
    before = tiny.tree(tmp_path)
    found = load_results(tmp_path)
    objective = "objective/dci/disentanglement"
    assert list(found)[:7] == ["workdir", "run", "trial", "trial_state", objective, "seed", "method.beta"]
    assert found["trial"].dtype == "Int64" and found["trial"].tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert found["trial_state"].tolist() == ["complete"] * 2 + ["failed"] + ["pruned"] * 2 + ["complete"] * 2
    values = found[objective]
    assert values.dtype == "float64" and values.dropna().to_dict() == {0: 0.5, 1: 0.5, 5: 0.25, 6: 0.25}
    assert found["run"].isna().tolist() == [False, False, True, False, False, False, False]
    assert found["method.beta"].tolist() == [1, 1, 2, 3, 3, 4, 4] and found["seed"].tolist() == [0, 1, 0, 0, 1, 0, 1]
    assert [name for name in found if name in table.DEFAULTS] == ["seed"]  # a trial without runs adds no other key
    assert found["sealed"].dtype == bool and found["sealed"].all() and found["step"].isna().sum() == 1
    assert tiny.tree(tmp_path) == before
    directory.trials.unlink()
    assert not {"trial", "trial_state"} & {*load_results(tmp_path)}


def test_a_search_whose_runs_have_not_begun_and_one_of_which_nothing_could_be_built(tmp_path):
    directory = searched(tmp_path / "begun")
    held = trials.read(directory.trials)
    more = [*held.trials, trials.Trial(4, "running", {"method.beta": 5.0}, ["trial=4,seed=0"])]
    trials.write(directory.trials, held._replace(trials=more))
    found = load_results(directory.root).iloc[-1]
    assert (found["trial"], found["trial_state"], found["method.beta"]) == (4, "running", 5) and pandas.isna(
        found["run"]
    )
    searched(tmp_path / "failed", ["failed"] * 2, [0, 0])
    found = load_results(tmp_path / "failed")
    assert found["trial_state"].tolist() == ["failed"] * 2 and found["method.beta"].tolist() == [1, 2]
    assert found["run"].isna().all() and found["objective/dci/disentanglement"].isna().all()
    (tmp_path / "failed" / "trials.json").write_text("{}")
    with pytest.raises(UserError, match=r"trials.json is damaged: it has no checksum"):
        load_results(tmp_path / "failed")


def test_trials_of_one_setting_each_count_and_copies_of_them_do_not(tmp_path, capsys):
    directory = searched(tmp_path / "search", beta=(1, 2, 3, 1))
    first = load_results(directory.root)
    assert first["trial"].tolist() == [0, 0, 1, 2, 2, 3, 3] and not capsys.readouterr().err
    copy = shutil.copytree(directory.root, tmp_path / "copy")
    assert load_results([directory.root, copy])["trial"].tolist() == [0, 0, 1, 2, 2, 3, 3, 1]
    assert "6 of 14 runs are copies" in capsys.readouterr().err
    (copy / "trials.json").unlink()  # runs that were extracted from a search are no trials
    for places in ([directory.root, copy], [copy, directory.root]):
        found = load_results(places)
        assert sorted(found["trial"]) == [0, 0, 1, 2, 2, 3, 3] and found["trial"].dtype == "Int64"
    plain = tiny.claimed(tmp_path / "plain", Run("other", tiny.config(method__beta=9.0)))
    found = load_results([plain.root, directory.root])
    assert found["trial"].tolist()[1:] == [0, 0, 1, 2, 2, 3, 3] and pandas.isna(found.loc[0, "trial"])


def test_the_report_of_a_search_shows_its_best_trials_and_evaluate_prints_them(copy):
    names = [name for names in copy.groups() for name in names]
    found = material.search([0.25, 0.5, 0.125], params=[{"method.beta": n + 1.0} for n in range(3)])
    found = found._replace(trials=[each._replace(runs=[name]) for each, name in zip(found.trials, names, strict=True)])
    trials.write(copy.trials, found)
    done = tiny.command("report", f"--workdir={copy.root}")
    assert done.returncode == 0 and "3 trials: 3 complete. Trial 1 has the highest DCI-D, 0.5000" in done.stdout, done
    assert (copy.report / "search.png").stat().st_size > 10_000 and not (copy.report / "sweep.png").exists()
    assert '"search":{"sentence":"3 trials: 3 complete.' in (copy.report / "index.html").read_text()
    done = tiny.command("evaluate", f"--workdir={copy.root}")
    lines = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert lines == ["run", *(names[n] for n in (1, 0, 2)), "trial", "1", "0", "2"], done
