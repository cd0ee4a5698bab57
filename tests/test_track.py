"""Runs followed in TensorBoard and in Weights & Biases, which is offline here; scores and sheets while training."""

import functools
import re
import shutil
import sys
import time

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from scaledis.core.errors import UserError
from scaledis.core.files import read_json
from scaledis.datasets.base import sampling
from scaledis.report.pictures import sheets
from scaledis.search import stages
from scaledis.sweeps.expand import expand
from scaledis.training import hooks
from scaledis.training.engine import Job
from scaledis.training.trackers import Tracker, make_tracker, wandb_id
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import tiny

SETTINGS = {"train__evaluate_every": 4, "evaluate__metrics": ("mig",), "evaluate__chance": 2}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A run of six steps, scored and drawn at the fourth, and what a tracker was given of it."""
    workdir, seen = Workdir(tmp_path_factory.mktemp("tracked")), []
    tracker = Tracker(
        begin=lambda run, step: seen.append((run, step, {"begin": step})),
        log=lambda run, step, values: seen.append((run, step, dict(values))),
        image=lambda run, step, name, pixels: seen.append((run, step, {name: pixels})),
        close=lambda: None,
    )
    with pytest.MonkeyPatch.context() as patch, workdir.locked():
        patch.setattr(sampling, "load_dataset", lambda data: tiny.dataset())
        runs = expand(tiny.plain(**SETTINGS), [])
        base = {"config": tiny.plain(**SETTINGS), "sweep": [], "command": "test"}
        beside = [hooks.make_tracking([tracker]), hooks.make_scores(sheets.write, [tracker])]
        stages.train_all(Job(workdir, base, runs, beside=beside))
    return workdir, seen


def test_a_tracker_gets_the_terms_that_metrics_jsonl_has(tracked):
    workdir, seen = tracked
    assert seen[0] == ("run", 0, {"begin": 0})
    terms = {step: values for _, step, values in seen if "loss_nats" in values}
    records = read_records(workdir.run("run") / "metrics.jsonl")
    assert list(terms) == [2, 4, 6] == [record["step"] for record in records]
    for record in records:
        assert terms[record["step"]] == {key: value for key, value in record.items() if key != "step"}


def test_scores_and_a_sheet_are_made_while_it_trains(tracked):
    workdir, seen = tracked
    (scores,) = [values for _, step, values in seen if "score/mig/mig" in values and step == 4]
    (written,) = (workdir.run("run") / "scores").glob("step=4,*.json")
    assert scores["score/mig/mig"] == read_json(written)["all"]["mig/mig"]
    assert "score/mig/mig_chance" not in scores  # chance levels wait for the end
    (sheet,) = [values["traversals"] for _, _, values in seen if "traversals" in values]
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and np.ptp(sheet) > 100
    assert (workdir.run("run") / "sheets" / "4.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("name", "files"), [("tensorboard", "tensorboard/run/events*"), ("wandb", "**/*.wandb")])
def test_the_libraries_write_their_files(tmp_path, monkeypatch, name, files):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    workdir = Workdir(tmp_path)
    workdir.run("run").mkdir(parents=True)
    tracker = make_tracker(name, workdir)
    tracker.begin("run", 0)
    tracker.log("run", 1, {"loss_nats": 3.0})
    tracker.image("run", 1, "traversals", np.zeros((4, 4, 3), np.uint8))
    tracker.close()
    (written,) = tmp_path.glob(files)
    until = time.monotonic() + 60  # wandb writes in a process of its own, which ends with this one
    while b"loss_nats" not in written.read_bytes() and time.monotonic() < until:
        time.sleep(0.05)
    assert b"loss_nats" in written.read_bytes()
    assert name != "wandb" or wandb_id(workdir.run("run"), 1) in written.name


def shown(folder):
    """{step: value} of the term that TensorBoard shows: a session that starts at a step hides what came before it."""
    found = {}
    for path in sorted(folder.glob("events*")):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event, content = event_pb2.Event.FromString(content[12 : 12 + size]), content[16 + size :]
            if event.HasField("session_log"):
                found = {step: value for step, value in found.items() if step < event.step}
            for value in event.summary.value:
                found[event.step] = value.simple_value
    return found


def test_tensorboard_hides_what_lies_beyond_the_step_that_a_run_goes_on_from(tmp_path, monkeypatch):
    expected = [(0, [2.0, 4.0, 6.0]), (4, [2.0, 4.0, 106.0]), (0, [202.0, 204.0, 206.0])]
    for number, (start, values) in enumerate(expected):
        monkeypatch.setattr("time.time", functools.partial(float, 10**9 + number))  # which names the files
        tracker = make_tracker("tensorboard", Workdir(tmp_path))
        tracker.begin("run", start)
        for step in range(start + 2, 7, 2):
            tracker.log("run", step, {"loss_nats": 100.0 * number + step})
        tracker.close()
        assert list(shown(tmp_path / "tensorboard" / "run").values()) == values


def test_an_id_in_wandb_is_of_one_run_from_its_start_on(tmp_path):
    """Two runs of one name in folders of one name, a resume, a move, a restart, a copy, a damaged file."""
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    first.mkdir(parents=True), second.mkdir(parents=True)
    begun = wandb_id(first, 0)
    assert re.fullmatch("[0-9a-f]{16}", begun) and wandb_id(second, 0) != begun
    assert wandb_id(first, 40) == begun
    first = first.rename(tmp_path / "moved")
    assert wandb_id(first, 40) == begun
    restarted = wandb_id(first, 0)
    assert restarted != begun and wandb_id(first, 40) == restarted
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    assert wandb_id(copy, 40) != restarted == wandb_id(first, 40)
    (first / "wandb.txt").write_bytes(b"../\xff" + bytes(4))
    assert wandb_id(first, 40) == wandb_id(first, 40) != restarted


def test_a_tracker_that_is_unknown_or_missing_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--track: 'tensorbord' is unknown. Did you mean 'tensorboard'"):
        make_tracker("tensorbord", Workdir(tmp_path))
    for name, library in {"tensorboard": "tensorboardX", "wandb": "wandb"}.items():
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UserError, match=rf"pip install scaledis\[{name}\]"):
            make_tracker(name, Workdir(tmp_path))
