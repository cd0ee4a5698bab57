"""Runs followed in TensorBoard and in Weights & Biases, which is offline here; scores and sheets while training."""

import sys
import time

import numpy as np
import pytest

from scaledis import input_pipeline, runner, sweep, track
from scaledis.errors import UserError
from scaledis.files import read_json
from scaledis.records import read_records
from scaledis.workdir import Workdir
from tests import tiny

SETTINGS = {"train__evaluate_every": 4, "evaluate__metrics": ("mig",)}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A run of six steps, scored and drawn at the fourth, and what a tracker was given of it."""
    workdir, seen = Workdir(tmp_path_factory.mktemp("tracked")), []
    tracker = track.Tracker(
        log=lambda run, step, values: seen.append((run, step, dict(values))),
        image=lambda run, step, name, pixels: seen.append((run, step, {name: pixels})),
        close=lambda: None,
    )
    with pytest.MonkeyPatch.context() as patch, workdir.locked():
        patch.setattr(input_pipeline, "load_dataset", lambda data: tiny.dataset())
        runs = sweep.expand(tiny.plain(**SETTINGS), [])
        base = {"config": tiny.plain(**SETTINGS), "sweep": [], "command": "test"}
        runner.train_all(workdir, base, runs, trackers=[tracker])
    return workdir, seen


def test_a_tracker_gets_the_terms_that_metrics_jsonl_has(tracked):
    workdir, seen = tracked
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
    (sheet,) = [values["traversals"] for _, _, values in seen if "traversals" in values]
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and np.ptp(sheet) > 100
    assert (workdir.run("run") / "sheets" / "4.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("name", "files"), [("tensorboard", "tensorboard/run/events*"), ("wandb", "**/*.wandb")])
def test_the_libraries_write_their_files(tmp_path, monkeypatch, name, files):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = track.make_tracker(name, Workdir(tmp_path))
    tracker.log("run", 1, {"loss_nats": 3.0})
    tracker.image("run", 1, "traversals", np.zeros((4, 4, 3), np.uint8))
    tracker.close()
    (written,) = tmp_path.glob(files)
    until = time.monotonic() + 60  # wandb writes in a process of its own, which ends with this one
    while b"loss_nats" not in written.read_bytes() and time.monotonic() < until:
        time.sleep(0.05)
    assert b"loss_nats" in written.read_bytes()


def test_a_tracker_that_is_unknown_or_missing_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--track: 'tensorbord' is unknown. Did you mean 'tensorboard'"):
        track.make_tracker("tensorbord", Workdir(tmp_path))
    for name, library in {"tensorboard": "tensorboardX", "wandb": "wandb"}.items():
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UserError, match=rf"pip install scaledis\[{name}\]"):
            track.make_tracker(name, Workdir(tmp_path))
