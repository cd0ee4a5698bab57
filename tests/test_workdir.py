import json
import subprocess
import sys

import pytest

from scaledis.workdir import Records, Workdir, read_json, read_records, write_json
from tests import tiny


def experiment(sweep=("seeds",), **overrides):
    return {"config": tiny.plain(**overrides), "sweep": list(sweep), "command": "python -m scaledis.main"}


def test_a_workdir_holds_one_experiment_and_says_what_differs(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.claim(experiment())
    workdir.claim(experiment())
    with pytest.raises(ValueError, match="config.train.steps is 6 there and 7 here"):
        workdir.claim(experiment(train__steps=7))
    with pytest.raises(ValueError, match=r"sweep is \('seeds',\) there and \(\) here"):
        workdir.claim(experiment(sweep=()))
    assert workdir.claimed()["sweep"] == ["seeds"]


def test_an_empty_workdir_holds_nothing(tmp_path):
    with pytest.raises(ValueError, match="holds no experiment"):
        Workdir(tmp_path).claimed()


def test_a_second_process_is_refused(tmp_path):
    code = "import sys; from scaledis.workdir import Workdir\nwith Workdir(sys.argv[1]).locked(): pass"
    with Workdir(tmp_path).locked():
        second = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert second.returncode and "is in use by process" in second.stderr


def test_a_workdir_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="workdir: .*file.* cannot be written"), Workdir(tmp_path / "file").locked():
        pass


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "scores.json").write_text('{"step": 1')
    with pytest.raises(ValueError, match="scores.json is damaged"):
        read_json(tmp_path / "scores.json")


def test_writing_leaves_nothing_half_done(tmp_path):
    path = tmp_path / "deep" / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1} and [file.name for file in path.parent.iterdir()] == ["scores.json"]


def test_records_forget_what_was_logged_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records = Records(path, 0)
    for step in (10, 20, 30):
        records.append({"step": step})
    with open(path, "a") as file:
        file.write('{"step": 4')  # a line that a kill cut short
    assert [record["step"] for record in read_records(path)] == [10, 20, 30]
    Records(path, 20).append({"step": 25})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20, 25]
