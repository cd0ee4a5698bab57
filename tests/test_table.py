"""The table of results: from Parquet where a population is scored, from its runs' own files where it is not."""

import errno
import io
import shutil
from pathlib import Path

import jax
import pandas
import pytest
from pyarrow import parquet

from scaledis.core import runtime, version
from scaledis.core.errors import UserError
from scaledis.core.files import read_json, write_sealed
from scaledis.sweeps.expand import expand
from scaledis.training.load import load_results
from scaledis.workdir import table
from scaledis.workdir.layout import Workdir
from tests import tiny

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
    workdir.claim({"config": {}, "sweep": [], "command": "test"}, expand(tiny.plain(), ["seeds:2"]))
    table.write(workdir, 0, workdir.groups()[0])
    assert not (tmp_path / "results").exists()
    found = load_results(tmp_path)
    assert found["seed"].tolist() == [0, 1] and found["sealed"].all()
    promised = ["step", "diverged", "seconds", "device", "dataset", "fingerprint", "version", "commit"]
    assert found[promised].isna().all(axis=None)


def test_a_key_with_numbers_and_tuples_and_one_that_a_population_does_not_know(tmp_path):
    workdir = Workdir(tmp_path)
    runs = expand(tiny.plain(train__parallel=2), ["method.beta=2.0,(2.0,3.0),4.5,5.0"])
    workdir.claim({"config": {}, "sweep": [], "command": "test"}, runs)
    for index, names in enumerate(workdir.groups()):
        found, keys = table.rows(workdir, index, names)
        if index:
            keys.remove("train.keep")
            found = [{name: value for name, value in row.items() if name != "train.keep"} for row in found]
        table.write_rows(workdir, index, found, keys)
    found = load_results(tmp_path)
    assert found["method.beta"].tolist() == ["2.0", "[2.0, 3.0]", 4.5, 5.0]
    assert "train.keep" not in found and found["run"].tolist() == [run.name for run in runs]
