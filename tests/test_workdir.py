"""A work directory: one experiment, one writer, and files that are whole or said to be damaged."""

import errno
import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys

import pytest

from scaledis.core.errors import UserError
from scaledis.core.files import MARK, SEAL, read_json, sealed, write_json, write_lines, write_sealed
from scaledis.datasets.base import sampling
from scaledis.sweeps.configs import freeze
from scaledis.sweeps.expand import expand
from scaledis.types import Run
from scaledis.workdir import claims, locks
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import Records, read_records
from tests import tiny

BASE = {"config": {}, "sweep": ["seeds"], "command": "python -m scaledis.main"}


def runs_of(*sweeps, **overrides):
    return expand(tiny.plain(**overrides), sweeps)


def names(groups):
    return [[run.name for run in group] for group in groups]


def test_a_workdir_holds_one_experiment_and_says_what_differs(tmp_path):
    workdir = Workdir(tmp_path)
    claims.claim(workdir, BASE, runs_of())
    claims.claim(workdir, BASE, runs_of())
    with pytest.raises(UserError, match="holds another run named 'run': train.batch is 8 there and 9 here"):
        claims.claim(workdir, BASE, runs_of(train__batch=9))
    with pytest.raises(
        UserError, match="method.beta is 8.0 there and 2.0 here; method.name is scale|method.beta is 8.0"
    ):
        claims.claim(workdir, BASE, runs_of(method__beta=2.0))
    with pytest.raises(UserError, match="data.held_out_by is '' there and 'place' here"):
        claims.claim(workdir, BASE, runs_of(data__held_out=0.2, data__held_out_by="place"))
    with pytest.raises(UserError, match="train.steps is 6 there and 4 here"):
        claims.claim(workdir, BASE, runs_of(train__steps=4))


def test_how_a_run_is_watched_scored_and_stored_may_change(tmp_path):
    workdir = Workdir(tmp_path)
    claims.claim(workdir, BASE, runs_of())
    free = {
        "evaluate__split": "train",
        "evaluate__metrics": ("mig",),
        "evaluate__train_codes": 30,
        "evaluate__dci_backend": "sklearn",
        "train__log_every": 3,
        "train__checkpoint_every": 3,
        "train__evaluate_every": 3,
        "train__keep": 1,
        "train__parallel": 3,
        "data__directory": "elsewhere",
        "data__memory": "host",
        "train__steps": 8,
    }
    for key, value in free.items():
        assert names(claims.claim(workdir, BASE, runs_of(**{key: value}))) == [["run"]]


def test_the_plan_stays_as_it_was_and_new_runs_join_in_populations_of_their_own(tmp_path):
    workdir = Workdir(tmp_path)
    assert names(claims.claim(workdir, BASE, runs_of("seeds:2", train__parallel=1))) == [["seed=0"], ["seed=1"]]
    groups = claims.claim(workdir, BASE, runs_of("seeds:4", train__parallel=4))
    assert names(groups) == [["seed=0"], ["seed=1"], ["seed=2", "seed=3"]]
    assert workdir.groups() == names(groups)
    assert [run.name for run in workdir.runs()] == [name for group in names(groups) for name in group]
    with pytest.raises(UserError, match="lacks: seed=0; keep their values in the sweep, or take another workdir"):
        claims.claim(workdir, BASE, runs_of("seed=1,2,3"))
    assert workdir.groups() == names(groups)


def test_more_steps_ask_for_extend_where_they_change_the_course(tmp_path):
    workdir = Workdir(tmp_path)
    settings = {"method__name": "pro_vlae"}
    claims.claim(workdir, BASE, runs_of(**settings))
    with pytest.raises(UserError, match="train.steps: from 6 to 8, method.stage of run run would change its course"):
        claims.claim(workdir, BASE, runs_of(**settings, train__steps=8))
    assert names(claims.claim(workdir, BASE, runs_of(**settings, train__steps=8), extend=True)) == [["run"]]


def test_what_a_workdir_holds_comes_back(tmp_path):
    workdir = Workdir(tmp_path)
    with pytest.raises(UserError, match="holds no experiment"):
        workdir.claimed()
    assert workdir.groups() == [] and workdir.runs() == []
    [[run]] = claims.claim(workdir, BASE, runs_of(method__beta=(2.0, 3.0)))
    assert {key: workdir.claimed()[key] for key in BASE} == BASE
    assert workdir.runs() == [run] and workdir.dataset_of("run") == {}
    facts = sampling.facts(tiny.dataset(), run.config.data)
    workdir.write_config(run, facts)
    assert workdir.runs() == [run] and workdir.dataset_of("run") == json.loads(json.dumps(facts))


def test_a_run_that_trained_before_a_check_was_made_is_read_back(tmp_path):
    given = tiny.plain(method__name="pro_vlae", method__stage=6.0)
    with pytest.raises(UserError, match="method.alone"):
        freeze(given)
    run = Run("run", freeze(given, stored=True))
    assert tiny.claimed(tmp_path, run).read_config("run") == run.config


def test_a_second_writer_is_refused(tmp_path):
    code = "import sys; from scaledis.workdir.layout import Workdir\nwith Workdir(sys.argv[1]).locked(): pass"
    with Workdir(tmp_path).locked():
        second = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert second.returncode and "is in use by process" in second.stderr


def test_a_file_system_without_locks_is_one_clear_error(tmp_path, monkeypatch):
    def none(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match="file system without locks .*No locks available.*; put it on another"):
        with Workdir(tmp_path).locked():
            pass


@pytest.mark.parametrize("place", ["open", "write"])
def test_a_full_disk_at_the_start_is_one_clear_error(tmp_path, monkeypatch, place):
    class Full(io.FileIO):
        def __init__(self, *args):
            if place == "open":
                raise OSError(errno.ENOSPC, "No space left on device")
            super().__init__(*args)

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locks, "open", lambda path, *_, **__: Full(path, "a+"), raising=False)
    with pytest.raises(UserError, match=r"workdir: .* cannot be written: No space left on device\."):
        with Workdir(tmp_path).locked():
            pass


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b", "..", ".", "", "a\0b", "\ud800", "x" * 256])
def test_a_name_of_the_plan_that_leads_out_of_the_directory_is_refused(tmp_path, name):
    workdir = Workdir(tmp_path / "inside")
    claims.claim(workdir, BASE, runs_of())
    write_lines(workdir.plan, {"0": {"runs": [name], "allocation": None}})
    write_lines(workdir.planned_configs(0), {name: tiny.plain()})
    for read in (workdir.runs, workdir.groups, lambda: claims.claim(workdir, BASE, runs_of())):
        with pytest.raises(UserError, match=r"plan.json is damaged: .* is not the name of a run\."):
            read()
    with pytest.raises(UserError, match="is not the name of a run"):
        workdir.run(name)
    assert os.listdir(tmp_path) == ["inside"]


@pytest.mark.parametrize("name", ["~nosuchuser/runs", "a\0b", "x" * 300, os.fsdecode(b"a\xff")])
def test_a_workdir_that_cannot_be_is_one_clear_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="workdir: "), Workdir(name).locked():
        pass


def test_a_workdir_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="workdir: .*file.* cannot be written"), Workdir(tmp_path / "file").locked():
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: it has no checksum"),
        (b'{"method": {}}', "is damaged: it has no checksum"),
        (sealed(b'{"method": {}, ' + MARK + b"0" * 64 + b'"}'), "is damaged: it lacks data"),
        (sealed(b"[" * 100_000 + MARK + b"0" * 64), "is damaged or cannot be read"),
        (b"\xff\xfe", "is damaged: it has no checksum"),
    ],
)
def test_a_damaged_config_of_a_run_is_named(tmp_path, content, message):
    workdir = Workdir(tmp_path)
    [[run]] = claims.claim(workdir, BASE, runs_of())
    workdir.write_config(run, {})
    path = workdir.run("run") / "config.json"
    path.write_bytes(content)
    for read in (workdir.runs, lambda: claims.claim(workdir, BASE, runs_of())):
        with pytest.raises(UserError, match=f"runs/run/config.json {message}"):
            read()
    path.unlink()  # without it the plan's stands
    assert names(claims.claim(workdir, BASE, runs_of())) == [["run"]] and len(workdir.runs()) == 1


def test_until_a_run_begins_its_config_is_that_of_the_plan(tmp_path):
    workdir = Workdir(tmp_path)
    claims.claim(workdir, BASE, runs_of("seeds:2", train__parallel=1))
    assert [run.config.seed for run in workdir.runs()] == [0, 1] and not (tmp_path / "runs").exists()
    with pytest.raises(UserError, match="holds another run named 'seed=0': train.batch is 8 there and 9 here"):
        claims.claim(workdir, BASE, runs_of("seeds:2", train__batch=9))
    first, second = workdir.runs()
    workdir.write_config(first._replace(config=tiny.config(train__batch=5)), {})
    assert [run.config.train.batch for run in Workdir(tmp_path).runs()] == [5, 8]
    for content, message in [
        ({}, "is damaged: it lacks seed=1"),
        ({"seed=1": 5}, "is damaged: it lacks data"),
        ({"seed=1": tiny.plain(train__batch=-1)}, "train.batch: -1"),
    ]:
        write_lines(workdir.planned_configs(1), content)
        with pytest.raises(UserError, match=f"planned/1.json:? {message}"):
            Workdir(tmp_path).read_config(second.name)
    with pytest.raises(UserError, match="runs/nobody/config.json is damaged or cannot be read"):
        workdir.read_config("nobody")


def test_a_config_with_a_value_that_cannot_be_names_the_file_and_the_key(tmp_path):
    workdir = Workdir(tmp_path)
    [[run]] = claims.claim(workdir, BASE, runs_of())
    workdir.write_config(run, {})
    path = workdir.run("run") / "config.json"
    write_sealed(path, read_json(path) | {"seed": -1})
    with pytest.raises(UserError, match="runs/run/config.json: seed: -1 must be"):
        workdir.runs()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "scores.json").write_text('{"step": 1')
    with pytest.raises(UserError, match="scores.json is damaged"):
        read_json(tmp_path / "scores.json")
    (tmp_path / "scores.json").write_text('{"step": 1}')
    with pytest.raises(UserError, match="scores.json is damaged: it lacks all, kl"):
        read_json(tmp_path / "scores.json", "step", "all", "kl")


def test_writing_leaves_nothing_half_done(tmp_path):
    path = tmp_path / "deep" / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1} and [file.name for file in path.parent.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("value", [{}, {"a": {"b": (1, 2)}, 'q"': None, MARK.decode(): 3}])
def test_a_seal_is_inside_of_a_file_and_lines_are_the_same_json(tmp_path, value):
    lines, whole = tmp_path / "lines.json", tmp_path / "json.json"
    write_lines(lines, value)
    write_sealed(whole, value)
    write_json(tmp_path / "plain.json", value)
    plain = read_json(tmp_path / "plain.json")
    assert read_json(lines, needs_seal=True) == read_json(whole, needs_seal=True) == plain
    assert len(lines.read_text().splitlines()) == 3 + len(value)
    with pytest.raises(UserError, match=r"plain.json is damaged: it has no checksum\."):
        read_json(tmp_path / "plain.json", needs_seal=True)
    content = whole.read_bytes()
    seal = json.loads(content)[SEAL]
    assert seal == hashlib.sha256(content.replace(seal.encode(), b"0" * 64)).hexdigest()
    whole.write_bytes(content.replace(b"{", b"{ ", 1))
    with pytest.raises(UserError, match=r"json.json is damaged: its checksum differs\."):
        read_json(whole)
    with pytest.raises(ValueError):
        write_lines(tmp_path / "lines.json", {"a": float("inf")})


def test_records_forget_what_was_logged_after_the_checkpoint(tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    records = Records(path, 0)
    for step in (10, 20, 30):
        records.append({"step": step})
    with open(path, "a") as file:
        file.write('{"step": 4')  # a line that a kill cut short
    assert [record["step"] for record in read_records(path, 30)] == [10, 20, 30]
    Records(path, 20).append({"step": 25})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20, 25]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("damage", "steps", "message"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"0.5", b"0.6"), *lines[2:]], [1, 3, 4], "not what was written"),
        (lambda lines: [lines[0], *lines[2:]], [1, 3, 4], "lines are missing"),
        (lambda lines: lines[1:], [2, 3, 4], "lines are missing"),
        (lambda lines: [lines[0] + lines[1], *lines[2:]], [3, 4], "not what was written"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], [1, 2, 2, 3, 4], "lines are missing"),
        (lambda lines: [*lines[:2], b'{"step": 9}', *lines[2:]], [1, 2, 3, 4], "not what was written"),
        (lambda lines: [*lines[:2], b"[" * 100_000, *lines[2:]], [1, 2, 3, 4], "not what was written"),
        (lambda lines: lines[:3], [1, 2, 3], "it ends at step 3, before the checkpoint of step 4"),
        (lambda lines: [], [], "it ends at step 0, before the checkpoint of step 4"),
    ],
)
def test_a_changed_a_missing_and_a_merged_line_of_the_log_are_said_and_the_others_stand(
    tmp_path, capsys, damage, steps, message
):
    path = tmp_path / "metrics.jsonl"
    records = Records(path, 0)
    for step in (1, 2, 3, 4):
        records.append({"step": step, "loss_nats": 0.5})
    assert len(read_records(path, 4)) == 4 and capsys.readouterr().err == ""
    path.write_bytes(b"".join(line + b"\n" for line in damage(path.read_bytes().splitlines())))
    found = read_records(path, 4)
    assert [record["step"] for record in found] == steps and {record["loss_nats"] for record in found} <= {0.5}
    said = capsys.readouterr().err
    assert said.startswith(f"{path} is damaged: ") and message in said and said.count("\n") == 1


def test_a_damaged_line_of_a_log_without_seals_is_left_out_and_the_others_stand(tmp_path):
    path = tmp_path / "metrics.jsonl"
    strange = ["null", "7", "[1]", '"text"', "{}", '{"step": null}', '{"step": true}', '{"step": 2.5}', '{"step": -1}']
    strange += [
        '{"step": 1e400}',
        '{"step": ' + "9" * 400 + "}",
        '{"step": ' + "9" * 5000 + "}",
        '{"step": "4"}',
        "\0\0",
    ]
    lines = ['{"step": 2, "loss_nats": 3.5, "bad": [1], "worse": NaN, "long": ' + "9" * 400 + "}", *strange]
    path.write_bytes("\n".join([*lines, '{"step": 6, "loss_nats": null}']).encode() + b"\n\xff\xfe\n")
    good = [{"step": 2, "loss_nats": 3.5}, {"step": 6, "loss_nats": None}]
    assert read_records(path, needs_seals=False) == good and read_records(path) == []
    Records(path, 6, needs_seals=False)
    assert read_records(path) == good
