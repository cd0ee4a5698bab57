"""What is read back from a work directory is what was written, or it is said: flipped bits, other files, copies."""

import json
import os
import platform
import random
import shutil
import subprocess
import sys

import numpy as np
import pandas
import pytest

from scaledis.core.errors import UserError
from scaledis.core.files import write_arrays
from scaledis.datasets.base import sampling
from scaledis.report import gather
from scaledis.training.load import load_results
from scaledis.workdir import score_files, table
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from tests import tiny

pytestmark = pytest.mark.usefixtures("linear_method")
LINE = ["--config=tests/tiny_config.py", "--config.method.name=linear", "--config.evaluate.metrics=mig"]
LINE += ["--sweep=seeds:2", "--config.train.parallel=2"]
DATASET = tiny.dataset()
NAMES = ["seed=0", "seed=1"]
FLIPS = 400


@pytest.fixture(scope="module")
def finished(linear_method, tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("finished") / "demo")
    done = tiny.command(*LINE, f"--workdir={workdir.root}", "--stages=train,evaluate")
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def copy(finished, tmp_path):
    return Workdir(shutil.copytree(finished.root, tmp_path / "copy"))


def command(workdir, *more):
    return tiny.command(*LINE, f"--workdir={workdir.root}", *more)


def told(workdir, runs, all_rows=True):
    """{path of a fact: number or word} of all that results, a report and a rerun of evaluate read, and the sentences.

    `all_rows` reads the Parquet file too, the slowest of all.
    """
    facts, sentences = {}, []

    def add(reader, read):
        try:
            facts.update(leaves(read(), (reader,)))
        except UserError as error:
            sentences.append(str(error))

    def rows(found):
        """By run; the last terms stand under their step."""
        logs = {
            f"log {row['run']}": {row["step"]: {key[6:]: row[key] for key in row if "final/" in key}} for row in found
        }
        return logs | {row["run"]: {key: row[key] for key in row if key[:5] not in ("step", "final")} for row in found}

    def summary(run):
        found = gather.summary(run, "a", DATASET, workdir, reached=6)._asdict()
        return {**found, "step": None, "records": {record["step"]: record for record in found["records"]}}

    add("configs", lambda: {run.name: repr(run.config) for run in workdir.runs()})
    add("base", workdir.claimed)
    add("rows", lambda: rows(table.rows(workdir, 0, NAMES)[0]))
    if all_rows:
        add("rows", lambda: rows(table.read(workdir)[0].to_dict("records")))
    for run in runs:
        add(f"summary {run.name}", lambda run=run: summary(run))
        add(f"kept {run.name}", lambda run=run: score_files.kept(workdir, run, 6))
    return facts, sentences


def leaves(tree, path=()):
    if isinstance(tree, dict):
        return {key: leaf for name in tree for key, leaf in leaves(tree[name], (*path, name)).items()}
    if isinstance(tree, list | tuple):
        return leaves(dict(enumerate(tree)), path)
    if isinstance(tree, np.ndarray):
        return {path: (str(tree.dtype), tree.shape, tree.tobytes())}
    return {} if pandas.isna(tree) else {path: tree}


def test_no_flipped_bit_of_any_file_changes_what_is_told(finished, copy, capsys):
    """The states of checkpoints have a test of their own (test_checkpoint.py)."""
    runs = finished.runs()
    expected, _ = told(finished, runs)
    for name in NAMES:  # a log whose end is damaged ends at the step that it tells
        log = {path[2:]: fact for path, fact in expected.items() if path[:2] == (f"summary {name}", "records")}
        expected |= {("rows", f"log {name}", *path): fact for path, fact in log.items()}
    rng = random.Random(0)
    files = [path for path in sorted(copy.root.rglob("*")) if path.is_file() and path.stat().st_size]
    files = [path for path in files if "state" not in path.parts and path.name != ".lock"]
    kinds = {path.name if path.suffix == ".json" else path.suffix for path in files}
    assert kinds >= {"config.json", "plan.json", "0.json", "scores.json", "manifest.json", ".jsonl", ".npz", ".parquet"}
    facts, sentences = told(copy, runs)
    assert facts.keys() <= expected.keys() and len(facts) > 300 and not sentences and capsys.readouterr().err == ""
    silent = set()
    for number in range(FLIPS):
        path = files[number % len(files)]
        content = path.read_bytes()
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        facts, sentences = told(Workdir(copy.root), runs, all_rows=path.parent.name in ("results", "copy"))
        false = {key: fact for key, fact in facts.items() if expected.get(key) != fact}
        assert not false, (path, place, bit)
        said = capsys.readouterr().err + "".join(sentences)
        if str(path) not in said:
            silent.add((path.parent.name, path.name))
        path.write_bytes(content)
    # What nobody reads: the plan's configs of runs that have their own, manifests of older checkpoints, locks.
    assert silent <= {("planned", "0.json"), ("2", "manifest.json"), ("4", "manifest.json"), ("copy", ".lock-claim")}


def test_a_flipped_digit_of_a_score_is_said_and_the_score_is_made_again(finished, copy):
    """The digit still parses, and more is better."""
    name = score_files.path(copy, finished.runs()[0], 6).name
    before = tiny.tree(copy.root)
    for file in (f"scores/{name}", "scores.json"):
        path = copy.run("seed=0") / file
        score = json.loads(path.read_text())["all"]["mig/mig"]
        path.write_text(path.read_text().replace(str(score), f"0.9{str(score)[3:]}"))
        shutil.rmtree(copy.root / "results")
        if file == "scores.json":
            with pytest.raises(UserError, match=r"seed=0/scores.json is damaged: its checksum differs. The stage eval"):
                load_results(copy.root)
            done = command(copy, "--stages=report")
            assert done.returncode == 2 and "0.9" not in done.stdout and f"{path} is damaged: its" in done.stderr
        done = command(copy, "--stages=evaluate")
        assert done.returncode == 0 and f"{path} is damaged: its checksum differs." in done.stderr
        assert "seed=1: scoring" not in done.stderr
        after = tiny.tree(copy.root)
        assert {key for key in before if before[key] != after.get(key)} <= {"runs/seed=0/codes.npz"}  # it has the time


@pytest.mark.parametrize(
    "arrays", [{"index": np.arange(3), "mean": np.zeros((3, 3))}, {"mean": np.zeros((3, 3))}, None]
)
def test_codes_of_something_else_are_said_and_made_again(finished, copy, arrays):
    path = copy.run("seed=1") / "codes.npz"
    if arrays is None:  # sealed, and of fewer rows in one of them
        held = score_files.codes(finished, "seed=1")
        write_arrays(path, **held | {"factors": held["factors"][:3]})
    else:
        np.savez(path, **arrays)
    done = command(copy, "--stages=report")
    assert done.returncode == 2 and f"{path} is damaged: " in done.stderr and "evaluate makes it again" in done.stderr
    done = command(copy, "--stages=evaluate")
    assert done.returncode == 0 and f"{path} is damaged: " in done.stderr
    found, expected = (score_files.codes(each, "seed=1") for each in (copy, finished))
    assert found.keys() == expected.keys() and all((found[key] == expected[key]).all() for key in found)


def test_what_a_killed_process_left_goes_with_the_next_command_and_what_is_being_written_stays(copy):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = platform.node()
    left = [
        f"results/0.{here}-{dead.pid}.partial.parquet",
        f"config.{here}-{dead.pid}.partial.json",
        f"runs/seed=0/codes.{here}-{dead.pid}.partial.npz",
        f"runs/seed=1/scores/x.{here}-{dead.pid}.partial.json",
        "runs/seed=1/codes.elsewhere-7.partial.npz",
    ]
    written = [f"runs/seed=0/codes.{here}-{os.getppid()}.partial.npz", "results/0.elsewhere-7.partial.parquet"]
    for name in left + written:
        (copy.root / name).write_text("half")
    os.utime(copy.root / left[-1], (0, 0))  # nobody writes that long
    shutil.copytree(copy.checkpoints(0) / "6", copy.checkpoints(0) / "8.partial")
    before = tiny.tree(copy.root)
    done = command(copy, "--stages=train", "--config.train.keep=2")
    assert done.returncode == 0, done.stderr
    gone = before.keys() - tiny.tree(copy.root).keys()
    assert {name for name in gone if not name.startswith("checkpoints")} == {*left}
    assert sorted(os.listdir(copy.checkpoints(0))) == ["4", "6"] and Checkpoints(copy.checkpoints(0)).newest == 6


def test_a_run_that_is_there_twice_counts_once(finished, copy, capsys, monkeypatch):
    whole = load_results(finished.root)
    assert capsys.readouterr().err == ""
    alias = finished.root.parent / "." / finished.root.name
    for places, message in [
        ([finished.root, alias], "given twice"),
        ([finished.root, copy.root], "2 of 4 runs are cop"),
    ]:
        pandas.testing.assert_frame_equal(load_results(places), whole, check_dtype=False)
        assert message in capsys.readouterr().err
    shutil.rmtree(copy.run("seed=1"))
    shutil.copytree(copy.run("seed=0"), copy.run("seed=1"))
    shutil.rmtree(copy.root / "results")
    assert load_results(copy.root)["run"].tolist() == ["seed=0"]
    assert "1 of 2 runs are copies, such as seed=1 of" in capsys.readouterr().err
    monkeypatch.setattr(gather, "DRAWN", 0)
    monkeypatch.setattr(sampling, "load_dataset", lambda data: DATASET)
    assert [run.name for run in gather.summaries([copy.runs()], copy)] == ["seed=0"]
    assert "seed=1 is a copy of seed=0 and is left out." in capsys.readouterr().err


def test_a_path_that_is_not_utf_8_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff")
    for more in ([f"--workdir={path}"], [f"--workdir={tmp_path / 'run'}", f"--config.data.path={path}"]):
        done = tiny.command(*LINE, *more)
        assert done.returncode == 2 and ("workdir: " in done.stderr or "data.path: " in done.stderr)
    assert not os.listdir(tmp_path)
